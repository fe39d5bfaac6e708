package memory

import (
	"context"
	"iter"

	"postcask/migrate"
)

// Knowing is a Session that tells the Identity of what it lists, as an archive does.
type Knowing struct{ *Session }

// OpenKnowing gives one more connection to the store.
func (s *Store) OpenKnowing() Knowing { return Knowing{&Session{store: s}} }

// Knower implements migrate.Knower.
func (Knowing) Knower() {}

// Messages implements migrate.Source.
func (k Knowing) Messages(ctx context.Context, path migrate.Path) iter.Seq2[migrate.Message, error] {
	return func(yield func(migrate.Message, error) bool) {
		octets := map[migrate.Key][]byte{}
		for _, m := range k.store.Messages(path) {
			octets[m.Key] = m.Octets
		}
		for m, err := range k.Session.Messages(ctx, path) {
			if err == nil {
				hasher := migrate.NewHasher()
				hasher.Write(octets[m.Key])
				m.Identity = hasher.Identity()
			}
			if !yield(m, err) {
				return
			}
		}
	}
}
