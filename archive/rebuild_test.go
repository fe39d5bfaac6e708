package archive

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"postcask/migrate"
	"postcask/migrate/ledger"
)

// odd are mailboxes whose names are not what lies on disk.
var odd = []migrate.Path{
	"INBOX", "Work", "Work/2020", "work", "tmp", migrate.NewPath("a/b", ".."), "Entwürfe", migrate.NewPath(strings.Repeat("long ", 100) + "name"),
}

// furnish fills an archive with all that makes a rebuild hard.
func furnish(t *testing.T, a *Archive) {
	t.Helper()
	s := a.Sink()
	defer s.Close()
	for _, path := range odd {
		if err := s.Create(t.Context(), migrate.Mailbox{Path: path}); err != nil {
			t.Fatal(err)
		}
		for i, text := range slices.Concat(verified, []string{"twin\r\n", "twin\r\n", "\r\n", "x", "lone \r CR\r\n", "\r", ">From \r\n", string(path) + "\r\n"}) {
			flags := []migrate.Flags{nil, migrate.NewFlags(`\Seen`), migrate.NewFlags(`\Flagged`, "$Forwarded", "NonJunk"), migrate.NewFlags("$Label1")}[i%4]
			m := migrate.Message{InternalDate: arrived.AddDate(0, 0, i), Flags: flags}
			if err := s.Append(t.Context(), path, m, bodyOf(text)); err != nil {
				t.Fatal(err)
			}
		}
		commit(t, s)
	}
}

// rowsAsRebuilt gives all rows, less what a rebuild cannot know: the zone of dates, when a message of an mbox file
// came, and the flags there.
func rowsAsRebuilt(t *testing.T, a *Archive) []ledger.Message {
	t.Helper()
	var all []ledger.Message
	for _, path := range odd {
		for _, row := range rowsOf(t, a, path) {
			row.ID, row.InternalDate = 0, row.InternalDate.UTC()
			if a.Format() == Mbox {
				row.Flags, row.Added = nil, row.InternalDate
			} else if len(row.Flags) == 0 {
				row.Flags = nil
			}
			all = append(all, row)
		}
	}
	return all
}

func rebuild(t *testing.T, dir string) (Rebuilt, []Problem) {
	t.Helper()
	var problems []Problem
	done, err := Rebuild(t.Context(), dir, func(p Problem) { problems = append(problems, p) })
	if err != nil {
		t.Fatal(err)
	}
	return done, problems
}

