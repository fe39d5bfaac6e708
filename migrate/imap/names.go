package imap

import (
	"cmp"
	"slices"
	"strconv"
	"strings"
	"sync"

	"postcask/migrate"
)

// A Renamed tells of a path that this server cannot have in its own words.
type Renamed struct {
	Path migrate.Path // as it was asked for
	Name string       // what the server has instead, readable, with the server's delimiter
}

// names is what the sessions of an account have learnt about the names of its mailboxes. A path that was listed stands
// for exactly the octets that the server gave, however odd; any other is built from its parts.
type names struct {
	mu      sync.Mutex
	learnt  bool
	utf8    bool   // a server of IMAP4rev2 alone: names are UTF-8 (RFC 9051, appendix E)
	delim   string // between parts, one character; empty where the server has no hierarchy
	prefix  string // of the personal namespace, with its delimiter
	listed  map[migrate.Path]*listed
	built   map[migrate.Path]string // path to raw, for those that were built
	owner   map[string]migrate.Path // raw to the path it was built for
	renamed []Renamed
}

// A listed mailbox is one that LIST told of.
type listed struct {
	raw        string
	role       migrate.Role
	subscribed bool
	noSelect   bool
}

// A row is one LIST response.
type row struct {
	listed
	delim string
	path  migrate.Path
	exact bool
}

// setRows takes what a whole LIST told. Two names that would have one path are kept apart, the same way each time.
func (n *names) setRows(rows []row) []migrate.Mailbox {
	n.mu.Lock()
	defer n.mu.Unlock()
	for i := range rows {
		rows[i].path, rows[i].exact = n.pathOf(rows[i].raw, rows[i].delim)
	}
	slices.SortFunc(rows, func(a, b row) int {
		if a.exact != b.exact {
			if a.exact {
				return -1
			}
			return 1
		}
		return cmp.Compare(a.raw, b.raw)
	})
	n.learnt = true
	n.listed = make(map[migrate.Path]*listed, len(rows))
	for i := range rows {
		r := &rows[i]
		if had := n.listed[r.path]; had != nil && (had.raw == r.raw || r.path == migrate.Inbox) {
			had.merge(&r.listed) // named twice
			continue
		}
		base := r.path
		for k := 2; n.listed[r.path] != nil; k++ {
			r.path = base + migrate.Path(" ("+strconv.Itoa(k)+")")
		}
		n.listed[r.path] = &r.listed
	}
	mailboxes := make([]migrate.Mailbox, 0, len(n.listed))
	for path, m := range n.listed {
		mailboxes = append(mailboxes, migrate.Mailbox{Path: path, Role: m.role, Subscribed: m.subscribed, NoSelect: m.noSelect})
	}
	slices.SortFunc(mailboxes, func(a, b migrate.Mailbox) int {
		return slices.Compare(strings.Split(string(a.Path), "/"), strings.Split(string(b.Path), "/"))
	})
	return mailboxes
}

func (l *listed) merge(other *listed) {
	l.role = cmp.Or(l.role, other.role)
	l.subscribed = l.subscribed || other.subscribed
	l.noSelect = l.noSelect && other.noSelect
}

// pathOf takes a raw name apart. exact tells that rawOf builds the same name from the path.
func (n *names) pathOf(raw, delim string) (path migrate.Path, exact bool) {
	if strings.EqualFold(raw, string(migrate.Inbox)) {
		return migrate.Inbox, true
	}
	rest, exact := raw, true
	if n.prefix != "" && hasPrefixFold(raw, n.prefix) && len(raw) > len(n.prefix) {
		rest = raw[len(n.prefix):]
	}
	parts := []string{rest}
	if delim != "" {
		if trimmed := strings.TrimSuffix(rest, delim); trimmed != "" {
			rest = trimmed // some servers end the name of a mere parent so
		}
		parts = strings.Split(rest, delim)
	}
	for i, part := range parts {
		if n.utf8 {
			parts[i] = showable(part)
		} else {
			var ok bool
			parts[i], ok = decodeName(part)
			exact = exact && ok
		}
	}
	path = migrate.NewPath(parts...)
	if path == migrate.Inbox { // "INBOX." + "INBOX" is not the INBOX
		path = migrate.Path("INBOX (2)")
		exact = false
	}
	return path, exact
}

// rawOf gives the octets that name path on this server. The delimiter inside a part gives way to "_". That depends on
// nothing but the path, so that the next run finds what this one has made; only of two paths that would become one in the same
// run the later is numbered.
func (n *names) rawOf(path migrate.Path) string {
	n.mu.Lock()
	defer n.mu.Unlock()
	if path == migrate.Inbox {
		return string(path)
	}
	if raw, ok := n.built[path]; ok {
		return raw
	}
	if m := n.listed[path]; m != nil && !n.taken(m.raw, path) {
		n.owner[m.raw] = path
		return m.raw
	}
	parts := path.Parts()
	lossy := false
	for i, part := range parts {
		kept := part
		if n.delim != "" {
			kept = strings.ReplaceAll(part, n.delim, "_")
		}
		lossy = lossy || kept != part
		parts[i] = kept
		if !n.utf8 {
			parts[i] = encodeName(kept)
		}
	}
	raw := n.prefix + strings.Join(parts, n.separator())
	if n.delim == "" && len(parts) > 1 {
		lossy = true
	}
	base := raw
	for k := 2; n.taken(raw, path); k++ {
		raw, lossy = base+"_"+strconv.Itoa(k), true
	}
	n.built[path], n.owner[raw] = raw, path
	if lossy {
		shown, _ := decodeName(raw)
		n.renamed = append(n.renamed, Renamed{Path: path, Name: shown})
	}
	return raw
}

// taken tells whether raw was given to another path. A name that is only there already is not taken: an earlier run
// may have made it for this very path.
func (n *names) taken(raw string, path migrate.Path) bool {
	owner, ok := n.owner[raw]
	return ok && owner != path
}

// separator joins parts; where there is no hierarchy the parts become one name.
func (n *names) separator() string {
	if n.delim == "" {
		return "_"
	}
	return n.delim
}

// find gives what is known of path, or false.
func (n *names) find(path migrate.Path) (listed, bool) {
	n.mu.Lock()
	defer n.mu.Unlock()
	if m := n.listed[path]; m != nil {
		return *m, true
	}
	return listed{}, false
}

// change notes what a session has just done to path.
func (n *names) change(path migrate.Path, raw string, edit func(*listed)) {
	n.mu.Lock()
	defer n.mu.Unlock()
	m := n.listed[path]
	if m == nil {
		m = &listed{raw: raw}
		n.listed[path] = m
	}
	edit(m)
}

// forget takes away what turned out not to be there.
func (n *names) forget(path migrate.Path) {
	n.mu.Lock()
	defer n.mu.Unlock()
	delete(n.listed, path)
}
