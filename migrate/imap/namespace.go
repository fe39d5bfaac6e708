package imap

import (
	"context"
	"slices"
	"strings"

	"postcask/migrate"
)

// A namespace is one entry of NAMESPACE (RFC 2342, section 5).
type namespace struct {
	prefix, delim string
	own           bool // personal, not other users' or shared
}

// readNamespaces reads three lists, each NIL or of ("prefix" "delimiter" extensions…).
func readNamespaces(in *reader) ([]namespace, error) {
	var spaces []namespace
	for class := range 3 {
		t, err := in.next()
		if err != nil {
			return nil, err
		}
		if t.kind != tokenOpen {
			continue // NIL
		}
		for {
			t, err := in.next()
			if err != nil {
				return nil, err
			}
			if t.kind != tokenOpen {
				break
			}
			space := namespace{own: class == 0}
			if space.prefix, _, err = in.str(nameLimit); err != nil {
				return nil, err
			}
			if space.delim, err = readDelim(in); err != nil {
				return nil, err
			}
			if err := in.skipList(); err != nil {
				return nil, err
			}
			spaces = append(spaces, space)
		}
	}
	return spaces, nil
}

// isOwn tells whether the namespace that fits raw best is a personal one. The parent of a namespace, its prefix
// without the delimiter, belongs to it.
func isOwn(spaces []namespace, raw string) bool {
	if strings.EqualFold(raw, string(migrate.Inbox)) {
		return true
	}
	own, best := !slices.ContainsFunc(spaces, func(space namespace) bool { return space.own }), -1
	for _, space := range spaces {
		fits := hasPrefixFold(raw, space.prefix) || (space.prefix != "" && raw+space.delim == space.prefix)
		if fits && (len(space.prefix) > best || len(space.prefix) == best && space.own) {
			own, best = space.own, len(space.prefix)
		}
	}
	return own
}

// hierarchy finds the delimiter and the prefix of the namespace that new mailboxes are made in: the first personal
// one, or what the rows or LIST "" "" tell (RFC 9051, section 6.3.9).
func (s *Session) hierarchy(ctx context.Context, spaces []namespace, rows []row) (delim, prefix string, err error) {
	for _, space := range spaces {
		if space.own {
			return space.delim, space.prefix, nil
		}
	}
	for _, r := range rows {
		if r.delim != "" {
			return r.delim, "", nil
		}
	}
	root, err := s.rowsNamed(ctx, `""`)
	for _, r := range root {
		delim = r.delim
	}
	return delim, "", err
}
