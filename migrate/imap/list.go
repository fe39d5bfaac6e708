package imap

import (
	"context"
	"errors"
	"slices"
	"strings"

	"postcask/migrate"
)

const (
	nameLimit    = 16 << 10 // octets of one name
	listingLimit = 32 << 20 // octets that all rows take together, in memory
	rowWeight    = 192      // of them without the name
)

var errListTooLong = errors.New("the server lists mailboxes without end")

// Mailboxes lists the user's own mailboxes, parents before children: those of the personal namespace where the server
// tells of namespaces (RFC 2342), else all. LIST runs in our own lane, since names are kept octet for octet.
func (s *Session) Mailboxes(ctx context.Context) ([]migrate.Mailbox, error) {
	l, err := s.listAll(ctx)
	if err != nil {
		return nil, err
	}
	delim, prefix, err := s.hierarchy(ctx, l.spaces, l.rows)
	if err != nil {
		return nil, err
	}
	rows := slices.DeleteFunc(l.rows, func(r row) bool { return !isOwn(l.spaces, r.raw) })
	names := &s.acct.names
	names.mu.Lock()
	names.delim, names.prefix = delim, prefix
	names.mu.Unlock()
	mailboxes := names.setRows(rows)
	s.order, s.told, s.oddNames = nil, map[string]told{}, false
	for i, mbox := range mailboxes {
		raw := inboxed(names.rawOf(mbox.Path))
		state, ok := l.states[raw]
		mailboxes[i].State = state.Status
		if ok && s.readOnly { // one who writes may have changed it by the time he asks
			s.told[raw] = state
		}
		if !mbox.NoSelect {
			s.order = append(s.order, mbox.Path)
		}
	}
	return mailboxes, nil
}

// A catalogue is what the server tells of all its mailboxes.
type catalogue struct {
	spaces     []namespace
	rows       []row
	subscribed []row // as LSUB tells
	states     map[string]told
	octets     int
}

// listAll asks for namespaces and mailboxes in one round trip: by LIST in the richest form that the server has (RFC
// 5258, RFC 6154, RFC 5819), and plainly where it refuses that after all. Where LIST does not tell of
// subscriptions, LSUB does (RFC 3501, section 6.3.9); a server that refuses it has none.
func (s *Session) listAll(ctx context.Context) (*catalogue, error) {
	var options []string
	if s.has("LIST-EXTENDED") {
		options = append(options, "SUBSCRIBED")
		if s.has("SPECIAL-USE") {
			options = append(options, "SPECIAL-USE")
		}
		if s.has("LIST-STATUS") {
			options = append(options, "STATUS ("+s.stateItems()+")")
		}
	}
	l, st, err := s.listWith(ctx, options)
	if err == nil && !st.ok() && len(options) > 0 {
		l, st, err = s.listWith(ctx, nil)
	}
	if err == nil && !st.ok() {
		err = st.refusal("list mailboxes")
	}
	if err != nil {
		return nil, err
	}
	names := make(map[string]bool, len(l.subscribed))
	for _, r := range l.subscribed {
		if !r.noSelect { // so LSUB shows a mere parent of a subscribed one
			names[inboxed(r.raw)] = true
		}
	}
	for i := range l.rows {
		l.rows[i].subscribed = l.rows[i].subscribed || names[inboxed(l.rows[i].raw)]
	}
	return l, nil
}

// listWith asks once, with the given options of LIST. The status is that of LIST.
func (s *Session) listWith(ctx context.Context, options []string) (*catalogue, status, error) {
	var commands []string
	if command, worthIt := s.enableCommand(); worthIt {
		commands = append(commands, command)
	}
	if s.has("NAMESPACE") {
		commands = append(commands, "NAMESPACE")
	}
	list := len(commands)
	if len(options) > 0 {
		commands = append(commands, `LIST "" "*" RETURN (`+strings.Join(options, " ")+")")
	} else {
		commands = append(commands, `LIST "" "*"`, `LSUB "" "*"`)
	}
	l := &catalogue{states: map[string]told{}}
	verdicts, err := s.exchangeAll(ctx, commands, func(resp *response) error { return l.read(s, resp) })
	if err != nil {
		return nil, status{}, err
	}
	return l, verdicts[list], nil
}

