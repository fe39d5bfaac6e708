package archive

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"

	"golang.org/x/text/unicode/norm"
)

// Escapes of names. "%XX" is an octet in hexadecimal, capitals; the others cannot be meant by it, since neither "~"
// nor "=" nor "-" is a hexadecimal digit.
const (
	twinMark  = "%~" // and a number, at the end: another mailbox has this name but for case or composition
	longMark  = "%=" // and a digest, at the end: the name was cut, its whole is in a file beside
	emptyName = "%-" // the empty name
)

const (
	longest    = 255 - len(mboxSuffix) - len("%~999999") // octets of a name that is not cut
	digestSize = 16                                      // octets of the digest of a cut name
	mboxSuffix = ".mbox"
)

// encodePart gives the name on disk of one part of a mailbox's path. Equal names mean equal parts; names that are
// equal only when case or composition is neglected are told apart by twin.
func encodePart(part string) string {
	name := escapeAll(part)
	if len(name) <= longest {
		return name
	}
	sum := sha256.Sum256([]byte(part))
	mark := longMark + hex.EncodeToString(sum[:digestSize])
	return cut(name, longest-len(mark)) + mark
}

// twin gives the n-th name for one that is taken, n from 2.
func twin(name string, n int) string { return name + twinMark + strconv.Itoa(n) }

// cut shortens an escaped name to at most n octets and breaks neither an escape nor a character.
func cut(name string, n int) string {
	for n > 0 && !utf8.RuneStart(name[n]) {
		n--
	}
	name = name[:n]
	if i := strings.LastIndexByte(name, '%'); i >= 0 && i > len(name)-3 {
		name = name[:i]
	}
	return name
}

// decodePart gives the part that a name on disk stands for. whole gives the escaped name behind a digest, as the file
// beside has it, and is asked for cut names only. A name that encodePart does not give is an error.
func decodePart(name string, whole func(digest string) (string, error)) (string, error) {
	bare := name
	if i := strings.LastIndex(name, twinMark); i >= 0 {
		n, err := strconv.Atoi(name[i+len(twinMark):])
		if err != nil || n < 2 || twin(name[:i], n) != name {
			return "", fmt.Errorf("no name of a mailbox: %q", name)
		}
		bare = name[:i]
	}
	escaped := bare
	if i := strings.LastIndex(bare, longMark); i >= 0 {
		var err error
		if escaped, err = whole(bare[i+len(longMark):]); err != nil {
			return "", err
		}
	}
	part, ok := unescape(escaped)
	if !ok || encodePart(part) != bare {
		return "", fmt.Errorf("no name of a mailbox: %q", name)
	}
	return part, nil
}

// escapeAll gives part with everything escaped that a file system, a shell, or the formats could stumble over.
func escapeAll(part string) string {
	if part == "" {
		return emptyName
	}
	var b strings.Builder
	for i, size := 0, 0; i < len(part); i += size {
		var r rune
		r, size = utf8.DecodeRuneInString(part[i:])
		switch {
		case r == utf8.RuneError && size == 1, unicode.IsControl(r), strings.ContainsRune(`/\%<>:"|?*`, r),
			(r == '.' || r == ' ') && (i == 0 || i == len(part)-1):
			for _, c := range []byte(part[i : i+size]) {
				fmt.Fprintf(&b, "%%%02X", c)
			}
		default:
			b.WriteString(part[i : i+size])
		}
	}
	name := b.String()
	if reserved(asciiLower(part)) {
		name = fmt.Sprintf("%%%02X", name[0]) + name[1:]
	}
	if at := len(name) - len(mboxSuffix); at > 0 && strings.EqualFold(name[at:], mboxSuffix) {
		name = name[:at] + "%2E" + name[at+1:] // a mailbox "x.mbox" beside the file of mailbox "x"
	}
	return name
}

func unescape(name string) (string, bool) {
	if name == emptyName {
		return "", true
	}
	var b strings.Builder
	for i := 0; i < len(name); i++ {
		if name[i] != '%' {
			b.WriteByte(name[i])
			continue
		}
		if i+2 >= len(name) {
			return "", false
		}
		c, err := strconv.ParseUint(name[i+1:i+3], 16, 8)
		if err != nil {
			return "", false
		}
		b.WriteByte(byte(c))
		i += 2
	}
	return b.String(), true
}

// devices are names that Windows keeps for devices, whatever extension they have.
var devices = []string{"con", "prn", "aux", "nul", "conin$", "conout$"}

// reserved tells whether a name in lower case means something to a file system or to Maildir readers.
func reserved(lower string) bool {
	switch lower {
	case "cur", "new", "tmp", "subscriptions", "maildirfolder", "maildirsize":
		return true
	}
	if strings.HasPrefix(lower, "dovecot-") || strings.HasPrefix(lower, "dovecot.") {
		return true
	}
	stem, _, _ := strings.Cut(lower, ".")
	stem = strings.TrimRight(stem, " ")
	if slices.Contains(devices, stem) {
		return true
	}
	number, ok := strings.CutPrefix(stem, "com")
	if !ok {
		number, ok = strings.CutPrefix(stem, "lpt")
	}
	return ok && utf8.RuneCountInString(number) == 1 && strings.Contains("0123456789¹²³", number)
}

func asciiLower(s string) string {
	return strings.Map(func(r rune) rune {
		if 'A' <= r && r <= 'Z' {
			return r + 'a' - 'A'
		}
		return r
	}, strings.ToValidUTF8(s, "\uFFFD"))
}

// fold gives what a file system that neglects case, composition and invisible characters may see of a name.
func fold(name string) string {
	return norm.NFC.String(strings.Map(func(r rune) rune {
		if unicode.Is(unicode.Cf, r) || r >= 0xFE00 && r <= 0xFE0F {
			return -1
		}
		least := r
		for f := unicode.SimpleFold(r); f != r; f = unicode.SimpleFold(f) {
			least = min(least, f)
		}
		return least
	}, norm.NFD.String(name)))
}
