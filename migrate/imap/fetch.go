package imap

import (
	"cmp"
	"context"
	"iter"
	"slices"

	"postcask/migrate"
)

const (
	bodyItem    = "BODY.PEEK[]"
	headerItem  = "BODY.PEEK[HEADER.FIELDS (DATE FROM TO SUBJECT MESSAGE-ID)]"
	headerLimit = 256 << 10
)

// Fetch reads messages by UID FETCH with BODY.PEEK[] (RFC 9051, section 6.4.5). Several commands are under way at
// once; each body is streamed as it comes, its length that of its literal. A message that the server refuses as part of a group is
// asked for alone, so that it costs only itself; one that no longer exists is left out. A body cut short reads as
// io.ErrUnexpectedEOF and ends the session.
func (s *Session) Fetch(ctx context.Context, mbox migrate.Path, messages []migrate.Message) iter.Seq2[migrate.Fetched, error] {
	return s.fetch(ctx, mbox, messages, bodyItem)
}

// Headers reads the lines Date, From, To, Subject and Message-ID of messages, and nothing of their bodies. It behaves
// as Fetch does.
func (s *Session) Headers(ctx context.Context, mbox migrate.Path, messages []migrate.Message) iter.Seq2[migrate.Header, error] {
	return func(yield func(migrate.Header, error) bool) {
		for f, err := range s.fetch(ctx, mbox, messages, headerItem) {
			h := migrate.Header{Message: f.Message, Err: f.Err}
			if err == nil && f.Err == nil {
				h.Octets, h.Err = readHead(f.Body)
			}
			if !yield(h, err) {
				return
			}
		}
	}
}

func (s *Session) fetch(ctx context.Context, mbox migrate.Path, messages []migrate.Message, item string) iter.Seq2[migrate.Fetched, error] {
	return func(yield func(migrate.Fetched, error) bool) {
		for start := 0; start < len(messages); { // one UIDVALIDITY at a time; there is hardly ever a second
			end := start + 1
			for end < len(messages) && messages[end].Key.Validity == messages[start].Key.Validity {
				end++
			}
			more, err := s.fetchSame(ctx, mbox, messages[start:end], item, yield)
			if err != nil {
				yield(migrate.Fetched{}, err)
				return
			}
			if !more {
				return
			}
			start = end
		}
	}
}

// fetchSame fetches messages of one UIDVALIDITY. more is false when the caller has had enough.
func (s *Session) fetchSame(ctx context.Context, mbox migrate.Path, messages []migrate.Message, item string,
	yield func(migrate.Fetched, error) bool) (more bool, err error) {
	run, err := s.adopt(ctx, mbox, messages, item)
	if err != nil {
		return false, err
	}
	if run == nil {
		if err := s.ready(ctx); err != nil {
			return false, err
		}
		if run, err = s.newFetch(ctx, mbox, messages, item, s.isOpen(mbox, newestOf(messages))); err != nil {
			return false, err
		}
		if err := s.deflateFor(ctx, run); err != nil {
			return false, err
		}
	}
	run.yield = yield
	defer s.conn.Watch(ctx)()
	if err := run.begin(); err != nil {
		return false, at(mbox, err)
	}
	if err := run.loop(); err != nil {
		return false, at(mbox, err)
	}
	return !run.stopped, nil
}

func newestOf(messages []migrate.Message) uint32 {
	return slices.MaxFunc(messages, func(a, b migrate.Message) int { return cmp.Compare(a.Key.UID, b.Key.UID) }).Key.UID
}

// settle reads what a Fetch that was left early has yet to bring, and what was asked for ahead and is not wanted.
func (s *Session) settle(ctx context.Context) error {
	if s.left == nil && len(s.coming) == 0 {
		return nil
	}
	defer s.conn.Watch(ctx)()
	if err := s.settleLeft(); err != nil {
		return err
	}
	return s.settleAhead()
}

func (s *Session) settleLeft() error {
	if s.left == nil {
		return nil
	}
	err := s.left.drain()
	if err == nil {
		s.left = nil
	}
	return err
}