// read takes one response.
func (l *catalogue) read(s *Session, resp *response) (err error) {
	before := len(l.states)
	switch resp.word {
	case "ENABLED":
		err = s.readEnabled()
	case "NAMESPACE":
		l.spaces, err = readNamespaces(s.in)
	case "LIST", "XLIST":
		err = l.row(s.in, &l.rows)
	case "LSUB":
		err = l.row(s.in, &l.subscribed)
	case "STATUS":
		err = readState(s.in, l.states)
		l.octets += (len(l.states) - before) * rowWeight
	}
	if l.octets > listingLimit {
		return errListTooLong
	}
	return err
}

// row adds one row to rows.
func (l *catalogue) row(in *reader, rows *[]row) error {
	r, ok, err := readRow(in)
	if ok && err == nil {
		l.octets += len(r.raw) + rowWeight
		*rows = append(*rows, r)
	}
	return err
}

func inboxed(raw string) string {
	if strings.EqualFold(raw, string(migrate.Inbox)) {
		return string(migrate.Inbox)
	}
	return raw
}

// readRow reads attributes, delimiter and name. ok is false for a row without a name.
func readRow(in *reader) (r row, ok bool, err error) {
	attributes, err := in.words()
	if err != nil {
		return r, false, err
	}
	r.role = roleOf(attributes)
	for _, attribute := range attributes {
		switch strings.ToLower(attribute) {
		case `\noselect`, `\nonexistent`:
			r.noSelect = true
		case `\subscribed`:
			r.subscribed = true
		}
	}
	if r.delim, err = readDelim(in); err != nil {
		return r, false, err
	}
	in.skipSpace()
	bare := in.pos < len(in.line) && in.line[in.pos] != '"'
	if bare && !in.pending {
		// Some servers forget the quotes: the rest of the line is the name, spaces and all.
		r.raw = strings.TrimSuffix(string(in.line[in.pos:]), " ")
		in.pos = len(in.line)
		return r, r.raw != "", nil
	}
	r.raw, _, err = in.str(nameLimit)
	return r, r.raw != "", err
}

// readDelim reads a delimiter: NIL or one quoted character, of which some servers forget to escape the backslash.
func readDelim(in *reader) (string, error) {
	in.skipSpace()
	if rest := in.line[in.pos:]; strings.HasPrefix(string(rest), `"\" `) {
		in.pos += 3
		return `\`, nil
	}
	delim, ok, err := in.str(16)
	if !ok || len(delim) == 0 {
		return "", err
	}
	return delim[:1], err
}

// exists asks whether the server has a mailbox of exactly this name.
func (s *Session) exists(ctx context.Context, raw string) (bool, error) {
	name, err := sayable(raw)
	if err != nil {
		return false, nil
	}
	rows, err := s.rowsNamed(ctx, name)
	return slices.ContainsFunc(rows, func(r row) bool { return inboxed(r.raw) == inboxed(raw) && !r.noSelect }), err
}

// rowsNamed runs LIST for one name (RFC 9051, section 6.3.9).
func (s *Session) rowsNamed(ctx context.Context, name string) ([]row, error) {
	var l catalogue
	_, err := s.exchange(ctx, `LIST "" `+name, func(resp *response) error {
		if resp.word != "LIST" && resp.word != "XLIST" {
			return nil
		}
		return l.read(s, resp)
	})
	return l.rows, err
}

// sayable quotes a raw name for a command.
func sayable(raw string) (string, error) {
	name, ok := quote(raw)
	if !ok {
		return "", migrate.Errorf(migrate.Failed, "a mailbox name with a line break or NUL in it cannot be used: %q", raw)
	}
	return name, nil
}

// rawOf gives the server's name of path. The first who asks lists the account's mailboxes, so that a name that is
// there is used as it is.
func (s *Session) rawOf(ctx context.Context, path migrate.Path) (string, error) {
	if path == "" {
		return "", migrate.Errorf(migrate.Misuse, "no mailbox is named")
	}
	if path == migrate.Inbox {
		return string(migrate.Inbox), nil
	}
	names := &s.acct.names
	names.mu.Lock()
	learnt := names.learnt
	names.mu.Unlock()
	if !learnt {
		if _, err := s.Mailboxes(ctx); err != nil {
			return "", err
		}
	}
	return names.rawOf(path), nil
}