func mustOpen(t *testing.T, dir string) *Archive {
	t.Helper()
	a, err := Open(t.Context(), dir, Options{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { a.Close() })
	return a
}

// Whatever of .postcask is gone or spoilt, the rebuilt index names every message by the same octets, dates, flags and
// names, and the old folder is kept.
func TestRebuildAfterTheIndexIsGone(t *testing.T) {
	spoil := map[string]func(own string) error{
		"the folder is gone":         os.RemoveAll,
		"index.db is gone":           func(own string) error { return os.Remove(filepath.Join(own, indexFile)) },
		"index.db is empty":          func(own string) error { return os.Truncate(filepath.Join(own, indexFile), 0) },
		"index.db is cut in half":    func(own string) error { return os.Truncate(filepath.Join(own, indexFile), 30000) },
		"index.db is something else": func(own string) error { return os.WriteFile(filepath.Join(own, indexFile), []byte("hello"), 0o600) },
	}
	for name, damage := range spoil {
		t.Run(name, func(t *testing.T) {
			inEach(t, func(t *testing.T, a *Archive) {
				furnish(t, a)
				want, id := rowsAsRebuilt(t, a), a.ID()
				if err := a.Close(); err != nil {
					t.Fatal(err)
				}
				if err := damage(filepath.Join(a.Dir(), ownDir)); err != nil {
					t.Fatal(err)
				}
				if _, err := Open(t.Context(), a.Dir(), Options{}); migrate.KindOf(err) != migrate.Damaged || !strings.Contains(migrate.HintOf(err), "doctor --rebuild") {
					t.Errorf("opened as it is: %v, hint %q", err, migrate.HintOf(err))
				}
				done, problems := rebuild(t, a.Dir())
				if len(problems) > 0 || done.Left != 0 || done.Whole || int(done.Messages) != len(want) || int(done.Mailboxes) != len(odd) {
					t.Errorf("%+v, %+v, want %d messages", done, problems, len(want))
				}
				if kept := name != "the folder is gone"; kept != (done.Kept != "") {
					t.Errorf("kept: %q", done.Kept)
				}
				if done.Kept != "" {
					if _, err := os.Stat(filepath.Join(a.Dir(), done.Kept)); err != nil {
						t.Error(err)
					}
				}
				b := mustOpen(t, a.Dir())
				if b.Recovered() != (Recovery{}) {
					t.Errorf("not in order: %v", b.Recovered())
				}
				if b.Format() != a.Format() || (b.ID() == id) != (name != "the folder is gone") {
					t.Errorf("%s, %s; it was %s, %s", b.Format(), b.ID(), a.Format(), id)
				}
				got := rowsAsRebuilt(t, b)
				if a.Format() == Mbox {
					for i := range got {
						got[i].Added = want[i].Added // checked below for Maildir
					}
				}
				if diff := cmp.Diff(want, got); diff != "" {
					t.Errorf("rows (-before +rebuilt): %.3000s", diff)
				}
				verifyClean(t, b)
				store(t, b, "INBOX", "goes on\r\n")
				verifyClean(t, b)
			})
		})
	}
}

// One bit of the index is put right, or it is one that nothing depends on.
func TestRebuildAfterFlippedBitsInTheIndex(t *testing.T) {
	inEach(t, func(t *testing.T, a *Archive) {
		furnish(t, a)
		want := rowsAsRebuilt(t, a)
		if err := a.Close(); err != nil {
			t.Fatal(err)
		}
		index := filepath.Join(a.Dir(), ownDir, indexFile)
		whole, err := os.ReadFile(index)
		if err != nil {
			t.Fatal(err)
		}
		random := rand.New(rand.NewPCG(7, 7))
		noticed := 0
		for range 12 {
			spoilt := slices.Clone(whole)
			spoilt[random.IntN(len(spoilt))] ^= 1 << random.IntN(8)
			if err := os.WriteFile(index, spoilt, 0o600); err != nil {
				t.Fatal(err)
			}
			done, _ := rebuild(t, a.Dir())
			if !done.Whole {
				noticed++
			}
			b := mustOpen(t, a.Dir())
			got := rowsAsRebuilt(t, b)
			if a.Format() == Mbox && len(got) == len(want) {
				for i := range got {
					got[i].Added = want[i].Added
				}
			}
			if diff := cmp.Diff(want, got); diff != "" {
				t.Fatalf("rows (-before +rebuilt): %.2000s", diff)
			}
			verifyClean(t, b)
			b.Close()
		}
		if noticed == 0 {
			t.Error("no damage was noticed")
		}
	})
}

// With archive.json alone gone or spoilt the index stays, with its flags and ledgers, and the archive keeps its id.
func TestRebuildOfTheManifestAlone(t *testing.T) {
	inEach(t, func(t *testing.T, a *Archive) {
		furnish(t, a)
		known, err := a.Ledger(t.Context(), "imaps://me@mail.example.org:993")
		if err != nil {
			t.Fatal(err)
		}
		entry := migrate.Entry{Key: migrate.Key{Validity: 1, UID: 1}, State: migrate.Arrived, Mailbox: "INBOX", Place: keyOf(1)}
		if err := known.Record(t.Context(), "INBOX", []migrate.Entry{entry}); err != nil {
			t.Fatal(err)
		}
		before := rowsOf(t, a, "Work")
		a.Close()
		for name, damage := range map[string]func(string) error{
			"gone": os.Remove, "spoilt": func(path string) error { return os.WriteFile(path, []byte(`{"format"`), 0o600) },
		} {
			if err := damage(filepath.Join(a.Dir(), ownDir, manifestFile)); err != nil {
				t.Fatal(err)
			}
			if _, err := Create(t.Context(), a.Dir(), a.Format(), ""); migrate.KindOf(err) != migrate.Damaged || !strings.Contains(migrate.HintOf(err), "doctor --rebuild") {
				t.Errorf("%s: a new archive in its place: %v, hint %q", name, err, migrate.HintOf(err))
			}
			if done, problems := rebuild(t, a.Dir()); len(problems) > 0 || done.Messages != int64(len(odd)*(len(verified)+8)) {
				t.Errorf("%s: %+v, %+v", name, done, problems)
			}
			b := mustOpen(t, a.Dir())
			if b.ID() != a.ID() || b.Format() != a.Format() {
				t.Errorf("%s: %s, %s; it was %s, %s", name, b.ID(), b.Format(), a.ID(), a.Format())
			}
			if diff := cmp.Diff(before, rowsOf(t, b, "Work")); diff != "" {
				t.Errorf("%s: %s", name, diff)
			}
			b.Close()
		}
	})
}

// An archive in good order is left alone.
func TestRebuildOfWhatIsWhole(t *testing.T) {
	inEach(t, func(t *testing.T, a *Archive) {
		furnish(t, a)
		a.Close()
		before := files(t, a.Dir(), "*")
		if done, problems := rebuild(t, a.Dir()); !done.Whole || len(problems) > 0 || done.Kept != "" {
			t.Errorf("%+v, %+v", done, problems)
		}
		var after []string
		for _, name := range files(t, a.Dir(), "*") {
			if !strings.HasSuffix(name, "-wal") && !strings.HasSuffix(name, "-shm") {
				after = append(after, name)
			}
		}
		if diff := cmp.Diff(before, after); diff != "" {
			t.Error(diff)
		}
	})
}

// What is foreign or not whole is named and costs nothing else; what was in the quarantine stays there.
func TestRebuildNamesWhatItCannotTakeUp(t *testing.T) {
	inEach(t, func(t *testing.T, a *Archive) {
		store(t, a, "INBOX", "A: 1\r\n\r\none\r\n", "A: 2\r\n\r\ntwo\r\n", "A: 3\r\n\r\nthree\r\n")
		if err := os.WriteFile(filepath.Join(a.Dir(), ownDir, quarantineDir, "earlier.eml"), []byte("x"), 0o600); err != nil {
			t.Fatal(err)
		}
		a.Close()
		if err := os.Remove(filepath.Join(a.Dir(), ownDir, indexFile)); err != nil {
			t.Fatal(err)
		}
		secret := filepath.Join(t.TempDir(), "secret")
		if err := os.WriteFile(secret, []byte("From MAILER-DAEMON Thu Mar  4 03:06:07 2021\nA: stolen\n\n\n"), 0o600); err != nil {
			t.Fatal(err)
		}
		want := 0
		spoil := func(err error) {
			t.Helper()
			want++
			if err != nil {
				t.Fatal(err)
			}
		}
		inbox := filepath.Join(a.Dir(), "INBOX")
		if a.Format() == Maildir {
			spoil(os.WriteFile(filepath.Join(inbox, "cur", "1700000000.R123_4.host:2,S"), []byte("x"), 0o600))
			spoil(os.Truncate(files(t, inbox, "*Q2*")[0], 5))
			spoil(os.Symlink(secret, filepath.Join(inbox, "cur", "1500000000.M1P2Q9Rother.host,S=50,W=60:2,")))
			spoil(os.MkdirAll(filepath.Join(a.Dir(), "100%", "cur"), 0o700))
		} else {
			text, err := os.ReadFile(inbox + mboxSuffix)
			if err != nil {
				t.Fatal(err)
			}
			text = []byte(strings.Replace(string(text), "From MAILER-DAEMON", "From somebody-else", 2))
			text = []byte(strings.Replace(string(text), "From somebody-else", "From MAILER-DAEMON", 1)) // the second alone
			spoil(os.WriteFile(inbox+mboxSuffix, append(text, "From MAILER-DAEMON Thu Mar  4 03:06:07 2021\ntorn"...), 0o600))
			spoil(os.Symlink(secret, filepath.Join(a.Dir(), "Stolen.mbox")))
			spoil(os.WriteFile(filepath.Join(a.Dir(), "100%.mbox"), nil, 0o600))
			want++ // the torn tail, beside the second message
		}
		done, problems := rebuild(t, a.Dir())
		if len(problems) != want || int(done.Left) != want || done.Messages != 2 {
			t.Errorf("%+v, %+v, want %d problems", done, problems, want)
		}
		b := mustOpen(t, a.Dir())
		if diff := cmp.Diff([]string{"A: 1\r\n\r\none\r\n", "A: 3\r\n\r\nthree\r\n"}, texts(t, b, "INBOX")); diff != "" && a.Format() == Mbox {
			t.Error(diff)
		}
		if kept := files(t, filepath.Join(a.Dir(), ownDir, quarantineDir), "*"); len(kept) != 2 {
			t.Errorf("the quarantine holds %q", kept)
		}
		store(t, b, "INBOX", "A: 4\r\n\r\nfour\r\n")
		if got := texts(t, b, "INBOX"); len(got) != 3 || got[2] != "A: 4\r\n\r\nfour\r\n" {
			t.Errorf("got %q", got)
		}
	})
}

// A folder that is no archive does not become one by mistake.
func TestRebuildRefusesWhatIsNoArchive(t *testing.T) {
	for name, fill := range map[string]func(dir string) error{
		"empty":           func(string) error { return nil },
		"foreign Maildir": func(dir string) error { return os.MkdirAll(filepath.Join(dir, "cur"), 0o700) },
		"foreign mbox": func(dir string) error {
			return os.WriteFile(filepath.Join(dir, "x.mbox"), []byte("From me@example.org Thu Mar  4 03:06:07 2021\n\nx\n\n"), 0o600)
		},
		"two formats": func(dir string) error {
			return errors.Join(os.MkdirAll(filepath.Join(dir, "A", "cur"), 0o700), os.WriteFile(filepath.Join(dir, "x.mbox"), nil, 0o600))
		},
	} {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			if err := os.Chmod(dir, 0o700); err != nil {
				t.Fatal(err)
			}
			if err := fill(dir); err != nil {
				t.Fatal(err)
			}
			if _, err := Rebuild(t.Context(), dir, func(Problem) {}); migrate.KindOf(err) != migrate.Damaged {
				t.Errorf("got %v", err)
			}
			if left := files(t, dir, ".postcask*"); len(left) > 0 {
				t.Errorf("left behind: %q", left)
			}
			if _, err := os.Lstat(filepath.Join(dir, ownDir)); err == nil {
				t.Error("it has a .postcask now")
			}
		})
	}
}

