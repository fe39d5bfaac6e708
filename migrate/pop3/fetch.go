package pop3

import (
	"context"
	"io"
	"iter"
	"slices"

	"postcask/migrate"
)

// Fetch yields the messages of INBOX in the order asked for, many RETR under way where the server has PIPELINING, and
// never more than the lane's window, however many are asked for. Nothing is asked for those that the listing had to read
// and that are still at hand. A message that was not listed in this session, or of which the server says that it is no
// more, is left out; one that it refuses comes with an Err that wraps a Refusal. A Session that has not listed yet does
// so first. Body.Size is exact for what is at hand, and -1 otherwise.
func (s *Session) Fetch(ctx context.Context, mbox migrate.Path, messages []migrate.Message) iter.Seq2[migrate.Fetched, error] {
	return s.fetch(ctx, mbox, messages, true, retr)
}

// headerLimit is how many octets of a header Headers gives at most.
const headerLimit = 256 << 10

// Headers is a Fetch of the headers alone, with the empty line that ends them (TOP: RFC 1939, section 7).
func (s *Session) Headers(ctx context.Context, mbox migrate.Path, messages []migrate.Message) iter.Seq2[migrate.Header, error] {
	return func(yield func(migrate.Header, error) bool) {
		for f, err := range s.fetch(ctx, mbox, messages, false, top) {
			h := migrate.Header{Message: f.Message, Err: f.Err}
			if err == nil && f.Err == nil {
				h.Octets, h.Err = io.ReadAll(io.LimitReader(f.Body, headerLimit))
			}
			if !yield(h, err) {
				return
			}
		}
	}
}

func (s *Session) fetch(ctx context.Context, mbox migrate.Path, messages []migrate.Message, whole bool, question question) iter.Seq2[migrate.Fetched, error] {
	return func(yield func(migrate.Fetched, error) bool) {
		if err := s.prepare(ctx, mbox, messages); err != nil {
			yield(migrate.Fetched{}, err)
			return
		}
		for r, err := range s.run(ctx, s.requests(messages, whole), question) {
			if err != nil {
				yield(migrate.Fetched{}, err)
				return
			}
			fetched := migrate.Fetched{Message: *r.message}
			switch {
			case r.err != nil:
				fetched.Err = r.err
			case r.refusal == nil && r.known != nil:
				fetched.Body = migrate.Body{Reader: r.body, Size: int64(len(r.known))}
			case r.refusal == nil:
				fetched.Body = migrate.Body{Reader: r.body, Size: -1}
			case r.refusal.vanished():
				continue
			default:
				fetched.Err = r.refusal.as(migrate.Failed)
			}
			if !yield(fetched, nil) {
				return
			}
		}
	}
}

// prepare lists, and names all, as far as messages need it.
func (s *Session) prepare(ctx context.Context, mbox migrate.Path, messages []migrate.Message) error {
	drop, err := s.listed(ctx, mbox)
	if err != nil {
		return err
	}
	for i := range messages {
		mayBe, err := drop.mayBeUnnamed(messages[i].Key.Name)
		if err != nil {
			return err
		}
		if mayBe {
			return s.nameAll(ctx)
		}
	}
	return nil
}

// findAtOnce is how many messages are looked for in one look at the maildrop.
const findAtOnce = 1000

// requests yields what to ask for messages, in order. Those that are not in this session's listing are left out.
func (s *Session) requests(messages []migrate.Message, whole bool) iter.Seq2[request, error] {
	return func(yield func(request, error) bool) {
		for part := range slices.Chunk(messages, findAtOnce) {
			found, err := s.drop.find(part)
			if err != nil {
				yield(request{}, err)
				return
			}
			for i := range part {
				m := &part[i]
				there := found[m.Key.Name]
				if there.number == 0 || m.Key.UID != 0 || m.Key.Validity != 0 {
					continue
				}
				r := request{message: m, number: there.number}
				if whole { // a header is small, however large its message
					r.octets = there.size
					r.known, _ = s.cache.get(r.number)
					r.err = s.endless.err(m.Key.Name)
				}
				if !yield(r, nil) {
					return
				}
			}
		}
	}
}
