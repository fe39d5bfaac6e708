package ledger

import (
	"context"
	"crypto/sha256"
	"fmt"
	"iter"
	"path/filepath"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"postcask/migrate"
)

// openAt opens a database that is there or not, and closes it when the test ends.
func openAt(t testing.TB, path string) *DB {
	t.Helper()
	db, err := Open(t.Context(), path, Options{Create: true})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { closeDB(t, db) })
	return db
}

func openNew(t testing.TB) *DB {
	t.Helper()
	return openAt(t, filepath.Join(t.TempDir(), "test.db"))
}

func closeDB(t testing.TB, db *DB) {
	t.Helper()
	if err := db.Close(); err != nil {
		t.Error(err)
	}
}

func ledgerOf(t testing.TB, db *DB) *Ledger {
	t.Helper()
	l, err := db.Ledger(t.Context(), "imaps://me@old.example.org", "imaps://me@new.example.net")
	if err != nil {
		t.Fatal(err)
	}
	return l
}

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func all[T any](t testing.TB, seq iter.Seq2[T, error]) []T {
	t.Helper()
	var items []T
	for item, err := range seq {
		if err != nil {
			t.Fatal(err)
		}
		items = append(items, item)
	}
	return items
}

func same(t testing.TB, what string, got, want any) {
	t.Helper()
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("%s (-want +got):\n%s", what, diff)
	}
}

func uid(n uint32) migrate.Key { return migrate.Key{Validity: 7, UID: n} }

func identity(text string) migrate.Identity {
	return migrate.Identity{Size: int64(len(text)), Full: sha256.Sum256([]byte(text)), Trimmed: sha256.Sum256([]byte("trimmed " + text))}
}

// arrived is an entry of a message that lies in dest under the same UID as at the source.
func arrived(n uint32, dest migrate.Path) migrate.Entry {
	return migrate.Entry{
		Key: uid(n), State: migrate.Arrived, Mailbox: dest, Place: migrate.Key{Validity: 9, UID: n},
		Identity: identity(fmt.Sprint("message ", n)), Flags: migrate.NewFlags(`\Seen`, "$Forwarded"),
	}
}

func many(count int, dest migrate.Path) ([]migrate.Entry, []migrate.Key) {
	entries, keys := make([]migrate.Entry, count), make([]migrate.Key, count)
	for i := range entries {
		entries[i] = arrived(uint32(i+1), dest)
		keys[i] = entries[i].Key
	}
	return entries, keys
}

func lookup(t testing.TB, l *Ledger, mbox migrate.Path, keys ...migrate.Key) []migrate.Entry {
	t.Helper()
	entries, err := l.Lookup(t.Context(), mbox, keys)
	must(t, err)
	return entries
}

var clock = time.Date(2021, 3, 4, 5, 6, 7, 0, time.UTC)

func cancelled(t testing.TB) context.Context {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	return ctx
}
