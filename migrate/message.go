package migrate

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
	"time"
)

// A Key is the lasting name of a message in its mailbox: UIDVALIDITY with UID, or Name (a UIDL, a Maildir base name,
// a digest). It stays the same from run to run. The zero Key names nothing.
type Key struct {
	Validity uint32
	UID      uint32
	Name     string
}

// IsZero tells whether the key names nothing.
func (k Key) IsZero() bool { return k == Key{} }

// Compare orders keys by UIDVALIDITY, UID, then Name.
func (k Key) Compare(other Key) int {
	return cmp.Or(cmp.Compare(k.Validity, other.Validity), cmp.Compare(k.UID, other.UID), cmp.Compare(k.Name, other.Name))
}

// String names the message to a person.
func (k Key) String() string {
	if k.UID != 0 {
		return fmt.Sprintf("UID %d", k.UID)
	}
	return fmt.Sprintf("%q", k.Name)
}

// A Message is what is known of a message without its body.
type Message struct {
	Key          Key
	Size         int64     // octets of the wire form as its store announces them, a hint; -1 where not told
	InternalDate time.Time // when it arrived, with the zone the store gave; zero where not told (POP3)
	Flags        Flags
	Identity     Identity // zero where its store does not know it without reading the message
}

// Flags are the flags and keywords of a message, sorted without regard to case, each once. Flags that RFC 9051, section 2.3.2, names are
// spelled as there; `\Recent` belongs to a session, not to a message, and is never among them. Treat as immutable.
type Flags []string

// NewFlags makes Flags of names as a store gives them.
func NewFlags(names ...string) Flags {
	flags := make(Flags, 0, len(names))
	for _, name := range names {
		if name = canonicalFlag(name); name != "" {
			flags = append(flags, name)
		}
	}
	slices.SortFunc(flags, func(a, b string) int {
		return cmp.Or(cmp.Compare(strings.ToLower(a), strings.ToLower(b)), cmp.Compare(a, b))
	})
	return slices.CompactFunc(flags, strings.EqualFold)
}

var systemFlags = [...]string{`\Answered`, `\Deleted`, `\Draft`, `\Flagged`, `\Seen`}

func canonicalFlag(name string) string {
	if !strings.HasPrefix(name, `\`) {
		return name
	}
	if strings.EqualFold(name, `\Recent`) || strings.EqualFold(name, `\*`) {
		return ""
	}
	for _, known := range systemFlags {
		if strings.EqualFold(name, known) {
			return known
		}
	}
	return name
}

// Has tells whether name is among the flags; keywords are compared without regard to case (RFC 9051, section 2.3.2).
func (f Flags) Has(name string) bool {
	return slices.ContainsFunc(f, func(have string) bool { return strings.EqualFold(have, name) })
}

// Equal tells whether both hold the same flags.
func (f Flags) Equal(other Flags) bool {
	return slices.EqualFunc(f, other, strings.EqualFold)
}

// Keywords gives those that are not system flags.
func (f Flags) Keywords() []string {
	var keywords []string
	for _, name := range f {
		if !strings.HasPrefix(name, `\`) {
			keywords = append(keywords, name)
		}
	}
	return keywords
}
