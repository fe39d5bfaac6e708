package archive

import (
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/google/go-cmp/cmp"

	"postcask/migrate"
)

func TestCreate(t *testing.T) {
	inEach(t, func(t *testing.T, a *Archive) {
		text, err := os.ReadFile(filepath.Join(a.Dir(), ".postcask", "archive.json"))
		if err != nil {
			t.Fatal(err)
		}
		var m map[string]any
		if err := json.Unmarshal(text, &m); err != nil {
			t.Fatal(err)
		}
		if m["format"] != "postcask archive" || m["version"] != 1.0 || m["layout"] != string(a.Format()) || m["id"] != a.ID() || a.ID() == "" ||
			m["made_from"] != "imaps://mail.example.org" || m["created"] == nil {
			t.Errorf("archive.json holds %s", text)
		}
		if !Detect(a.Dir()) || Detect(t.TempDir()) || Detect("nowhere") {
			t.Error("an archive is not told from what is none")
		}
		id := a.ID()
		a = reopen(t, a)
		if a.ID() != id || a.MadeFrom() != "imaps://mail.example.org" {
			t.Errorf("after opening again: %q, %q", a.ID(), a.MadeFrom())
		}
		l, err := a.Ledger(t.Context(), "imaps://mail.example.org")
		if err != nil {
			t.Fatal(err)
		}
		entry := migrate.Entry{Key: migrate.Key{Validity: 1, UID: 2}, State: migrate.Arrived, Mailbox: "INBOX"}
		if err := l.Record(t.Context(), "INBOX", []migrate.Entry{entry}); err != nil {
			t.Fatal(err)
		}
		if n, err := l.Count(t.Context(), "INBOX"); n != 1 || err != nil {
			t.Errorf("the ledger counts %d, %v", n, err)
		}
	})
}

