package ledger

import (
	"errors"
	"os"
	"path/filepath"
	"testing"

	"postcask/migrate"
)

// A ledger whose file or log is cut or spoilt in any way is never a fault, and never takes for arrived what did not: what
// opens and passes Check tells the truth about each message, or knows less of it.
func FuzzSpoiltLedger(f *testing.F) {
	base := filepath.Join(f.TempDir(), "test.db")
	db, err := Open(f.Context(), base, Options{Create: true})
	must(f, err)
	entries, keys := many(40, "INBOX")
	must(f, ledgerOf(f, db).Record(f.Context(), "INBOX", entries[:20]))
	must(f, db.Close())
	file, err := os.ReadFile(base)
	must(f, err)
	db, err = Open(f.Context(), base, Options{})
	must(f, err)
	must(f, ledgerOf(f, db).Record(f.Context(), "INBOX", entries[20:30]))
	log, err := os.ReadFile(base + "-wal") // as a crash leaves it
	must(f, err)
	must(f, db.Close())

	f.Add(uint32(0), uint32(0), byte(0), false, true)
	f.Add(uint32(100), uint32(0), byte(1), true, false)
	f.Add(uint32(18), uint32(0), byte(2), false, false)
	f.Add(uint32(5000), uint32(9000), byte(128), true, true)
	f.Add(uint32(70000), uint32(40960), byte(4), false, false)
	f.Fuzz(func(t *testing.T, at, cut uint32, mask byte, withLog, readOnly bool) {
		path := filepath.Join(t.TempDir(), "test.db")
		octets, name := append([]byte(nil), file...), path
		if withLog {
			must(t, os.WriteFile(path, file, 0o600))
			octets, name = append([]byte(nil), log...), path+"-wal"
		}
		octets[int(at)%len(octets)] ^= mask
		if cut > 0 {
			octets = octets[:int(cut)%len(octets)]
		}
		must(t, os.WriteFile(name, octets, 0o600))
		db, err := Open(t.Context(), path, Options{ReadOnly: readOnly})
		if err != nil {
			if migrate.KindOf(err) != migrate.Damaged {
				t.Errorf("opening says %v", err)
			}
			return
		}
		defer db.Close()
		known, err := db.Ledger(t.Context(), "imaps://me@old.example.org", "imaps://me@new.example.net")
		if err = errors.Join(db.Check(t.Context()), err); err != nil {
			return
		}
		got, err := known.Lookup(t.Context(), "INBOX", keys)
		if err != nil {
			return
		}
		for i, e := range got {
			switch {
			case e.State == 0:
			case i >= 30:
				t.Errorf("message %d never arrived: %+v", i, e)
			default:
				same(t, "entry", e, entries[i])
			}
		}
	})
}
