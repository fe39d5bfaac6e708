package archive

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"

	"postcask/migrate"
)

// Many sinks write to the same mailboxes while sources read: each message is there once, and only whole ones are seen.
func TestTogether(t *testing.T) {
	inEach(t, func(t *testing.T, a *Archive) {
		const lanes, rounds = 4, 5
		text := func(lane, round int) string {
			return fmt.Sprintf("A: %d-%d\r\n\r\n%s", lane, round, strings.Repeat("From me\r\n", 100*lane))
		}
		var wg sync.WaitGroup
		for lane := range lanes {
			wg.Go(func() {
				s := a.Sink()
				defer s.Close()
				for round := range rounds {
					for _, mbox := range []migrate.Path{"INBOX", "Work"} {
						m := migrate.Message{Flags: migrate.NewFlags(fmt.Sprintf("lane%d", lane))}
						if err := s.Append(t.Context(), mbox, m, bodyOf(text(lane, round))); err != nil {
							t.Error(err)
							return
						}
					}
					if stored, err := s.Commit(t.Context()); err != nil || len(stored) != 2 {
						t.Errorf("%d answers, %v", len(stored), err)
					}
				}
			})
			wg.Go(func() {
				s := a.Source()
				for range rounds {
					var all []migrate.Message
					for m, err := range s.Messages(t.Context(), "INBOX") {
						if err != nil {
							t.Error(err)
							return
						}
						all = append(all, m)
					}
					for f, err := range s.Fetch(t.Context(), "INBOX", all) {
						if err = errors.Join(err, f.Err); err != nil {
							t.Error(err)
							return
						}
						if n, err := io.Copy(io.Discard, f.Body); err != nil || n != f.Body.Size {
							t.Errorf("%d octets, %v", n, err)
						}
					}
				}
			})
		}
		wg.Wait()
		var want []string
		for lane := range lanes {
			for round := range rounds {
				want = append(want, text(lane, round))
			}
		}
		slices.Sort(want)
		for _, mbox := range []migrate.Path{"INBOX", "Work"} {
			got := texts(t, a, mbox)
			slices.Sort(got)
			if diff := cmp.Diff(want, got); diff != "" {
				t.Errorf("%q: %.500s", mbox, diff)
			}
		}
		verifyClean(t, a)
	})
}

// One group may go to several mailboxes; the answers come in the order of the messages, and keys lead to them.
func TestManyMailboxes(t *testing.T) {
	inEach(t, func(t *testing.T, a *Archive) {
		s := a.Sink()
		defer s.Close()
		order := []migrate.Path{"A", "B", "A", "A", "C", "B"}
		for i, mbox := range order {
			put(t, s, mbox, fmt.Sprintf("message %d\r\n", i))
		}
		stored := commit(t, s)
		if len(stored) != len(order) {
			t.Fatalf("%d answers", len(stored))
		}
		for i, one := range stored {
			for f, err := range a.Source().Fetch(t.Context(), order[i], []migrate.Message{{Key: one.Key}}) {
				if err = errors.Join(err, f.Err); err != nil {
					t.Fatal(err)
				}
				if text, err := io.ReadAll(f.Body); string(text) != fmt.Sprintf("message %d\r\n", i) || err != nil {
					t.Errorf("message %d: %q, %v", i, text, err)
				}
			}
		}
		if stored := commit(t, s); len(stored) != 0 {
			t.Errorf("an empty group has answers: %v", stored)
		}
		for _, key := range []migrate.Key{{}, {Name: "0"}, {Name: "01"}, {Name: "-1"}, {Name: "x"}, {Name: "999999"}, {UID: 1}, {Name: stored[0].Key.Name, UID: 1}} {
			for f, err := range a.Source().Fetch(t.Context(), "A", []migrate.Message{{Key: key}}) {
				t.Errorf("key %+v leads to %+v, %v", key, f, err)
			}
		}
		for f, err := range a.Source().Fetch(t.Context(), "B", []migrate.Message{{Key: stored[0].Key}}) {
			t.Errorf("a message of A is found in B: %+v, %v", f, err)
		}
		status, err := a.Source().(migrate.Statuser).Status(t.Context(), "A")
		if status.Messages != 3 || err != nil {
			t.Errorf("status %+v, %v", status, err)
		}
		if status, err := a.Source().(migrate.Statuser).Status(t.Context(), "nowhere"); status.Messages != 0 || err != nil {
			t.Errorf("status of a mailbox that is not there: %+v, %v", status, err)
		}
	})
}

