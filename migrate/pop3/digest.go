package pop3

import (
	"context"
	"fmt"
	"io"

	"postcask/migrate"
)

// nameStretch names further messages, at least one: those with a UIDL have their names, and of the others it reads as
// many as the cache holds, since they are asked for next as a rule.
func (s *Session) nameStretch(ctx context.Context) error {
	unnamed, upTo, err := s.drop.unnamed()
	if err != nil {
		return err
	}
	requests := func(yield func(request, error) bool) {
		for _, r := range unnamed {
			if !yield(r, nil) {
				return
			}
		}
	}
	for reply, err := range s.run(ctx, requests, retr) {
		if err != nil {
			return err
		}
		if err := s.name(reply); err != nil {
			return err
		}
	}
	s.drop.named = upTo
	return nil
}

// unnamed gives the next messages that have no name, and up to which number there are no others.
func (d *maildrop) unnamed() (ask []request, upTo int, err error) {
	if d.nameless == 0 {
		return nil, d.count, nil
	}
	var octets int64
	for upTo = d.named; upTo < d.count; upTo++ {
		uidl, err := d.uidl(upTo + 1)
		if err != nil {
			return nil, 0, err
		}
		if len(uidl) > 0 {
			continue
		}
		r := request{number: upTo + 1}
		if r.octets, err = d.size(r.number); err != nil {
			return nil, 0, err
		}
		if len(ask) > 0 && (len(ask) == windowCommands || octets+r.weight() > cacheOctets) {
			break
		}
		ask, octets = append(ask, r), octets+r.weight()
	}
	return ask, upTo, nil
}

// name gives one message the name that its octets make, and keeps them if they are few.
func (s *Session) name(r reply) error {
	number := r.number
	switch {
	case r.refusal != nil && r.refusal.vanished():
		return s.drop.others.setGone(number)
	case r.refusal != nil:
		return s.drop.others.nameByNumber(number)
	}
	hasher := migrate.NewHasher()
	keep := s.cache.keep()
	if _, err := io.Copy(io.MultiWriter(hasher, keep), r.body); err != nil {
		return fmt.Errorf("message %d: %w", number, err)
	}
	s.cache.put(number, keep)
	return s.drop.others.nameByDigest(number, hasher.Identity())
}

// nameAll names every message.
func (s *Session) nameAll(ctx context.Context) error {
	for s.drop.named < s.drop.count {
		if err := s.nameStretch(ctx); err != nil {
			return err
		}
	}
	return nil
}
