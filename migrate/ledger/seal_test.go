package ledger

import (
	"errors"
	"math/rand/v2"
	"os"
	"path/filepath"
	"testing"

	"postcask/migrate"
)

// copyOf copies a closed database and its seal.
func copyOf(t testing.TB, path string) string {
	t.Helper()
	to := filepath.Join(t.TempDir(), filepath.Base(path))
	for _, suffix := range []string{"", sealSuffix} {
		octets, err := os.ReadFile(path + suffix)
		must(t, err)
		must(t, os.WriteFile(to+suffix, octets, 0o600))
	}
	return to
}

// opened gives what opening and checking a database comes to.
func opened(t testing.TB, path string, o Options) error {
	t.Helper()
	db, err := Open(t.Context(), path, o)
	if err != nil {
		return err
	}
	return errors.Join(db.Check(t.Context()), db.Close())
}

// A bit that flips in a closed ledger is noticed, wherever it is, before anything is built on it.
func TestOneFlippedBitIsNoticed(t *testing.T) {
	path := copyOf(t, filled(t))
	whole, err := os.ReadFile(path)
	must(t, err)
	seed := rand.Uint64()
	random := rand.New(rand.NewPCG(seed, 0))
	for range 25 {
		at := random.IntN(len(whole))
		bit := byte(1) << random.IntN(8)
		whole[at] ^= bit
		must(t, os.WriteFile(path, whole, 0o600))
		whole[at] ^= bit
		for _, o := range []Options{{}, {ReadOnly: true}} {
			switch err := opened(t, path, o); {
			case err == nil:
				unsealed(t, path, seed, at)
			case migrate.KindOf(err) != migrate.Damaged || migrate.HintOf(err) == "":
				t.Errorf("seed %d, octet %d: %v", seed, at, err)
			}
		}
	}
	must(t, os.WriteFile(path, whole, 0o600))
	must(t, opened(t, path, Options{}))
}

// unsealed makes sure that the bit that nobody noticed is in the token itself, which stands for nothing else.
func unsealed(t *testing.T, path string, seed uint64, at int) {
	t.Helper()
	db, err := Open(t.Context(), path, Options{ReadOnly: true})
	must(t, err)
	defer closeDB(t, db)
	token, err := db.Meta(t.Context(), sealKey)
	must(t, err)
	if seal, err := readSeal(path + sealSuffix); err != nil || token != "" && len(seal) > len(token) && seal[:len(token)] == token {
		t.Errorf("seed %d, octet %d: a flipped bit was not noticed, %v", seed, at, err)
	}
	entries, _ := many(filledRows, "INBOX")
	same(t, "entries", all(t, ledgerOf(t, db).Entries(t.Context(), "INBOX")), entries)
}

// The seal of an older state counts for nothing, so a run that was cut off locks nobody out.
func TestASealOfAnotherStateCountsForNothing(t *testing.T) {
	path := filled(t)
	old, err := os.ReadFile(path + sealSuffix)
	must(t, err)
	db := openAt(t, path)
	must(t, db.SetMeta(t.Context(), "k", "v"))
	must(t, opened(t, path, Options{ReadOnly: true})) // while somebody writes
	must(t, db.Close())
	fresh, err := os.ReadFile(path + sealSuffix)
	must(t, err)
	if string(fresh) == string(old) {
		t.Error("the seal is still the old one")
	}
	must(t, opened(t, path, Options{}))
	for name, text := range map[string]string{"older": string(old), "torn": string(old[:10]), "empty": ""} {
		must(t, os.WriteFile(path+sealSuffix, []byte(text), 0o600))
		if err := opened(t, path, Options{}); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
	must(t, os.Remove(path+sealSuffix))
	must(t, opened(t, path, Options{}))
}

// To read changes nothing, and a seal that is a link leads nowhere.
func TestASealThatIsALinkIsNotFollowed(t *testing.T) {
	path := filled(t)
	victim := filepath.Join(t.TempDir(), "victim")
	must(t, os.WriteFile(victim, []byte("precious"), 0o600))
	must(t, os.Remove(path+sealSuffix))
	must(t, os.Symlink(victim, path+sealSuffix))
	if err := opened(t, path, Options{}); migrate.KindOf(err) != migrate.Unsafe {
		t.Errorf("got %v", err)
	}
	must(t, os.Remove(path+sealSuffix))
	must(t, os.Symlink(victim, path+sealSuffix+".tmp"))
	db := openAt(t, path)
	must(t, db.SetMeta(t.Context(), "k", "v"))
	must(t, db.Close())
	content, err := os.ReadFile(victim)
	must(t, err)
	same(t, "behind the link", string(content), "precious")
	must(t, opened(t, path, Options{}))
}