func TestCreateWhere(t *testing.T) {
	dir := t.TempDir() // empty
	a, err := Create(t.Context(), dir, Maildir, "")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := Create(t.Context(), dir, Maildir, ""); migrate.KindOf(err) != migrate.Unsafe {
		t.Errorf("over an archive: %v", err)
	}
	a.Close()

	full := t.TempDir()
	if err := os.WriteFile(filepath.Join(full, "thesis.txt"), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := Create(t.Context(), full, Maildir, ""); migrate.KindOf(err) != migrate.Unsafe || migrate.HintOf(err) == "" {
		t.Errorf("in a directory that holds something: %v", err)
	}
	if _, err := os.Stat(filepath.Join(full, ".postcask")); err == nil {
		t.Error("something was made in a directory that holds something else")
	}
	if _, err := Create(t.Context(), filepath.Join(full, "thesis.txt"), Maildir, ""); err == nil {
		t.Error("a file was made an archive")
	}
	if _, err := Create(t.Context(), t.TempDir(), "eml", ""); migrate.KindOf(err) != migrate.Misuse {
		t.Errorf("an unknown format: %v", err)
	}
	cut := t.TempDir() // as Create leaves it when it is cut off before archive.json
	if err := os.MkdirAll(filepath.Join(cut, ".postcask", "quarantine"), 0o700); err != nil {
		t.Fatal(err)
	}
	if a, err = Create(t.Context(), cut, Mbox, ""); err != nil {
		t.Fatal(err)
	}
	a.Close()
}

func TestOpenErrors(t *testing.T) {
	whole := newArchive(t, Maildir)
	if _, err := Open(t.Context(), whole.Dir(), Options{}); migrate.KindOf(err) != migrate.Locked {
		t.Errorf("while another run holds it: %v", err)
	}
	reader, err := Open(t.Context(), whole.Dir(), Options{ReadOnly: true})
	if err != nil {
		t.Fatalf("reading while another run holds it: %v", err)
	}
	if err := reader.Close(); err != nil {
		t.Error(err)
	}
	for name, spoil := range map[string]func(t *testing.T, dir string) error{
		"missing":      func(_ *testing.T, dir string) error { return os.RemoveAll(dir) },
		"no .postcask": func(_ *testing.T, dir string) error { return os.RemoveAll(filepath.Join(dir, ".postcask")) },
		"no archive.json": func(_ *testing.T, dir string) error {
			return os.Remove(filepath.Join(dir, ".postcask", "archive.json"))
		},
		"no index": func(_ *testing.T, dir string) error { return os.Remove(filepath.Join(dir, ".postcask", "index.db")) },
		"torn index": func(_ *testing.T, dir string) error {
			return os.WriteFile(filepath.Join(dir, ".postcask", "index.db"), []byte("x"), 0o600)
		},
		"torn archive.json": func(_ *testing.T, dir string) error {
			return os.WriteFile(filepath.Join(dir, ".postcask", "archive.json"), []byte(`{"format":`), 0o600)
		},
		"other json": func(_ *testing.T, dir string) error {
			return os.WriteFile(filepath.Join(dir, ".postcask", "archive.json"), []byte(`{}`), 0o600)
		},
		"newer": func(_ *testing.T, dir string) error {
			return os.WriteFile(filepath.Join(dir, ".postcask", "archive.json"), []byte(`{"format":"postcask archive","version":2,"id":"x","layout":"packs"}`), 0o600)
		},
	} {
		t.Run(name, func(t *testing.T) {
			a := newArchive(t, Maildir)
			if err := a.Close(); err != nil {
				t.Fatal(err)
			}
			if err := spoil(t, a.Dir()); err != nil {
				t.Fatal(err)
			}
			for _, o := range []Options{{}, {ReadOnly: true}} {
				if _, err := Open(t.Context(), a.Dir(), o); migrate.KindOf(err) != migrate.Damaged || migrate.HintOf(err) == "" {
					t.Errorf("%+v: %v, hint %q", o, err, migrate.HintOf(err))
				}
			}
			if name == "newer" && !Detect(a.Dir()) {
				t.Error("a newer archive is not recognised")
			}
		})
	}
}

func TestReadOnly(t *testing.T) {
	inEach(t, func(t *testing.T, a *Archive) {
		store(t, a, "INBOX", "one\r\n")
		r, err := Open(t.Context(), a.Dir(), Options{ReadOnly: true})
		if err != nil {
			t.Fatal(err)
		}
		defer r.Close()
		if diff := cmp.Diff([]string{"one\r\n"}, texts(t, r, "INBOX")); diff != "" {
			t.Error(diff)
		}
		store(t, a, "Later", "two\r\n") // while the other one reads
		if diff := cmp.Diff([]string{"two\r\n"}, texts(t, r, "Later")); diff != "" {
			t.Error(diff)
		}
		verifyClean(t, r)
		s := r.Sink()
		defer s.Close()
		for what, err := range map[string]error{
			"create": s.Create(t.Context(), migrate.Mailbox{Path: "X"}),
			"append": s.Append(t.Context(), "INBOX", migrate.Message{}, bodyOf("x")),
			"flags":  s.(migrate.Flagger).SetFlags(t.Context(), "INBOX", []migrate.FlagChange{{Key: keyOf(1)}}),
		} {
			if migrate.KindOf(err) != migrate.Misuse {
				t.Errorf("%s: %v", what, err)
			}
		}
	})
}

// Nobody else reads the mail, whatever the umask.
func TestPermissions(t *testing.T) {
	for _, mask := range []int{0o000, 0o077, 0o777} {
		old := syscall.Umask(mask)
		for _, format := range formats {
			syscall.Umask(old)
			dir := filepath.Join(t.TempDir(), "mail")
			syscall.Umask(mask)
			a, err := Create(t.Context(), dir, format, "")
			if err != nil {
				syscall.Umask(old)
				t.Fatal(err)
			}
			store(t, a, "Work/2020/"+migrate.Path(strings.Repeat("x", 300)), "one\r\n")
			store(t, a, "INBOX", "two\r\n", "three")
			err = filepath.Walk(dir, func(path string, info os.FileInfo, err error) error {
				want := os.FileMode(0o600)
				if err == nil && info.IsDir() {
					want = 0o700
				}
				if err == nil && info.Mode().Perm() != want && (mask != 0o777 || !strings.Contains(path, "index.db") && !strings.HasSuffix(path, "lock")) {
					t.Errorf("umask %03o: %q has mode %v", mask, path, info.Mode())
				}
				return err
			})
			if err := errors.Join(err, a.Close()); err != nil {
				t.Error(err)
			}
		}
		syscall.Umask(old)
	}
}

// A directory that others may write to, or that is another's, is read but not written.
func TestUnsafeDirectory(t *testing.T) {
	for name, spoil := range map[string]func(dir string) error{
		"group":        func(dir string) error { return os.Chmod(dir, 0o770) },
		"everybody":    func(dir string) error { return os.Chmod(dir, 0o707) },
		"our own part": func(dir string) error { return os.Chmod(filepath.Join(dir, ".postcask"), 0o777) },
	} {
		t.Run(name, func(t *testing.T) {
			a := newArchive(t, Maildir)
			a.Close()
			if err := spoil(a.Dir()); err != nil {
				t.Fatal(err)
			}
			if _, err := Open(t.Context(), a.Dir(), Options{}); migrate.KindOf(err) != migrate.Unsafe || migrate.HintOf(err) == "" {
				t.Errorf("opened for writing: %v", err)
			}
			r, err := Open(t.Context(), a.Dir(), Options{ReadOnly: true})
			if err != nil {
				t.Fatal(err)
			}
			r.Close()
		})
	}
	info, err := os.Stat(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	if owner, stranger := strangerOf(info); stranger {
		t.Errorf("our own directory belongs to %d", owner)
	}
	root, err := os.Stat("/proc/1")
	if err != nil {
		t.Fatal(err)
	}
	if _, stranger := strangerOf(root); stranger != (os.Geteuid() != 0) {
		t.Errorf("a directory of root is another's: %v", stranger)
	}
}

// Whatever is planted in the archive, nothing outside is read or written, and the error names it.
func TestLinks(t *testing.T) {
	for _, c := range []struct {
		name   string
		format Format
		plant  string // replaced by a link
	}{
		{"mailbox", Maildir, "INBOX"}, {"parent", Maildir, "Work"}, {"cur", Maildir, "INBOX/cur"}, {"tmp", Maildir, "INBOX/tmp"},
		{"keywords", Maildir, "INBOX/dovecot-keywords"}, {"file", Mbox, "INBOX.mbox"}, {"parent", Mbox, "Work"},
		{"own directory", Maildir, ".postcask"}, {"manifest", Maildir, ".postcask/archive.json"}, {"index", Maildir, ".postcask/index.db"}, {"lock", Maildir, ".postcask/lock"},
	} {
		for _, outside := range []bool{true, false} { // a link that stays inside is not followed either
			t.Run(string(c.format)+" "+c.name, func(t *testing.T) {
				a := newArchive(t, c.format)
				s := a.Sink()
				m := migrate.Message{Flags: migrate.NewFlags("NonJunk")}
				for _, path := range []migrate.Path{"INBOX", "Work/2020"} {
					if err := s.Append(t.Context(), path, m, bodyOf("one\r\n")); err != nil {
						t.Fatal(err)
					}
				}
				commit(t, s)
				s.Close()
				a.Close()
				planted := filepath.Join(a.Dir(), filepath.FromSlash(c.plant))
				target := filepath.Join(t.TempDir(), "target")
				if !outside {
					target = planted + "2"
				}
				if err := os.Rename(planted, target); err != nil {
					t.Fatal(err)
				}
				before := snapshot(t, target)
				if !outside {
					target = filepath.Base(target)
				}
				if err := os.Symlink(target, planted); err != nil {
					t.Fatal(err)
				}
				a, err := Open(t.Context(), a.Dir(), Options{})
				if err == nil {
					defer a.Close()
					for _, path := range []migrate.Path{"INBOX", "Work/2020"} {
						s := a.Sink()
						err = errors.Join(err, s.Append(t.Context(), path, migrate.Message{Flags: migrate.NewFlags("Junk")}, bodyOf("two\r\n")))
						_, failed := s.Commit(t.Context())
						err = errors.Join(err, failed, s.Close())
					}
				}
				if err == nil || !strings.Contains(err.Error(), filepath.Base(planted)) || !strings.Contains(err.Error(), "link") {
					t.Errorf("%s: the link was followed, or not named: %v", c.plant, err)
				}
				if !filepath.IsAbs(target) {
					target = filepath.Join(filepath.Dir(planted), target)
				}
				if diff := cmp.Diff(before, snapshot(t, target)); diff != "" {
					t.Error(diff)
				}
			})
		}
	}
}

// snapshot gives the names and contents below a path.
func snapshot(t *testing.T, root string) map[string]string {
	t.Helper()
	all := map[string]string{}
	for _, path := range files(t, root, "*") {
		text, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		all[strings.TrimPrefix(path, root)] = string(text)
	}
	return all
}

// Names that a hostile server may give lead to mailboxes inside the archive, each its own.
func TestHostileNames(t *testing.T) {
	inEach(t, func(t *testing.T, a *Archive) {
		var want []migrate.Path
		for _, parts := range [][]string{
			{"INBOX"}, {"..", "..", "x"}, {"", "etc", "passwd"}, {"a", "..", "..", "b"}, {`..\..\x`}, {"C:x"}, {"CON"}, {"a\x00b"}, {strings.Repeat("x", 4000)},
			{strings.Repeat("x", 4000), "y"}, {".postcask", "index.db"}, {"INBOX", "cur"}, {"INBOX", "tmp", "x"}, {"x"}, {"x.mbox"}, {"x", "y"}, {"x.mbox", "y"},
			{"Work"}, {"work"}, {"Caf\u00e9"}, {"Cafe\u0301"}, {"work", "a"}, {"Work", "a"}, {"a/b"}, {"a", "b"}, {"\x1b]0;x\x07"}, {"x%~2"}, {"con.mbox"}, {"con"},
			{"INBOX", "dovecot-keywords"}, {"-rf"}, {"~"}, {"$(id)"},
		} {
			path := migrate.NewPath(parts...)
			want = append(want, path)
			store(t, a, path, "in "+string(path)+"\r\n")
		}
		a = reopen(t, a)
		for _, path := range want {
			if diff := cmp.Diff([]string{"in " + string(path) + "\r\n"}, texts(t, a, path)); diff != "" {
				t.Errorf("%.50q: %s", path, diff)
			}
		}
		if totals := verifyClean(t, a); totals.Messages != int64(len(want)) {
			t.Errorf("%d messages", totals.Messages)
		}
		beside, err := os.ReadDir(filepath.Dir(a.Dir()))
		if err != nil || len(beside) != 1 {
			t.Errorf("beside the archive lie %v, %v", beside, err)
		}
		for _, path := range []migrate.Path{"", "inbox", "a%2fb"} {
			s := a.Sink()
			if err := s.Create(t.Context(), migrate.Mailbox{Path: path}); err == nil {
				t.Errorf("a mailbox %q was made", path)
			}
			s.Close()
		}
	})
}
