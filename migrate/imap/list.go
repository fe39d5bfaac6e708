package imap

import (
	"context"
	"errors"
	"slices"
	"strings"

	"postcask/migrate"
)

const (
	nameLimit     = 16 << 10 // octets of one name
	listingLimit  = 32 << 20 // octets that all rows take together, in memory
	rowWeight     = 192      // of them without the name
	listPlain     = `LIST "" "*"`
	listExtended  = `LIST "" "*" RETURN (SUBSCRIBED SPECIAL-USE)`
	listSubscribe = `LIST "" "*" RETURN (SUBSCRIBED)`
)

var errListTooLong = errors.New("the server lists mailboxes without end")

// Mailboxes lists the user's own mailboxes, parents before children: those of the personal namespace where the server
// tells of namespaces (RFC 2342), else all. LIST runs in our own lane, since names are kept octet for octet.
func (s *Session) Mailboxes(ctx context.Context) ([]migrate.Mailbox, error) {
	spaces, err := s.namespaces(ctx)
	if err != nil {
		return nil, err
	}
	rows, told, err := s.listAll(ctx)
	if err != nil {
		return nil, err
	}
	if !told {
		if err := s.lsub(ctx, rows); err != nil {
			return nil, err
		}
	}
	delim, prefix, err := s.hierarchy(ctx, spaces, rows)
	if err != nil {
		return nil, err
	}
	rows = slices.DeleteFunc(rows, func(r row) bool { return !isOwn(spaces, r.raw) })
	names := &s.acct.names
	names.mu.Lock()
	names.delim, names.prefix = delim, prefix
	names.mu.Unlock()
	return names.setRows(rows), nil
}

// listAll sends LIST in the richest form that the server has (RFC 5258, RFC 6154), and plainly where it refuses that
// after all. told tells whether subscriptions were part of the answer.
func (s *Session) listAll(ctx context.Context) (rows []row, told bool, err error) {
	command := listPlain
	switch {
	case s.has("LIST-EXTENDED") && s.has("SPECIAL-USE"):
		command = listExtended
	case s.has("LIST-EXTENDED"):
		command = listSubscribe
	}
	rows, st, err := s.list(ctx, command, "LIST")
	if err == nil && !st.ok() && command != listPlain {
		command = listPlain
		rows, st, err = s.list(ctx, command, "LIST")
	}
	if err == nil && !st.ok() {
		err = st.refusal("list mailboxes")
	}
	return rows, command != listPlain, err
}

// lsub marks the subscribed rows by LSUB (RFC 3501, section 6.3.9). A server that refuses has no subscriptions.
func (s *Session) lsub(ctx context.Context, rows []row) error {
	subscribed, _, err := s.list(ctx, `LSUB "" "*"`, "LSUB")
	if err != nil {
		return err
	}
	names := make(map[string]bool, len(subscribed))
	for _, r := range subscribed {
		if !r.noSelect { // so LSUB shows a mere parent of a subscribed one
			names[inboxed(r.raw)] = true
		}
	}
	for i := range rows {
		rows[i].subscribed = rows[i].subscribed || names[inboxed(rows[i].raw)]
	}
	return nil
}

func inboxed(raw string) string {
	if strings.EqualFold(raw, string(migrate.Inbox)) {
		return string(migrate.Inbox)
	}
	return raw
}

// list runs one of the commands that answer with rows (RFC 9051, section 7.3.1).
func (s *Session) list(ctx context.Context, command, word string) ([]row, status, error) {
	var rows []row
	octets := 0
	st, err := s.exchange(ctx, command, func(resp *response) error {
		if resp.word != word && resp.word != "XLIST" {
			return nil
		}
		r, ok, err := readRow(s.in)
		if err != nil || !ok {
			return err
		}
		if octets += len(r.raw) + rowWeight; octets > listingLimit {
			return errListTooLong
		}
		rows = append(rows, r)
		return nil
	})
	return rows, st, err
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
	name, ok := quote(raw)
	if !ok {
		return false, nil
	}
	rows, _, err := s.list(ctx, `LIST "" `+name, "LIST")
	return slices.ContainsFunc(rows, func(r row) bool { return inboxed(r.raw) == inboxed(raw) && !r.noSelect }), err
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
