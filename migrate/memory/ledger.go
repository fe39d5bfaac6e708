package memory

import (
	"context"
	"iter"
	"maps"
	"slices"
	"sync"

	"postcask/migrate"
)

// A Ledger is a migrate.Ledger that forgets everything at the end of the process. Its zero value is empty. Failing, if
// set, is asked before each Record and may give an error in its place.
type Ledger struct {
	Failing func() error

	mu      sync.Mutex
	entries map[migrate.Path]map[migrate.Key]migrate.Entry
	seen    map[migrate.Path]migrate.Status
	next    map[migrate.Path]migrate.Key // see Accounted
}

// Lookup implements migrate.Ledger.
func (l *Ledger) Lookup(_ context.Context, mbox migrate.Path, keys []migrate.Key) ([]migrate.Entry, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	found := make([]migrate.Entry, len(keys))
	for i, key := range keys {
		found[i] = l.entries[mbox][key]
		found[i].Key = key
	}
	return found, nil
}

// Record implements migrate.Ledger.
func (l *Ledger) Record(_ context.Context, mbox migrate.Path, entries []migrate.Entry) error {
	if l.Failing != nil {
		if err := l.Failing(); err != nil {
			return err
		}
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.entries == nil {
		l.entries = map[migrate.Path]map[migrate.Key]migrate.Entry{}
	}
	if l.entries[mbox] == nil {
		l.entries[mbox] = map[migrate.Key]migrate.Entry{}
	}
	type place struct {
		mailbox migrate.Path
		key     migrate.Key
	}
	taken := map[place]bool{}
	for _, entry := range entries {
		if entry.State == migrate.Arrived && !entry.Place.IsZero() {
			taken[place{entry.Mailbox, entry.Place}] = true
		}
	}
	for _, others := range l.entries {
		maps.DeleteFunc(others, func(_ migrate.Key, other migrate.Entry) bool {
			return other.Retired && taken[place{other.Mailbox, other.Place}]
		})
	}
	for _, entry := range entries {
		l.entries[mbox][entry.Key] = entry
	}
	return nil
}

// Intend implements migrate.Ledger.
func (l *Ledger) Intend(ctx context.Context, mbox migrate.Path, entries []migrate.Entry) error {
	intended := slices.Clone(entries)
	for i := range intended {
		intended[i].State, intended[i].Retired = migrate.Intended, false
		l.mu.Lock()
		delete(l.next, intended[i].Mailbox)
		l.mu.Unlock()
	}
	return l.Record(ctx, mbox, intended)
}

// Entries implements migrate.Ledger.
func (l *Ledger) Entries(_ context.Context, mbox migrate.Path) iter.Seq2[migrate.Entry, error] {
	l.mu.Lock()
	entries := slices.SortedFunc(maps.Values(l.entries[mbox]), func(a, b migrate.Entry) int { return a.Key.Compare(b.Key) })
	l.mu.Unlock()
	return yieldAll(entries)
}

// Claims implements migrate.Ledger.
func (l *Ledger) Claims(_ context.Context, dest migrate.Path) iter.Seq2[migrate.Entry, error] {
	l.mu.Lock()
	var claims []migrate.Entry
	for _, entries := range l.entries {
		for _, entry := range entries {
			lies := entry.State == migrate.Arrived && !entry.Retired || entry.State == migrate.Intended
			if lies && entry.Mailbox == dest {
				claims = append(claims, entry)
			}
		}
	}
	l.mu.Unlock()
	return yieldAll(claims)
}

func yieldAll[T any](values []T) iter.Seq2[T, error] {
	return func(yield func(T, error) bool) {
		for _, value := range values {
			if !yield(value, nil) {
				return
			}
		}
	}
}

// Count implements migrate.Ledger.
func (l *Ledger) Count(_ context.Context, mbox migrate.Path) (int64, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	var n int64
	for _, entry := range l.entries[mbox] {
		if entry.State == migrate.Arrived && !entry.Retired {
			n++
		}
	}
	return n, nil
}

// Retire implements migrate.Ledger.
func (l *Ledger) Retire(_ context.Context, mbox migrate.Path, keys []migrate.Key) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, key := range keys {
		if entry, ok := l.entries[mbox][key]; ok {
			entry.Retired = true
			l.entries[mbox][key] = entry
		}
	}
	return nil
}

// Seen implements migrate.Ledger.
func (l *Ledger) Seen(_ context.Context, mbox migrate.Path) (migrate.Status, bool, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	status, ok := l.seen[mbox]
	return status, ok, nil
}

// SetSeen implements migrate.Ledger.
func (l *Ledger) SetSeen(_ context.Context, mbox migrate.Path, status migrate.Status) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.seen == nil {
		l.seen = map[migrate.Path]migrate.Status{}
	}
	l.seen[mbox] = status
	return nil
}

// Accounted implements migrate.Accountant.
func (l *Ledger) Accounted(_ context.Context, dest migrate.Path) (migrate.Key, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.next[dest], nil
}

// SetAccounted implements migrate.Accountant.
func (l *Ledger) SetAccounted(_ context.Context, next map[migrate.Path]migrate.Key) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.next == nil {
		l.next = map[migrate.Path]migrate.Key{}
	}
	maps.Copy(l.next, next)
	return nil
}

// Lying implements migrate.Accountant.
func (l *Ledger) Lying(_ context.Context, dest migrate.Path) (arrived int64, retired []migrate.Entry, err error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, entries := range l.entries {
		for _, entry := range entries {
			switch {
			case entry.State != migrate.Arrived || entry.Mailbox != dest:
			case entry.Retired:
				retired = append(retired, entry)
			default:
				arrived++
			}
		}
	}
	return arrived, retired, nil
}

var _ migrate.Accountant = (*Ledger)(nil)
