package pop3

import (
	"bytes"
	"context"
	"io"
	"iter"

	"postcask/migrate"
)

// Fetch yields the messages of INBOX: those that the listing had to read first, then the others in the order asked for,
// several RETR under way where the server has PIPELINING. A message that was not listed in this session, or of which
// the server says that it is no more, is left out; one that it refuses comes with an Err that wraps a Refusal. A
// Session that has not listed yet does so first. Body.Size is exact for the former and -1 for the latter.
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

func (s *Session) fetch(ctx context.Context, mbox migrate.Path, messages []migrate.Message, whole bool, command func(int) string) iter.Seq2[migrate.Fetched, error] {
	return func(yield func(migrate.Fetched, error) bool) {
		var asked []migrate.Message
		var requests []request
		for _, m := range messages {
			number, err := s.find(ctx, mbox, m.Key)
			if err != nil {
				yield(migrate.Fetched{}, err)
				return
			}
			if number == 0 {
				continue
			}
			if octets, ok := s.cache.get(number); ok && whole {
				body := migrate.Body{Reader: bytes.NewReader(octets), Size: int64(len(octets))}
				if !yield(migrate.Fetched{Message: m, Body: body}, nil) {
					return
				}
				continue
			}
			r := request{number: number}
			if whole { // a header is small, however large its message
				r.octets = s.drop.message(number).Size
			}
			asked, requests = append(asked, m), append(requests, r)
		}
		for r, err := range s.run(ctx, requests, command) {
			if err != nil {
				yield(migrate.Fetched{}, err)
				return
			}
			fetched := migrate.Fetched{Message: asked[r.at]}
			switch {
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

// find gives the number of a message in this session, or 0. It lists, and names, as far as it must.
func (s *Session) find(ctx context.Context, mbox migrate.Path, key migrate.Key) (int, error) {
	drop, err := s.listed(ctx, mbox)
	if err != nil {
		return 0, err
	}
	if key.UID != 0 || key.Validity != 0 {
		return 0, nil
	}
	number := drop.number(key.Name)
	if number == 0 && drop.mayBeUnnamed(key.Name) {
		if err := s.nameAll(ctx); err != nil {
			return 0, err
		}
		number = drop.number(key.Name)
	}
	return number, nil
}
