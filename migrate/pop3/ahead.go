package pop3

import (
	"context"
	"iter"

	"postcask/migrate"
)

// ListAhead implements migrate.Foreseer: POP3 has but one mailbox, so nothing comes next.
func (s *Session) ListAhead(context.Context, []migrate.Listing) {}

// FetchAhead asks for the first of messages, as many as the lane's window holds, where the server has PIPELINING: they are
// under way while the destination is made ready. A Fetch of others skips them. Trouble shows in Fetch.
func (s *Session) FetchAhead(ctx context.Context, mbox migrate.Path, messages []migrate.Message) {
	if s.alive(ctx) != nil || mbox != migrate.Inbox || s.drop == nil || s.drop.named < s.drop.count || !s.idle() || !s.can("PIPELINING") {
		return
	}
	stop := s.conn.Watch(ctx)
	defer stop()
	defer s.conn.SetBusy(false) // nobody waits for the answers yet
	next, end := iter.Pull2(s.requests(messages, true))
	defer end()
	l := &lane{s: s, question: retr, requests: next}
	if l.fill() != nil {
		return
	}
	for _, r := range l.queue {
		if !r.isSettled() {
			s.foreseen = append(s.foreseen, r)
		}
	}
}

// adopt takes what was asked for ahead into the lane, as long as it is what is wanted. What else was asked for is skipped.
func (l *lane) adopt() error {
	for len(l.foreseen) > 0 && len(l.queue) < windowCommands {
		r, ok, err := l.pull()
		if err != nil || !ok {
			return err
		}
		switch {
		case r.isSettled():
		case r.number == l.foreseen[0].number:
			l.foreseen = l.foreseen[1:]
			l.octets += r.weight()
		default:
			for _, other := range l.foreseen {
				other.unwanted = true
				l.queue = append(l.queue, other)
				l.octets += other.weight()
			}
			l.foreseen, l.spare = nil, &r
			return nil
		}
		l.queue = append(l.queue, r)
	}
	return nil
}

var _ migrate.Foreseer = (*Session)(nil)
