package memory

import (
	"context"
	"iter"
	"slices"
	"sync"
	"time"

	"postcask/migrate"
)

// A Keeper is a Store that answers for what it keeps. The operations are "read-back" and "note".
type Keeper struct {
	Store   *Store
	Latest  time.Time                       // what Newest tells
	AddedAt func(key migrate.Key) time.Time // nil: a minute ago
	Noted   map[migrate.Path][]migrate.Key  // what NoteDeleted was told
	mu      sync.Mutex
}

func (k *Keeper) step(ctx context.Context, operation string) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	if k.Store.Step != nil {
		return k.Store.Step(operation)
	}
	return nil
}

// Newest implements migrate.Keeper.
func (k *Keeper) Newest(context.Context) (time.Time, error) { return k.Latest, nil }

// Added implements migrate.Keeper.
func (k *Keeper) Added(_ context.Context, path migrate.Path, keys []migrate.Key) (map[migrate.Key]time.Time, error) {
	added := map[migrate.Key]time.Time{}
	for _, m := range k.Store.Messages(path) {
		if !slices.Contains(keys, m.Key) {
			continue
		}
		added[m.Key] = time.Now().Add(-time.Minute)
		if k.AddedAt != nil {
			added[m.Key] = k.AddedAt(m.Key)
		}
	}
	return added, nil
}

// ReadBack implements migrate.Keeper.
func (k *Keeper) ReadBack(ctx context.Context, path migrate.Path, keys []migrate.Key) iter.Seq2[migrate.ReadBack, error] {
	return func(yield func(migrate.ReadBack, error) bool) {
		for _, m := range k.Store.Messages(path) {
			if !slices.Contains(keys, m.Key) {
				continue
			}
			if err := k.step(ctx, "read-back"); err != nil {
				yield(migrate.ReadBack{}, err)
				return
			}
			whole, head := migrate.NewHasher(), migrate.NewHeaderHasher()
			whole.Write(m.Octets)
			head.Write(m.Octets)
			if !yield(migrate.ReadBack{Key: m.Key, Identity: whole.Identity(), Header: head.Digest()}, nil) {
				return
			}
		}
	}
}

// NoteDeleted implements migrate.Keeper.
func (k *Keeper) NoteDeleted(ctx context.Context, path migrate.Path, keys []migrate.Key) error {
	if err := k.step(ctx, "note"); err != nil {
		return err
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.Noted == nil {
		k.Noted = map[migrate.Path][]migrate.Key{}
	}
	k.Noted[path] = append(k.Noted[path], keys...)
	return nil
}

// Spoil flips a bit of a message, as a bad disk would.
func (s *Store) Spoil(path migrate.Path, key migrate.Key) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for i, m := range s.mailboxes[path].messages {
		if m.Key == key {
			octets := slices.Clone(m.Octets)
			octets[len(octets)/2] ^= 1
			s.mailboxes[path].messages[i].Octets = octets
		}
	}
}

var _ migrate.Keeper = (*Keeper)(nil)
