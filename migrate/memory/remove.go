package memory

import (
	"context"
	"errors"
	"slices"

	"postcask/migrate"
)

// removeLimit is how many messages one Remove takes, so that tests meet its bound.
const removeLimit = 3

// Remove implements migrate.Remover, at most removeLimit messages at a time. The operations are "remove" and
// "remove-done": an error at the latter loses the answer.
func (s *Session) Remove(ctx context.Context, path migrate.Path, doomed []migrate.Doomed) (migrate.Removal, error) {
	if err := s.step(ctx, "remove"); err != nil {
		return migrate.Removal{}, err
	}
	removal := migrate.Removal{Removed: make([]migrate.Removed, len(doomed)), Spent: true}
	for i, m := range doomed {
		removal.Removed[i] = migrate.Removed{Key: m.Key}
		if i < removeLimit {
			if removal.Removed[i].Fate = s.store.remove(path, m); removal.Removed[i].Fate == migrate.Kept {
				removal.Removed[i].Err = errors.New("other octets")
			}
		}
	}
	return removal, s.step(ctx, "remove-done")
}

func (s *Store) remove(path migrate.Path, m migrate.Doomed) migrate.Fate {
	s.mu.Lock()
	defer s.mu.Unlock()
	mbox := s.mailboxes[path]
	if mbox == nil {
		return migrate.Vanished
	}
	i := slices.IndexFunc(mbox.messages, func(have Stored) bool { return have.Key == m.Key })
	switch {
	case i < 0:
		return migrate.Vanished
	case m.Unread && !m.Identity.Same(identityOf(mbox.messages[i].Octets)):
		return migrate.Kept
	case s.MarkOnly:
		mbox.messages[i].Flags = migrate.NewFlags(append([]string{`\Deleted`}, mbox.messages[i].Flags...)...)
		return migrate.Marked
	}
	mbox.messages = slices.Delete(mbox.messages, i, i+1)
	return migrate.Gone
}

func identityOf(octets []byte) migrate.Identity {
	hasher := migrate.NewHasher()
	hasher.Write(octets)
	return hasher.Identity()
}

var _ migrate.Remover = (*Session)(nil)