// A rebuild that fails at any call of the file system, or is cut off there, leaves all the mail, and the next one
// completes it.
func TestRebuildFailsAnywhere(t *testing.T) {
	for _, format := range formats {
		t.Run(string(format), func(t *testing.T) {
			for n := 1; ; n++ {
				a := newArchive(t, format)
				store(t, a, "INBOX", "A: 1\r\n\r\none\r\n", "A: 2\r\n\r\ntwo\r\n")
				store(t, a, "Work/2020", "A: 3\r\n\r\nthree\r\n")
				a.Close()
				if err := os.Truncate(filepath.Join(a.Dir(), ownDir, indexFile), 5000); err != nil {
					t.Fatal(err)
				}
				r := &rebuilding{dir: a.Dir(), disk: newDisk(), report: func(Problem) {}, seen: map[migrate.Path]bool{}}
				calls := 0
				r.disk.fault = func(op, name string) error {
					if calls++; calls >= n {
						return fmt.Errorf("no more %s", op)
					}
					return nil
				}
				err := r.open()
				if err == nil {
					err = r.all(context.Background())
				}
				r.close()
				if calls < n {
					if err != nil || n < 5 {
						t.Errorf("without a fault, %d calls: %v", n, err)
					}
					return
				}
				if err == nil {
					t.Errorf("call %d failed and nobody was told", n)
				}
				rebuild(t, a.Dir())
				b := mustOpen(t, a.Dir())
				if totals := verifyClean(t, b); totals.Messages != 3 {
					t.Errorf("after fault %d: %+v", n, totals)
				}
				b.Close()
			}
		})
	}
}
