package ledger

import (
	"bytes"
	"errors"
	"math/rand/v2"
	"os"
	"path/filepath"
	"testing"

	"postcask/migrate"
)

// opened gives what opening, checking and closing a database comes to.
func opened(t testing.TB, path string, o Options) error {
	t.Helper()
	db, err := Open(t.Context(), path, o)
	if err != nil {
		return err
	}
	return errors.Join(db.Check(t.Context()), db.Close())
}

// A bit that flips in a closed ledger is noticed, wherever it is.
func TestOneFlippedBitIsNoticed(t *testing.T) {
	path := filled(t)
	whole, err := os.ReadFile(path)
	must(t, err)
	seed := rand.Uint64()
	random := rand.New(rand.NewPCG(seed, 0))
	for range 25 {
		place, bit := random.IntN(len(whole)), byte(1)<<random.IntN(8)
		whole[place] ^= bit
		must(t, os.WriteFile(path, whole, 0o600))
		whole[place] ^= bit
		for _, o := range []Options{{}, {ReadOnly: true}} {
			if err := opened(t, path, o); migrate.KindOf(err) != migrate.Damaged || migrate.HintOf(err) == "" {
				t.Errorf("seed %d, octet %d, bit %#x: %v", seed, place, bit, err)
			}
		}
	}
	must(t, os.WriteFile(path, whole, 0o600))
	must(t, opened(t, path, Options{}))
}

// Nobody needs to ask for a check: whatever is read is right, or is told to be damaged.
func TestOneFlippedBitNeverTellsAnythingWrong(t *testing.T) {
	path := filled(t)
	whole, err := os.ReadFile(path)
	must(t, err)
	want, keys := many(filledRows, "INBOX")
	seed := rand.Uint64()
	random := rand.New(rand.NewPCG(seed, 0))
	noticed := 0
	for range 25 {
		place, bit := random.IntN(len(whole)), byte(1)<<random.IntN(8)
		whole[place] ^= bit
		must(t, os.WriteFile(path, whole, 0o600))
		whole[place] ^= bit
		got, count, err := askedOf(t, path, keys)
		switch {
		case err == nil:
			same(t, "entries", got, want)
			same(t, "count", count, int64(filledRows))
		case migrate.KindOf(err) != migrate.Damaged:
			t.Errorf("seed %d, octet %d, bit %#x: %v", seed, place, bit, err)
		default:
			noticed++
		}
	}
	if noticed == 0 {
		t.Errorf("seed %d: none was noticed", seed)
	}
}

func askedOf(t *testing.T, path string, keys []migrate.Key) ([]migrate.Entry, int64, error) {
	db, err := Open(t.Context(), path, Options{ReadOnly: true})
	if err != nil {
		return nil, 0, err
	}
	defer closeDB(t, db)
	l := ledgerOf(t, db)
	count, err := l.Count(t.Context(), "INBOX")
	if err != nil {
		return nil, 0, err
	}
	entries, err := l.Lookup(t.Context(), "INBOX", keys)
	return entries, count, err
}

// A disk that writes a page in another's place is found out, though each page is sound by itself.
func TestPagesThatChangedPlacesAreNoticed(t *testing.T) {
	path := filled(t)
	whole, err := os.ReadFile(path)
	must(t, err)
	last := len(whole) - pageSize
	page := bytes.Clone(whole[last:])
	copy(whole[last:], whole[last-pageSize:last])
	copy(whole[last-pageSize:], page)
	must(t, os.WriteFile(path, whole, 0o600))
	if err := opened(t, path, Options{}); migrate.KindOf(err) != migrate.Damaged {
		t.Errorf("got %v", err)
	}
}

// Large rows go past SQLite's cache when they are read; their sums count all the same.
func TestAFlippedBitInALargeRowIsNoticed(t *testing.T) {
	path := filepath.Join(t.TempDir(), "test.db")
	value := string(bytes.Repeat([]byte("x"), 40*pageSize))
	db := openAt(t, path)
	must(t, db.SetMeta(t.Context(), "large", value))
	must(t, db.Close())
	whole, err := os.ReadFile(path)
	must(t, err)
	ask := func(o Options) (string, error) {
		db, err := Open(t.Context(), path, o)
		must(t, err)
		defer closeDB(t, db)
		return db.Meta(t.Context(), "large")
	}
	got, err := ask(Options{ReadOnly: true})
	must(t, err)
	if got != value {
		t.Error("the value has changed")
	}
	whole[len(whole)/2] ^= 4
	must(t, os.WriteFile(path, whole, 0o600))
	for _, o := range []Options{{}, {ReadOnly: true}} {
		if _, err := ask(o); migrate.KindOf(err) != migrate.Damaged {
			t.Errorf("%+v: %v", o, err)
		}
	}
}

// Every page of a file that was written and closed bears its sum, and to read changes nothing.
func TestEveryPageHasItsSum(t *testing.T) {
	path := filled(t)
	whole, err := os.ReadFile(path)
	must(t, err)
	for n := range len(whole) / pageSize {
		if !hasSum(uint32(n+1), whole[n*pageSize:][:pageSize]) {
			t.Errorf("page %d of %d has none", n+1, len(whole)/pageSize)
		}
	}
	for _, o := range []Options{{}, {ReadOnly: true}} {
		must(t, opened(t, path, o))
		after, err := os.ReadFile(path)
		must(t, err)
		if !bytes.Equal(whole, after) {
			t.Errorf("%+v: the file has changed", o)
		}
	}
}
