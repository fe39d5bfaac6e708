package imap

import (
	"context"
	"slices"
	"strings"

	"postcask/migrate"
)

// comingRuns is how many are asked for ahead.
const comingRuns = 16

// FetchAhead implements migrate.Foreseer: the commands go out as soon as those before them have, and so small groups from
// several mailboxes take one round trip together. What the server sends waits on the wire until it is fetched. Whatever is on
// the way already, the mailbox is opened again, be it the same: a server may work at several FETCHes at once and mingle
// their answers, but not across that.
func (s *Session) FetchAhead(ctx context.Context, mbox migrate.Path, messages []migrate.Message) {
	other := func(m migrate.Message) bool { return m.Key.Validity != messages[0].Key.Validity }
	if s.conn.Err() != nil || s.batch.ear != nil || s.left != nil || len(messages) == 0 || len(s.coming) == comingRuns || slices.ContainsFunc(messages, other) {
		return
	}
	r, err := s.newFetch(ctx, mbox, messages, bodyItem, len(s.coming) == 0 && s.isOpen(mbox, newestOf(messages)))
	if err != nil || s.deflateFor(ctx, r) != nil {
		return
	}
	s.coming = append(s.coming, r)
	var lines strings.Builder
	s.writeAhead(&lines, 0)
	if lines.Len() > 0 {
		defer s.conn.Watch(ctx)()
		_ = s.send(lines.String()) // the connection remembers
	}
}

// writeAhead adds to lines what may be asked for ahead, where command lines of so many octets are on the way already.
func (s *Session) writeAhead(lines *strings.Builder, octets int) {
	for _, r := range s.coming {
		octets += r.octets
		for _, command := range r.queue[:min(len(r.queue), inFlight)] {
			octets += len(command.line)
		}
		if octets > inFlightOctets {
			return
		}
		if r.write(lines); len(r.queue) > 0 {
			return // the rest of it comes first
		}
	}
}

// adopt gives the run that was asked for ahead, where it is just that and comes next.
func (s *Session) adopt(ctx context.Context, mbox migrate.Path, messages []migrate.Message, item string) (*fetchRun, error) {
	if len(s.coming) == 0 {
		return nil, nil
	}
	r := s.coming[0]
	same := func(a, b migrate.Message) bool { return a.Key == b.Key }
	if r.mbox != mbox || r.item != item || !slices.EqualFunc(r.messages, messages, same) {
		return nil, nil
	}
	defer s.conn.Watch(ctx)()
	if err := s.settleLeft(); err != nil {
		return nil, err
	}
	if r.opening == nil && (s.view == nil || s.view.path != mbox) {
		return nil, nil // the mailbox has not opened
	}
	s.coming = s.coming[1:]
	return r, nil
}

// settleAhead reads what was asked for ahead and gives it to nobody.
func (s *Session) settleAhead() error {
	for ; len(s.coming) > 0; s.coming = s.coming[1:] {
		r := s.coming[0]
		if len(r.pending) > 0 && r.opening != nil {
			s.view = r.view
		}
		if err := r.drain(); err != nil {
			return err
		}
	}
	return nil
}

// overtaken tells whether other mailboxes have been asked for behind this run.
func (r *fetchRun) overtaken() bool {
	return slices.ContainsFunc(r.s.coming, func(other *fetchRun) bool { return len(other.pending) > 0 })
}

// comeBack is for messages that have to be asked for again when other mailboxes have been asked for: what these bring is
// given up, and the mailbox is opened anew.
func (r *fetchRun) comeBack() error {
	if err := r.s.settleAhead(); err != nil {
		return err
	}
	clear(r.uids) // numbers may mean others then
	line, err := r.s.openLine(context.Background(), r.mbox)
	if err == nil {
		r.opensBy(line)
		err = r.begin()
	}
	return err
}
