package pop3

import (
	"context"
	"fmt"
	"io"
	"slices"

	"postcask/migrate"
)

// nameStretch names further messages, at least one: those with a UIDL have their names, and of the others it reads as
// many as the cache holds, since they are asked for next as a rule.
func (s *Session) nameStretch(ctx context.Context) error {
	drop := s.drop
	var unnamed []request
	var octets int64
	upTo := drop.named
	for upTo < drop.count() {
		r := request{number: upTo + 1, octets: drop.sizes[upTo]}
		if drop.names.of(upTo) == "" {
			if len(unnamed) > 0 && (len(unnamed) == windowCommands || octets+r.weight() > cacheOctets) {
				break
			}
			unnamed = append(unnamed, r)
			octets += r.weight()
		}
		upTo++
	}
	for reply, err := range s.run(ctx, slices.Values(unnamed), retr) {
		if err != nil {
			return err
		}
		if err := s.name(reply); err != nil {
			return err
		}
	}
	drop.named = upTo
	return nil
}

// name gives one message the name that its octets make, and keeps them if they are few.
func (s *Session) name(r reply) error {
	number := r.number
	switch {
	case r.refusal != nil && r.refusal.vanished():
		s.drop.gone[number] = true
		return nil
	case r.refusal != nil:
		s.drop.nameByNumber(number)
		return nil
	}
	hasher := migrate.NewHasher()
	keep := s.cache.keep()
	if _, err := io.Copy(io.MultiWriter(hasher, keep), r.body); err != nil {
		return fmt.Errorf("message %d: %w", number, err)
	}
	s.drop.nameByDigest(number, hasher.Identity())
	s.cache.put(number, keep)
	return nil
}

// nameAll names every message.
func (s *Session) nameAll(ctx context.Context) error {
	for s.drop.named < s.drop.count() {
		if err := s.nameStretch(ctx); err != nil {
			return err
		}
	}
	return nil
}
