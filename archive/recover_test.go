package archive

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"postcask/migrate"
)

// claimed records that the messages of INBOX came from a server, and gives the ledger.
func claimed(t *testing.T, a *Archive) migrate.Ledger {
	t.Helper()
	known, err := a.Ledger(t.Context(), "imaps://me@mail.example.org:993")
	if err != nil {
		t.Fatal(err)
	}
	var entries []migrate.Entry
	for i, m := range held(t, a, "INBOX") {
		entries = append(entries, migrate.Entry{Key: migrate.Key{Validity: 1, UID: uint32(i + 1)}, State: migrate.Arrived, Mailbox: "INBOX", Place: m.Key, Identity: m.Identity})
	}
	if err := known.Record(t.Context(), "INBOX", entries); err != nil {
		t.Fatal(err)
	}
	return known
}

var three = []string{"A: 1\r\n\r\none\r\n", "A: 2\r\n\r\ntwo\r\n", "A: 3\r\n\r\nthree\r\n"}

// A message whose octets are gone is said to be, counts as present no more, and is fetched again by the next run.
func TestMessageGoneFromTheDisk(t *testing.T) {
	inEach(t, func(t *testing.T, a *Archive) {
		store(t, a, "INBOX", three...)
		claimed(t, a)
		if a.Format() == Maildir {
			if err := os.Remove(files(t, a.Dir(), "*Q3R*")[0]); err != nil {
				t.Fatal(err)
			}
		} else {
			name := filepath.Join(a.Dir(), "INBOX.mbox")
			info, err := os.Stat(name)
			if err != nil {
				t.Fatal(err)
			}
			if err := os.Truncate(name, info.Size()-9); err != nil {
				t.Fatal(err)
			}
		}
		a = reopen(t, a)
		if r := a.Recovered(); r.Lost != 1 || r.CutOff || r.SetAside != map[Format]int{Maildir: 0, Mbox: 1}[a.Format()] || !strings.Contains(r.String(), "1 message is gone from the disk") {
			t.Errorf("%+v: %v", r, r)
		}
		if diff := cmp.Diff(three[:2], texts(t, a, "INBOX")); diff != "" {
			t.Error(diff)
		}
		verifyClean(t, a)
		known, err := a.Ledger(t.Context(), "imaps://me@mail.example.org:993")
		if err != nil {
			t.Fatal(err)
		}
		if n, err := known.Count(t.Context(), "INBOX"); n != 2 || err != nil {
			t.Errorf("the ledger knows of %d, %v", n, err)
		}
		store(t, a, "INBOX", three[2])
		a = reopen(t, a)
		if r := a.Recovered(); r != (Recovery{}) {
			t.Errorf("still: %v", r)
		}
		if diff := cmp.Diff(three, texts(t, a, "INBOX")); diff != "" {
			t.Error(diff)
		}
		verifyClean(t, a)
	})
}

// So is a mailbox of which nothing is left.
func TestMailboxGoneFromTheDisk(t *testing.T) {
	inEach(t, func(t *testing.T, a *Archive) {
		store(t, a, "INBOX", three...)
		store(t, a, "Work", three...)
		place := filepath.Join(a.Dir(), "INBOX")
		if a.Format() == Mbox {
			place += mboxSuffix
		}
		if err := os.RemoveAll(place); err != nil {
			t.Fatal(err)
		}
		a = reopen(t, a)
		if r := a.Recovered(); r.Lost != 3 {
			t.Errorf("%+v", r)
		}
		store(t, a, "INBOX", three...)
		if diff := cmp.Diff(three, texts(t, a, "INBOX")); diff != "" {
			t.Error(diff)
		}
		verifyClean(t, a)
	})
}

// An index that was put back from a backup takes up what came since, and nothing twice.
func TestIndexOlderThanTheMail(t *testing.T) {
	inEach(t, func(t *testing.T, a *Archive) {
		store(t, a, "INBOX", three[0])
		if err := a.Close(); err != nil {
			t.Fatal(err)
		}
		own := filepath.Join(a.Dir(), ownDir)
		kept := t.TempDir()
		if err := os.CopyFS(kept, os.DirFS(own)); err != nil {
			t.Fatal(err)
		}
		b := mustOpen(t, a.Dir())
		store(t, b, "INBOX", three[1], three[2], three[2])
		if err := b.Close(); err != nil {
			t.Fatal(err)
		}
		if err := os.RemoveAll(own); err != nil {
			t.Fatal(err)
		}
		if err := os.CopyFS(own, os.DirFS(kept)); err != nil {
			t.Fatal(err)
		}
		if err := os.Chmod(own, 0o700); err != nil {
			t.Fatal(err)
		}
		c := mustOpen(t, a.Dir())
		if r := c.Recovered(); r.TakenUp != 3 || r.SetAside+r.Lost != 0 || !strings.Contains(r.String(), "3 messages that the index did not name were taken up") {
			t.Errorf("%+v: %v", r, r)
		}
		if diff := cmp.Diff(append(three, three[2]), texts(t, c, "INBOX")); diff != "" {
			t.Error(diff)
		}
		verifyClean(t, c)
		if r := reopen(t, c).Recovered(); r != (Recovery{}) {
			t.Errorf("once more: %v", r)
		}
	})
}

// Octets of a run that was cut off are set aside, its unfinished files removed, and that is told in one line.
func TestRunThatWasCutOffIsToldOf(t *testing.T) {
	inEach(t, func(t *testing.T, a *Archive) {
		store(t, a, "INBOX", three[0])
		s := a.Sink()
		put(t, s, "INBOX", three[1], three[2], strings.Repeat("long\r\n", 60000))
		group := s.(*sink).group
		if group == nil {
			t.Fatal("nothing is pending")
		}
		if err := group.close(); err != nil { // and no drop: the process ends here
			t.Fatal(err)
		}
		for _, f := range open(group) {
			f.Close()
		}
		s.(*sink).group = nil
		a = crash(t, a)
		r := a.Recovered()
		if !r.CutOff || r.Lost+r.TakenUp != 0 || r.Unfinished+r.SetAside == 0 || !strings.HasPrefix(r.String(), "the last run was cut off: ") || strings.Contains(r.String(), "\n") {
			t.Errorf("%+v: %v", r, r)
		}
		if diff := cmp.Diff(three[:1], texts(t, a, "INBOX")); diff != "" {
			t.Error(diff)
		}
		verifyClean(t, a)
	})
}

// open gives the files that a group holds open.
func open(g group) []*os.File {
	if g, ok := g.(*maildirGroup); ok {
		return g.waiting
	}
	return nil
}
