package archive

import (
	"context"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/iotest"
	"time"

	"go.uber.org/goleak"

	"postcask/migrate"
	"postcask/migrate/ledger"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

var formats = []Format{Maildir, Mbox}

// inEach runs a test in both formats, each with a new archive.
func inEach(t *testing.T, test func(t *testing.T, a *Archive)) {
	for _, format := range formats {
		t.Run(string(format), func(t *testing.T) { test(t, newArchive(t, format)) })
	}
}

func newArchive(t *testing.T, format Format) *Archive {
	t.Helper()
	a, err := Create(t.Context(), filepath.Join(t.TempDir(), "mail"), format, "imaps://mail.example.org")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { a.Close() })
	return a
}

// reopen closes an archive in order and opens it again.
func reopen(t *testing.T, a *Archive) *Archive {
	t.Helper()
	if err := a.Close(); err != nil {
		t.Fatal(err)
	}
	b, err := Open(t.Context(), a.dir, Options{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { b.Close() })
	return b
}

// crash lets go of an archive as the end of a process would, and opens it again.
func crash(t *testing.T, a *Archive) *Archive {
	t.Helper()
	a.soil() // nothing is tidied up
	return reopen(t, a)
}

func bodyOf(text string) migrate.Body {
	return migrate.Body{Reader: strings.NewReader(text), Size: int64(len(text))}
}

var arrived = time.Date(2021, 3, 4, 5, 6, 7, 0, time.FixedZone("", 2*3600))

func put(t *testing.T, s migrate.Sink, mbox migrate.Path, texts ...string) {
	t.Helper()
	for _, text := range texts {
		if err := s.Append(t.Context(), mbox, migrate.Message{InternalDate: arrived, Flags: migrate.NewFlags(`\Seen`)}, bodyOf(text)); err != nil {
			t.Fatal(err)
		}
	}
}

func commit(t *testing.T, s migrate.Sink) []migrate.Stored {
	t.Helper()
	stored, err := s.Commit(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	return stored
}

// store puts texts into the archive for good.
func store(t *testing.T, a *Archive, mbox migrate.Path, texts ...string) []migrate.Stored {
	t.Helper()
	s := a.Sink()
	defer s.Close()
	put(t, s, mbox, texts...)
	return commit(t, s)
}

// held lists the messages of a mailbox.
func held(t *testing.T, a *Archive, mbox migrate.Path) []migrate.Message {
	t.Helper()
	var all []migrate.Message
	for m, err := range a.Source().Messages(t.Context(), mbox) {
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, m)
	}
	return all
}

// texts gives what the mailbox holds, octets for octets; an unreadable message gives its error.
func texts(t *testing.T, a *Archive, mbox migrate.Path) []string {
	t.Helper()
	var all []string
	for f, err := range a.Source().Fetch(t.Context(), mbox, held(t, a, mbox)) {
		if err != nil {
			t.Fatal(err)
		}
		if f.Err != nil {
			all = append(all, "error: "+f.Err.Error())
			continue
		}
		text, err := io.ReadAll(iotest.HalfReader(f.Body))
		if err != nil {
			t.Fatal(err)
		}
		if int64(len(text)) != f.Body.Size {
			t.Errorf("a body of %d octets was announced as %d", len(text), f.Body.Size)
		}
		all = append(all, string(text))
	}
	return all
}

func verify(t *testing.T, a *Archive) (Totals, []Problem) {
	t.Helper()
	var problems []Problem
	totals, err := a.Verify(context.Background(), func(p Problem) { problems = append(problems, p) })
	if err != nil {
		t.Fatal(err)
	}
	return totals, problems
}

func verifyClean(t *testing.T, a *Archive) Totals {
	t.Helper()
	totals, problems := verify(t, a)
	for _, p := range problems {
		t.Errorf("verify: %s %q %v %s: %v", p.What, p.Mailbox, p.Key, p.File, p.Err)
	}
	return totals
}

// files lists the plain files below dir that match the pattern of filepath.Match in their base names.
func files(t *testing.T, dir, pattern string) []string {
	t.Helper()
	var found []string
	err := filepath.WalkDir(dir, func(path string, e os.DirEntry, err error) error {
		if err == nil && !e.IsDir() {
			if ok, _ := filepath.Match(pattern, e.Name()); ok {
				found = append(found, path)
			}
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return found
}

func rowsOf(t *testing.T, a *Archive, mbox migrate.Path) []ledger.Message {
	t.Helper()
	var rows []ledger.Message
	for row, err := range a.Index().Messages(t.Context(), mbox) {
		if err != nil {
			t.Fatal(err)
		}
		rows = append(rows, row)
	}
	return rows
}
