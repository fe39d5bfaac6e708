package migrate

import "strings"

// Path names a mailbox independently of any server's delimiter: its parts joined by "/". A "/" inside a part is
// written %2F, and a "%" that would read as such an escape is written %25, so that parts and Path correspond one to
// one. The mailbox every account has is "INBOX", in capitals. Parts are Unicode, but not normalised: what a server
// distinguishes stays distinct.
type Path string

// Inbox is the path of the mailbox that every account has (RFC 9051, section 5.1).
const Inbox Path = "INBOX"

// NewPath joins parts to a Path. A first part that equals INBOX in any case becomes INBOX, as RFC 9051 has it.
func NewPath(parts ...string) Path {
	escaped := make([]string, len(parts))
	for i, part := range parts {
		if i == 0 && strings.EqualFold(part, string(Inbox)) {
			part = string(Inbox)
		}
		escaped[i] = escapePart(part)
	}
	return Path(strings.Join(escaped, "/"))
}

// Parts gives the parts of the path, the outermost first. The empty path has none.
func (p Path) Parts() []string {
	if p == "" {
		return nil
	}
	parts := strings.Split(string(p), "/")
	for i, part := range parts {
		parts[i] = partUnescaper.Replace(part)
	}
	return parts
}

// Parent gives the path one level up, empty for a mailbox at the top.
func (p Path) Parent() Path {
	if i := strings.LastIndexByte(string(p), '/'); i >= 0 {
		return p[:i]
	}
	return ""
}

// Join gives the path of sub below p; an empty p or sub changes nothing.
func (p Path) Join(sub Path) Path {
	switch {
	case p == "":
		return sub
	case sub == "":
		return p
	}
	return p + "/" + sub
}

// Below tells the rest of the path under ancestor: empty and true where they are the same, false where p lies elsewhere.
func (p Path) Below(ancestor Path) (Path, bool) {
	if p == ancestor {
		return "", true
	}
	if rest, ok := strings.CutPrefix(string(p), string(ancestor)+"/"); ok {
		return Path(rest), true
	}
	return "", false
}

var partUnescaper = strings.NewReplacer("%2F", "/", "%2f", "/", "%25", "%")

func escapePart(part string) string {
	if !strings.ContainsAny(part, "/%") {
		return part
	}
	var b strings.Builder
	for i := 0; i < len(part); i++ {
		switch c := part[i]; {
		case c == '/':
			b.WriteString("%2F")
		case c == '%' && looksEscaped(part[i+1:]):
			b.WriteString("%25")
		default:
			b.WriteByte(c)
		}
	}
	return b.String()
}

func looksEscaped(rest string) bool {
	return strings.HasPrefix(rest, "2F") || strings.HasPrefix(rest, "2f") || strings.HasPrefix(rest, "25")
}

// A Role is a special use of a mailbox (RFC 6154), such as `\Sent`; empty for an ordinary one.
type Role string

// The roles of RFC 6154, section 2, that concern where mail goes.
const (
	RoleAll     Role = `\All`
	RoleArchive Role = `\Archive`
	RoleDrafts  Role = `\Drafts`
	RoleFlagged Role = `\Flagged`
	RoleJunk    Role = `\Junk`
	RoleSent    Role = `\Sent`
	RoleTrash   Role = `\Trash`
)

// A Mailbox is what a store tells of one of its mailboxes when it lists them.
type Mailbox struct {
	Path       Path
	Role       Role
	Subscribed bool
	NoSelect   bool   // only a parent of others, holds no mail (RFC 9051, section 7.3.1)
	State      Status // where the list tells it, else zero
}

// Status is the state of a mailbox in a few numbers: where none of them has moved, nothing in the mailbox has. Zero
// means not told, but for Messages.
type Status struct {
	Messages      int64 // how many there are; -1 where not told
	UIDValidity   uint32
	UIDNext       uint32
	HighestModSeq uint64 // RFC 7162; only with it do equal states rule out a change of flags
}
