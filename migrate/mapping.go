package migrate

import (
	"slices"
	"strings"
)

// A Mapping says into which mailbox of the destination a mailbox of the source goes. The zero Mapping keeps paths, but
// for roles: see Bind.
type Mapping struct {
	Moves []Move // the first that matches decides, and no role is looked at then
	Under Path   // put everything below this mailbox

	roles   []Move
	sources []Path
}

// A Move puts the mailbox From, and all below it, at To.
type Move struct{ From, To Path }

// commonNames are what mailboxes of a role are called where the server marks none: in the order of how common they are.
var commonNames = map[Role][]string{
	RoleSent:   {"Sent", "Sent Items", "Sent Messages", "Sent Mail"},
	RoleDrafts: {"Drafts", "Draft"},
	RoleTrash:  {"Trash", "Deleted Items", "Deleted Messages"},
	RoleJunk:   {"Junk", "Spam", "Junk E-mail", "Junk Email", "Bulk Mail"},
}

// Bind makes the mapping match the roles of the source's mailboxes to those of the destination's: what is \Sent at the
// source goes to what is \Sent at the destination, whatever either is called. A source that marks no mailbox of a role
// has it guessed by name.
func (m *Mapping) Bind(source, destination []Mailbox) {
	m.roles, m.sources = nil, nil
	for _, mbox := range source {
		m.sources = append(m.sources, mbox.Path)
	}
	for _, role := range []Role{RoleSent, RoleDrafts, RoleTrash, RoleJunk, RoleArchive} {
		to, marked := byRole(destination, role)
		if !marked {
			continue
		}
		from, marked := byRole(source, role)
		if !marked {
			from, marked = byName(source, commonNames[role])
		}
		if marked && from != to {
			m.roles = append(m.roles, Move{From: from, To: to})
		}
	}
}

func byRole(mailboxes []Mailbox, role Role) (Path, bool) {
	i := slices.IndexFunc(mailboxes, func(mbox Mailbox) bool {
		return strings.EqualFold(string(mbox.Role), string(role)) && !mbox.NoSelect
	})
	if i < 0 {
		return "", false
	}
	return mailboxes[i].Path, true
}

// byName finds the mailbox of the most common name that has no role of its own.
func byName(mailboxes []Mailbox, names []string) (Path, bool) {
	for _, name := range names {
		for _, mbox := range mailboxes {
			if mbox.Role == "" && !mbox.NoSelect && strings.EqualFold(string(mbox.Path), name) {
				return mbox.Path, true
			}
		}
	}
	return "", false
}

// into gives the mailboxes of the source that go to dest, of those that Bind was told.
func (m *Mapping) into(dest Path) []Path {
	return slices.DeleteFunc(slices.Clone(m.sources), func(path Path) bool { return m.Destination(path) != dest })
}

// Destination gives the destination's path for a mailbox of the source.
func (m *Mapping) Destination(path Path) Path {
	for _, move := range m.Moves {
		if rest, ok := path.Below(move.From); ok {
			return m.Under.Join(move.To.Join(rest))
		}
	}
	if m.Under != "" {
		return m.Under.Join(path)
	}
	for _, move := range m.roles {
		if rest, ok := path.Below(move.From); ok {
			return move.To.Join(rest)
		}
	}
	return path
}
