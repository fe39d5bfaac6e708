package ledger

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"syscall"
	"testing"

	sqlite3 "modernc.org/sqlite/lib"

	"postcask/migrate"
)

const (
	sessions  = 2
	groupsIn  = 2 // in a session
	groupRows = 3

	every = 12 // of all calls, one in so many fails in one run of a test, other ones each time
)

// groupOf gives a group of entries, and messages whose Message-ID tells the group.
func groupOf(n int) ([]migrate.Entry, []Message) {
	entries, messages := make([]migrate.Entry, groupRows), make([]Message, groupRows)
	for i := range entries {
		entries[i] = arrived(uint32(n*groupRows+i+1), "INBOX")
		messages[i] = Message{Base: fmt.Sprint("m", n, "-", i), Identity: entries[i].Identity, MessageID: fmt.Sprintf("<%d@example.org>", n)}
	}
	return entries, messages
}

// A story is what a run did: which groups it was told are safe, and how much the disk had been called by then.
type story struct {
	recorded, added map[int]int
	errs            []error
}

// tell works on the ledger at path as runs do, one after the other, each as far as the disk lets it.
func tell(t *testing.T, path string) story {
	s := story{recorded: map[int]int{}, added: map[int]int{}}
	for session := range sessions {
		db, err := Open(t.Context(), path, Options{Create: true})
		if err != nil {
			s.errs = append(s.errs, err)
			continue
		}
		err = db.PutMailbox(t.Context(), Mailbox{Mailbox: migrate.Mailbox{Path: "INBOX"}})
		for g := session * groupsIn; g < (session+1)*groupsIn && err == nil; g++ {
			entries, messages := groupOf(g)
			if err = db.AddMessages(t.Context(), "INBOX", messages, int64(g)); err != nil {
				break
			}
			s.added[g] = callsSoFar()
			if err = ledgerOf(t, db).Record(t.Context(), "INBOX", entries); err == nil {
				s.recorded[g] = callsSoFar()
			}
		}
		s.errs = append(s.errs, err, db.Close())
	}
	return s
}

// holds makes sure that the ledger at path has every group that counts, and no half group, then goes on with it.
func holds(t *testing.T, what, path string, counts func(calls int) bool, s story) {
	t.Helper()
	db, err := Open(t.Context(), path, Options{Create: true})
	if err != nil {
		t.Errorf("%s: the next run: %v", what, err)
		return
	}
	defer closeDB(t, db)
	if err := db.Check(t.Context()); err != nil {
		t.Errorf("%s: %v", what, err)
	}
	entries, messages := map[int]int{}, map[int]int{}
	for _, e := range all(t, ledgerOf(t, db).Entries(t.Context(), "INBOX")) {
		entries[int(e.Key.UID-1)/groupRows]++
	}
	for _, m := range all(t, db.Messages(t.Context(), "INBOX")) {
		var g int
		fmt.Sscanf(m.MessageID, "<%d@", &g)
		messages[g]++
	}
	for g := range sessions * groupsIn {
		for _, kind := range []struct {
			name string
			have int
			told map[int]int
		}{{"entries", entries[g], s.recorded}, {"messages", messages[g], s.added}} {
			calls, told := kind.told[g]
			if kind.have != groupRows && (kind.have != 0 || told && counts(calls)) {
				t.Errorf("%s: %d %s of group %d", what, kind.have, kind.name, g)
			}
		}
		group, _ := groupOf(g)
		must(t, ledgerOf(t, db).Record(t.Context(), "INBOX", group))
	}
	if n, err := ledgerOf(t, db).Count(t.Context(), "INBOX"); n != sessions*groupsIn*groupRows || err != nil {
		t.Errorf("%s: %d in the end, %v", what, n, err)
	}
}

// Whichever write, sync, cut or removal fails, once or from then on: what was told to be safe is, and the next run goes on.
func TestADiskThatFailsAtAnyCallLosesNothing(t *testing.T) {
	rest := watch(breakdown{})
	tell(t, filepath.Join(t.TempDir(), "test.db"))
	calls := len(rest())
	if calls < 40 {
		t.Fatalf("only %d calls", calls)
	}
	for name, plan := range map[string]breakdown{
		"full from then on": {code: sqlite3.SQLITE_FULL, stays: true, short: true},
		"broken once":       {code: sqlite3.SQLITE_IOERR_WRITE, short: true},
	} {
		told := 0
		for plan.at = 1 + rand.IntN(every); plan.at <= calls; plan.at += every {
			path := filepath.Join(t.TempDir(), "test.db")
			rest := watch(plan)
			s := tell(t, path)
			rest()
			for _, err := range s.errs {
				if err == nil {
					continue
				}
				told++
				if migrate.KindOf(err) == migrate.Damaged || !errors.Is(err, syscall.ENOSPC) && !errors.Is(err, syscall.EIO) {
					t.Errorf("%s at call %d: %v", name, plan.at, err)
				}
			}
			holds(t, fmt.Sprintf("%s at call %d", name, plan.at), path, func(int) bool { return true }, s)
		}
		if told < calls/every/2 {
			t.Errorf("%s: only %d of %d were told of", name, told, calls)
		}
	}
}

// The power goes at any moment: of what was not synced, some writes reach the disk, some do not, some by half.
func TestAPowerCutLosesNothingThatWasToldToBeSafe(t *testing.T) {
	const cuts = 40
	path := filepath.Join(t.TempDir(), "test.db")
	must(t, create(path, os.O_EXCL))
	rest := watch(breakdown{})
	s := tell(t, path)
	calls := rest()
	must(t, errors.Join(s.errs...))
	seed := rand.Uint64()
	random := rand.New(rand.NewPCG(seed, 0))
	for range cuts {
		cut := random.IntN(len(calls) + 1)
		after := filepath.Join(t.TempDir(), "test.db")
		for name, octets := range leftBy(random, path, calls[:cut]) {
			must(t, os.WriteFile(filepath.Join(filepath.Dir(after), filepath.Base(name)), octets, 0o600))
		}
		holds(t, fmt.Sprintf("seed %d, cut at call %d of %d", seed, cut, len(calls)), after, func(n int) bool { return n <= cut }, s)
	}
}

// leftBy gives what the disk holds after these calls and a loss of power: what was synced, and of the rest what chance
// leaves. The database at path was there, and empty, before.
func leftBy(random *rand.Rand, path string, calls []diskCall) map[string][]byte {
	files := map[string][]byte{path: emptyDatabase()}
	for i, c := range calls {
		safe := false // whether a sync of the file follows
		for _, later := range calls[i+1:] {
			safe = safe || later.does == "sync" && later.file == c.file
		}
		if !safe && random.IntN(3) == 0 {
			continue
		}
		switch c.does {
		case "write":
			octets := c.octets
			if !safe && random.IntN(4) == 0 {
				octets = octets[:random.IntN(len(octets))/512*512]
			}
			file := files[c.file]
			if short := int(c.offset) + len(octets) - len(file); short > 0 {
				file = append(file, make([]byte, short)...)
			}
			copy(file[c.offset:], octets)
			files[c.file] = file
		case "truncate":
			if int64(len(files[c.file])) > c.offset {
				files[c.file] = files[c.file][:c.offset]
			}
		case "delete":
			delete(files, c.file)
		}
	}
	return files
}
