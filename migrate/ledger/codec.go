package ledger

import (
	"database/sql"
	"fmt"
	"strings"
	"time"

	"postcask/migrate"
)

// Flags are one text, joined by spaces; a space that a lax server let into a keyword is escaped, as JSON would change
// octets that are not UTF-8.
var (
	flagEscaper   = strings.NewReplacer("%", "%25", " ", "%20")
	flagUnescaper = strings.NewReplacer("%25", "%", "%20", " ")
)

func encodeFlags(flags migrate.Flags) string {
	if len(flags) == 0 {
		return ""
	}
	sorted := migrate.NewFlags(flags...)
	for i, name := range sorted {
		sorted[i] = flagEscaper.Replace(name)
	}
	return strings.Join(sorted, " ")
}

func decodeFlags(text string) migrate.Flags {
	if text == "" {
		return migrate.Flags{}
	}
	names := strings.Split(text, " ")
	if strings.Contains(text, "%") {
		for i, name := range names {
			names[i] = flagUnescaper.Replace(name)
		}
	}
	return names // normalised when they were written
}

// encodeIdentity gives the two digests as blobs, or NULLs for an identity that is not known.
func encodeIdentity(id migrate.Identity) (full, trimmed any) {
	if id.Full != (migrate.Digest{}) {
		full = id.Full[:]
	}
	if id.Trimmed != (migrate.Digest{}) {
		trimmed = id.Trimmed[:]
	}
	return full, trimmed
}

func decodeDigest(to *migrate.Digest, from []byte) error {
	switch len(from) {
	case 0:
		*to = migrate.Digest{}
	case len(to):
		copy(to[:], from)
	default:
		return damaged("a digest of %d octets", len(from))
	}
	return nil
}

// encodeDate gives seconds since 1970 and the zone's offset in seconds; a zero time gives NULL.
func encodeDate(t time.Time) (seconds, zone any) {
	if t.IsZero() {
		return nil, 0
	}
	_, offset := t.Zone()
	return t.Unix(), offset
}

// unix gives seconds since 1970, or NULL for a zero time.
func unix(t time.Time) any {
	if t.IsZero() {
		return nil
	}
	return t.Unix()
}

// known gives n, or NULL where it is not known.
func known(n int64) any {
	if n <= 0 {
		return nil
	}
	return n
}

func decodeDate(seconds sql.NullInt64, zone int) time.Time {
	switch {
	case !seconds.Valid:
		return time.Time{}
	case zone == 0:
		return time.Unix(seconds.Int64, 0).UTC()
	}
	return time.Unix(seconds.Int64, 0).In(time.FixedZone("", zone))
}

func narrow(what string, n int64) (uint32, error) {
	if n < 0 || n > 1<<32-1 {
		return 0, damaged("%s is %d", what, n)
	}
	return uint32(n), nil
}

func decodeKey(validity, uid int64, name string) (migrate.Key, error) {
	v, err := narrow("UIDVALIDITY", validity)
	if err != nil {
		return migrate.Key{}, err
	}
	u, err := narrow("UID", uid)
	if err != nil {
		return migrate.Key{}, err
	}
	return migrate.Key{Validity: v, UID: u, Name: name}, nil
}

func damaged(format string, args ...any) error {
	return &migrate.Error{Kind: migrate.Damaged, Err: fmt.Errorf(format, args...), Hint: damagedHint}
}
