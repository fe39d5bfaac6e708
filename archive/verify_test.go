package archive

import (
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"postcask/migrate"
)

var verified = []string{
	"Message-ID: <1@example.org>\r\n\r\nFrom me\r\n>From you\r\n", "Message-ID: <2@example.org>\r\n\r\nno newline", "Message-ID: <3@example.org>\n\nas it came\n",
	"", "Message-ID: <5@example.org>\r\n\r\n" + strings.Repeat("many lines\r\n", 100) + "\r\n", "\n",
}

// A bit that flips anywhere in the mail is found, and the message is named.
func TestFlippedBits(t *testing.T) {
	inEach(t, func(t *testing.T, a *Archive) {
		store(t, a, "INBOX", verified...)
		pattern := "*:2,*"
		if a.Format() == Mbox {
			pattern = "*" + mboxSuffix
		}
		seen := map[string]bool{}
		for _, name := range files(t, a.Dir(), pattern) {
			whole, err := os.ReadFile(name)
			if err != nil {
				t.Fatal(err)
			}
			for at := 0; at < len(whole); at += 1 + at/40 {
				spoilt := slices.Clone(whole)
				spoilt[at] ^= 1 << rand.N(8)
				if err := os.WriteFile(name, spoilt, 0o600); err != nil {
					t.Fatal(err)
				}
				totals, problems := verify(t, a)
				if len(problems) != 1 || problems[0].What != Changed || problems[0].Key.IsZero() || problems[0].Mailbox != "INBOX" || totals.Damaged != 1 || totals.Unnamed != 0 {
					t.Fatalf("octet %d of %q: verify tells %+v, %+v", at, name, problems, totals)
				}
				seen[problems[0].Key.Name] = true
			}
			if err := os.WriteFile(name, whole, 0o600); err != nil {
				t.Fatal(err)
			}
		}
		want := len(verified)
		if a.Format() == Maildir {
			want-- // the empty message has no bit to flip
		}
		if len(seen) != want {
			t.Errorf("%d messages were named, want %d", len(seen), want)
		}
		verifyClean(t, a)
	})
}

// A damaged message is refused by name, small or large, and the rest still comes.
func TestFetchDamaged(t *testing.T) {
	inEach(t, func(t *testing.T, a *Archive) {
		large := strings.Repeat("large\r\n", 300000)
		want := []string{"one\r\n", "Message-ID: <two@example.org>\r\n\r\ntwo\r\n", "Message-ID: <three@example.org>\r\n\r\n" + large, "four\r\n", large}
		stored := store(t, a, "INBOX", want...)
		for _, name := range files(t, a.Dir(), map[Format]string{Maildir: "*:2,*", Mbox: "*.mbox"}[a.Format()]) {
			text, err := os.ReadFile(name)
			if err != nil {
				t.Fatal(err)
			}
			spoilt := strings.NewReplacer("<two@", "<tvo@", "<three@", "<thref@").Replace(string(text))
			if err := os.WriteFile(name, []byte(spoilt), 0o600); err != nil {
				t.Fatal(err)
			}
		}
		got := map[string]string{}
		for f, err := range a.Source().Fetch(t.Context(), "INBOX", held(t, a, "INBOX")) {
			if err != nil {
				t.Fatal(err)
			}
			if f.Err == nil {
				got[f.Message.Key.Name] = "whole"
				continue
			}
			if migrate.KindOf(f.Err) != migrate.Damaged || !strings.Contains(f.Err.Error(), "INBOX") || !strings.Contains(f.Err.Error(), f.Message.Key.Name) ||
				!strings.Contains(f.Err.Error(), "@example.org>") || migrate.HintOf(f.Err) == "" {
				t.Errorf("got %v", f.Err)
			}
			got[f.Message.Key.Name] = "damaged"
		}
		names := map[string]string{}
		for i, state := range []string{"whole", "damaged", "damaged", "whole", "whole"} {
			names[stored[i].Key.Name] = state
		}
		if diff := cmp.Diff(names, got); diff != "" {
			t.Error(diff)
		}
	})
}

func whats(problems []Problem) []string {
	var all []string
	for _, p := range problems {
		all = append(all, string(p.What)+" "+string(p.Mailbox)+" "+p.MessageID)
	}
	slices.Sort(all)
	return all
}

