package ledger

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"sync"
	"testing"

	"postcask/migrate"
)

// What a power cut leaves: the file, and the log up to some octet. Whole groups come back, from the first on; a log
// that is whole gives all that Record accepted.
func TestATornLogGivesWholeGroups(t *testing.T) {
	const groups, each = 6, 5
	path := filepath.Join(t.TempDir(), "test.db")
	db := openAt(t, path)
	var ends []int64 // length of the log behind each group
	length := func() int64 {
		info, err := os.Stat(path + "-wal")
		must(t, err)
		return info.Size()
	}
	entries, _ := many(groups*each, "INBOX")
	before := length()
	for i := range groups {
		must(t, ledgerOf(t, db).Record(t.Context(), "INBOX", entries[i*each:(i+1)*each]))
		ends = append(ends, length())
	}
	file, err := os.ReadFile(path)
	must(t, err)
	log, err := os.ReadFile(path + "-wal")
	must(t, err)
	for cut := before; ; cut += 2999 {
		cut = min(cut, int64(len(log)))
		whole := 0
		for _, end := range ends {
			if end <= cut {
				whole++
			}
		}
		torn := filepath.Join(t.TempDir(), "torn.db")
		must(t, os.WriteFile(torn, file, 0o600))
		must(t, os.WriteFile(torn+"-wal", log[:cut], 0o600))
		again, err := Open(t.Context(), torn, Options{})
		must(t, err)
		must(t, again.Check(t.Context()))
		got := all(t, ledgerOf(t, again).Entries(t.Context(), "INBOX"))
		same(t, fmt.Sprintf("entries with %d of %d octets", cut, len(log)), len(got), whole*each)
		must(t, ledgerOf(t, again).Record(t.Context(), "INBOX", entries))
		same(t, "entries of the next run", all(t, ledgerOf(t, again).Entries(t.Context(), "INBOX")), entries)
		must(t, again.Close())
		if cut == int64(len(log)) {
			break
		}
	}
}

func TestSeveralGoroutines(t *testing.T) {
	db := openNew(t)
	put(t, db, "INBOX")
	const workers, rounds, each = 6, 4, 10
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	var wait sync.WaitGroup
	for w := range workers {
		l := ledgerOf(t, db)
		wait.Go(func() {
			mbox := migrate.Path(fmt.Sprint("box ", w%3)) // two workers each
			for r := range rounds {
				var group []migrate.Entry
				var keys []migrate.Key
				for i := range each {
					e := arrived(uint32(w*1000+r*each+i+1), "All")
					group, keys = append(group, e), append(keys, e.Key)
				}
				if err := l.Record(ctx, mbox, group); err != nil {
					t.Error(err)
				}
				if got, err := l.Lookup(ctx, mbox, keys); err != nil || got[each-1].State != migrate.Arrived {
					t.Error("own write not seen", err)
				}
				if err := db.AddMessages(ctx, "INBOX", make([]Message, each), -1); err != nil {
					t.Error(err)
				}
				for _, err := range l.Claims(ctx, "All") {
					if err != nil {
						t.Error(err)
					}
				}
			}
		})
	}
	for range 2 { // readers that see only whole groups
		wait.Go(func() {
			for range 20 {
				if n, err := ledgerOf(t, db).Count(ctx, "box 1"); err != nil || n%each != 0 {
					t.Error("half a group:", n, err)
				}
				if n, _, err := db.Totals(ctx, "INBOX"); err != nil || n%each != 0 {
					t.Error("half a group of messages:", n, err)
				}
			}
		})
	}
	wait.Wait()
	total := workers * rounds * each
	same(t, "claims", len(all(t, ledgerOf(t, db).Claims(t.Context(), "All"))), total)
	same(t, "messages", len(all(t, db.Messages(t.Context(), "INBOX"))), total)
	must(t, db.Check(t.Context()))
}