func TestSetFlags(t *testing.T) {
	a := newArchive(t, Maildir)
	stored := store(t, a, "INBOX", "one\r\n", "two\r\n")
	s := a.Sink().(*sink)
	defer s.Close()
	flags := migrate.NewFlags(`\Flagged`, "$Forwarded")
	change := []migrate.FlagChange{{Key: stored[0].Key, Flags: flags}, {Key: keyOf(4711), Flags: flags}}
	// A cut between renaming and the index is harmless: the file is found, and the next call goes through.
	base := files(t, a.Dir(), "*:2,S")[0]
	if err := s.renameAll(t.Context(), rowsOf(t, a, "INBOX")[:1], map[int64]migrate.Flags{1: flags}); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff([]string{"one\r\n", "two\r\n"}, texts(t, a, "INBOX")); diff != "" {
		t.Error(diff)
	}
	verifyClean(t, a)
	for range 2 {
		if err := s.SetFlags(t.Context(), "INBOX", change); err != nil {
			t.Fatal(err)
		}
	}
	if got := held(t, a, "INBOX"); !got[0].Flags.Equal(flags) || !got[1].Flags.Equal(migrate.NewFlags(`\Seen`)) {
		t.Errorf("flags are %v and %v", got[0].Flags, got[1].Flags)
	}
	if _, err := os.Stat(strings.TrimSuffix(base, "S") + "FPa"); err != nil {
		t.Error(err)
	}
	verifyClean(t, a)
}

func TestSubscriptionsStay(t *testing.T) {
	inEach(t, func(t *testing.T, a *Archive) {
		s := a.Sink()
		defer s.Close()
		for _, m := range []migrate.Mailbox{
			{Path: "Work", NoSelect: true}, {Path: "Work/2020", Subscribed: true, Role: migrate.RoleArchive}, {Path: "Work/2020"}, {Path: "Work", Subscribed: true}, {Path: "Work", NoSelect: true},
		} {
			if err := s.Create(t.Context(), m); err != nil {
				t.Fatal(err)
			}
		}
		want := []migrate.Mailbox{{Path: "Work", Subscribed: true}, {Path: "Work/2020", Subscribed: true, Role: migrate.RoleArchive}}
		got, err := a.Source().Mailboxes(t.Context())
		if diff := cmp.Diff(want, got); diff != "" || err != nil {
			t.Error(diff, err)
		}
		put(t, s, "Work", "one\r\n")
		commit(t, s)
		verifyClean(t, a)
	})
}

func TestHeaders(t *testing.T) {
	inEach(t, func(t *testing.T, a *Archive) {
		long := "X: " + strings.Repeat("y", 300<<10)
		all := []string{"A: b\r\n\r\nbody\r\n", "A: b\r\n", "\r\nbody", "", "A: b\n\nbody\r\n\r\n", "A: " + strings.Repeat("x", 4090) + "\r\n\r\nbody", long}
		want := []string{"A: b\r\n\r\n", "A: b\r\n", "\r\n", "", "A: b\n\n", all[5][:4097], long[:longestHeader]}
		store(t, a, "INBOX", all...)
		var got []string
		for h, err := range a.Source().(migrate.HeaderReader).Headers(t.Context(), "INBOX", held(t, a, "INBOX")) {
			if err = errors.Join(err, h.Err); err != nil {
				t.Fatal(err)
			}
			got = append(got, string(h.Octets))
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("%.1000s", diff)
		}
	})
}

// The twins of a name lie beside each other, and the whole of a long one is written beside it.
func TestNamesOnDisk(t *testing.T) {
	a := newArchive(t, Mbox)
	long := strings.Repeat("ü", 300)
	for _, path := range []migrate.Path{"Work", "work", "Work/2020", "x.mbox", migrate.Path(long)} {
		store(t, a, path, "one\r\n")
	}
	for _, name := range []string{"Work.mbox", "work%~2.mbox", "Work/2020.mbox", "x%2Embox.mbox", encodePart(long) + ".mbox"} {
		if _, err := os.Stat(filepath.Join(a.Dir(), name)); err != nil {
			t.Error(err)
		}
	}
	beside := files(t, a.Dir(), ".postcask-name-*")
	if len(beside) != 1 {
		t.Fatalf("files of whole names: %q", beside)
	}
	if text, err := os.ReadFile(beside[0]); string(text) != long+"\n" || err != nil || !strings.HasSuffix(encodePart(long), strings.TrimPrefix(filepath.Base(beside[0]), ".postcask-name-")) {
		t.Errorf("%q holds %q, %v", beside[0], text, err)
	}
}