func TestVerifyMaildir(t *testing.T) {
	id := func(n string) string { return "Message-ID: <" + n + "@example.org>\r\n\r\n" }
	for name, c := range map[string]struct {
		spoil func(t *testing.T, dir, file string)
		want  []string
	}{
		"nothing": {func(*testing.T, string, string) {}, nil},
		"a mail reader set flags": {func(t *testing.T, dir, file string) {
			rename(t, file, strings.TrimSuffix(file, "S")+"FS")
		}, nil},
		"a mail reader moved it to new": {func(t *testing.T, dir, file string) {
			base, _, _ := strings.Cut(filepath.Base(file), ":")
			rename(t, file, filepath.Join(dir, "INBOX/new", base))
		}, nil},
		"file gone": {func(t *testing.T, dir, file string) {
			if err := os.Remove(file); err != nil {
				t.Fatal(err)
			}
		}, []string{"missing INBOX <1@example.org>"}},
		"in another mailbox": {func(t *testing.T, dir, file string) {
			rename(t, file, filepath.Join(dir, "Work/cur", filepath.Base(file)))
		}, []string{"misplaced INBOX <1@example.org>"}},
		"mailbox renamed": {func(t *testing.T, dir, file string) {
			rename(t, filepath.Join(dir, "INBOX"), filepath.Join(dir, "Posteingang"))
		}, []string{"misplaced INBOX <1@example.org>"}},
		"mailbox gone": {func(t *testing.T, dir, file string) {
			if err := os.RemoveAll(filepath.Join(dir, "Work")); err != nil {
				t.Fatal(err)
			}
		}, []string{"missing Work <2@example.org>"}},
		"a message of the user's": {func(t *testing.T, dir, file string) {
			if err := os.WriteFile(filepath.Join(dir, "INBOX/new/1700000000.1.host"), []byte("x"), 0o600); err != nil {
				t.Fatal(err)
			}
		}, []string{"unnamed  "}},
		"cut short": {func(t *testing.T, dir, file string) {
			if err := os.Truncate(file, 5); err != nil {
				t.Fatal(err)
			}
		}, []string{"changed INBOX <1@example.org>"}},
		"a link in its place": {func(t *testing.T, dir, file string) {
			rename(t, file, filepath.Join(t.TempDir(), "x"))
			if err := os.Symlink("/etc/hostname", file); err != nil {
				t.Fatal(err)
			}
		}, []string{"unreadable INBOX <1@example.org>"}},
	} {
		t.Run(name, func(t *testing.T) {
			a := newArchive(t, Maildir)
			store(t, a, "INBOX", id("1")+"one\r\n")
			store(t, a, "Work", id("2")+"two\r\n")
			found := files(t, filepath.Join(a.Dir(), "INBOX"), "*:2,S")
			if len(found) != 1 {
				t.Fatalf("files: %q", found)
			}
			c.spoil(t, a.Dir(), found[0])
			totals, problems := verify(t, a)
			if diff := cmp.Diff(c.want, whats(problems)); diff != "" {
				t.Error(diff, problems)
			}
			if totals.Messages != 2 || totals.Damaged+totals.Unnamed != int64(len(problems)) {
				t.Errorf("totals %+v", totals)
			}
			if c.want == nil {
				if diff := cmp.Diff([]string{id("1") + "one\r\n"}, texts(t, a, "INBOX")); diff != "" {
					t.Error(diff)
				}
			}
		})
	}
}

func rename(t *testing.T, from, to string) {
	t.Helper()
	if err := os.Rename(from, to); err != nil {
		t.Fatal(err)
	}
}

func TestVerifyMbox(t *testing.T) {
	a := newArchive(t, Mbox)
	store(t, a, "INBOX", "Message-ID: <1@example.org>\r\n\r\none\r\n", "Message-ID: <2@example.org>\r\n\r\ntwo\r\n")
	name := filepath.Join(a.Dir(), "INBOX.mbox")
	whole, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	for what, c := range map[string]struct {
		text string
		want []string
	}{
		"whole":          {string(whole), nil},
		"tail":           {string(whole) + "From x\n", []string{"unnamed INBOX "}},
		"cut":            {string(whole[:len(whole)-10]), []string{"missing INBOX <2@example.org>"}},
		"empty":          {"", []string{"missing INBOX <1@example.org>", "missing INBOX <2@example.org>"}},
		"first line off": {strings.Replace(string(whole), "DAEMON", "DEAMON", 1), []string{"changed INBOX <1@example.org>"}},
		"first removed":  {string(whole[len(whole)/2:]), []string{"changed INBOX <1@example.org>", "missing INBOX <2@example.org>"}},
	} {
		if err := os.WriteFile(name, []byte(c.text), 0o600); err != nil {
			t.Fatal(err)
		}
		if _, problems := verify(t, a); !cmp.Equal(c.want, whats(problems)) {
			t.Errorf("%s: verify tells %+v", what, problems)
		}
	}
	if err := os.WriteFile(filepath.Join(a.Dir(), "Other.mbox"), []byte("x"), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(name, whole, 0o600); err != nil {
		t.Fatal(err)
	}
	if _, problems := verify(t, a); len(problems) != 1 || problems[0].File != "Other.mbox" {
		t.Errorf("verify tells %+v", problems)
	}
}
