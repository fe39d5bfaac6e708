package archive

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"testing/iotest"
	"time"

	"github.com/google/go-cmp/cmp"

	"postcask/archive/mbox"
	"postcask/migrate"
)

// A fault lets the n-th call of the file system fail, counted from 1, and all that follow if it is forever.
type fault struct {
	n       int
	err     error
	forever bool
	calls   atomic.Int64
	op      atomic.Value // that failed first
}

func (f *fault) strike(op, _ string) error {
	at := int(f.calls.Add(1))
	if at == f.n {
		f.op.Store(op)
	}
	if at == f.n || f.forever && at > f.n {
		return f.err
	}
	return nil
}

func (f *fault) struck() bool { return f.op.Load() != nil }

// forgiven tells whether a run does well in spite of the fault: after a syncfs that failed, fsync has the last word.
func (f *fault) forgiven() bool { return !f.forever && f.op.Load() == "syncfs" }

func newFault(a *Archive, n int, err error, forever bool) *fault {
	f := &fault{n: n, err: err, forever: forever}
	a.disk.fault = f.strike
	return f
}

var scenario = []struct {
	mbox migrate.Path
	text string
}{
	{"INBOX", "A: 1\r\n\r\nordinary\r\n"},
	{"INBOX", "A: 2\r\n\r\nopen"},
	{"Work/2020", "A: 3\r\n\r\nFrom me\r\n"},
	{"Work/2020", "A: 4\n\nas it came\n"},
	{"INBOX", "A: 5\r\n\r\n" + strings.Repeat("long\r\n", 4000)},
	{"INBOX", "A: 6\r\n\r\n" + strings.Repeat("long\r\n", 4000) + "\n"},
}

// runScenario stores what the archive lacks, as the engine would, and gives what it was told to be stored.
func runScenario(t *testing.T, a *Archive) (safe []string, err error) {
	t.Helper()
	s := a.Sink()
	defer s.Close()
	var pending []string
	commit := func() error {
		stored, err := s.Commit(context.Background())
		if err != nil {
			return err
		}
		if len(stored) != len(pending) {
			t.Errorf("%d answers for %d messages", len(stored), len(pending))
		}
		safe = append(safe, pending...)
		pending = nil
		return nil
	}
	have := map[string]bool{}
	for _, path := range []migrate.Path{"INBOX", "Work/2020"} {
		if err := s.Create(context.Background(), migrate.Mailbox{Path: path}); err != nil {
			return safe, err
		}
		for _, text := range texts(t, a, path) {
			have[text] = true
		}
	}
	for i, step := range scenario {
		if have[step.text] {
			continue
		}
		m := migrate.Message{InternalDate: arrived, Flags: migrate.NewFlags("NonJunk", `\Seen`)}
		if err := s.Append(context.Background(), step.mbox, m, bodyOf(step.text)); err != nil {
			return safe, err
		}
		pending = append(pending, step.text)
		if i == 3 {
			if err := commit(); err != nil {
				return safe, err
			}
		}
	}
	return safe, commit()
}

func everything(t *testing.T, a *Archive) []string {
	t.Helper()
	all := append(texts(t, a, "INBOX"), texts(t, a, "Work/2020")...)
	slices.Sort(all)
	return all
}

// Whatever call of the file system fails, and whether or not the process goes on after it: what was told to be safe
// is there, nothing is there twice, and the next run completes the rest.
func TestEveryFault(t *testing.T) {
	var want []string
	for _, step := range scenario {
		want = append(want, step.text)
	}
	slices.Sort(want)
	for _, format := range formats {
		empty := emptyArchive(t, format)
		a := copyOf(t, empty)
		counted := newFault(a, 0, nil, false)
		if _, err := runScenario(t, a); err != nil {
			t.Fatal(err)
		}
		calls := int(counted.calls.Load())
		if calls < 15 {
			t.Errorf("%s: only %d calls could fail", format, calls)
		}
		for n := range calls {
			t.Run(fmt.Sprintf("%s, call %d", format, n+1), func(t *testing.T) {
				t.Parallel()
				everyFault(t, copyOf(t, empty), n+1, syscall.ENOSPC, false, want) // full disk
				everyFault(t, copyOf(t, empty), n+1, syscall.EIO, true, want)     // broken disk, end of process
			})
		}
	}
}

// emptyArchive makes an archive to be copied, and gives its directory.
func emptyArchive(t *testing.T, format Format) string {
	t.Helper()
	a := newArchive(t, format)
	if err := a.Close(); err != nil {
		t.Fatal(err)
	}
	return a.Dir()
}

// copyOf opens a copy of an archive, which pays attention to every sync, however small the group, and never learns that
// one has taken long: every run makes the same calls.
func copyOf(t *testing.T, dir string) *Archive {
	t.Helper()
	to := filepath.Join(t.TempDir(), "mail")
	if err := os.CopyFS(to, os.DirFS(dir)); err != nil {
		t.Fatal(err)
	}
	for _, own := range []string{to, filepath.Join(to, ownDir)} {
		if err := os.Chmod(own, 0o700); err != nil {
			t.Fatal(err)
		}
	}
	a := mustOpen(t, to)
	a.disk.gather = 4 << 10
	opened := time.Now()
	a.disk.now = func() time.Time { return opened }
	syncTogether(t, a)
	return a
}

// everyFault lets the n-th call fail.
func everyFault(t *testing.T, a *Archive, n int, cause error, forever bool, want []string) {
	t.Helper()
	defer func() { a.Close() }()
	fault := newFault(a, n, cause, forever)
	safe, err := runScenario(t, a)
	kind := migrate.Failed
	if cause == syscall.ENOSPC {
		kind = migrate.Refused
	}
	switch {
	case !fault.struck():
		t.Fatalf("call %d was not met", n)
	case fault.forgiven():
		if err != nil {
			t.Errorf("%v, though fsync made all durable", err)
		}
	case !errors.Is(err, cause) || !strings.Contains(err.Error(), `"`):
		t.Errorf("the error does not tell cause and path: %v", err)
	case migrate.KindOf(err) != kind:
		t.Errorf("error of kind %d: %v", migrate.KindOf(err), err)
	}
	if forever {
		a = crash(t, a)
	} else {
		a = reopen(t, a)
	}
	now := everything(t, a)
	for _, text := range safe {
		if !slices.Contains(now, text) {
			t.Errorf("what was told to be safe is not there: %.40q", text)
		}
	}
	verifyClean(t, a)
	if _, err := runScenario(t, a); err != nil {
		t.Errorf("once more: %v", err)
	}
	if diff := cmp.Diff(want, everything(t, a)); diff != "" {
		t.Errorf("once more: %.1000s", diff)
	}
	verifyClean(t, a)
}

// Octets that were written when the power went, but that the index does not name, are kept aside and seen by nobody.
func TestStopBeforeIndex(t *testing.T) {
	inEach(t, func(t *testing.T, a *Archive) {
		store(t, a, "INBOX", "A: 1\r\n\r\none\r\n")
		a.disk.fault = func(op, _ string) error {
			if op == "index" {
				return errors.New("power cut")
			}
			return nil
		}
		s := a.Sink()
		put(t, s, "INBOX", "A: 2\r\n\r\ntwo\r\n")
		if stored, err := s.Commit(t.Context()); err == nil || len(stored) > 0 {
			t.Fatalf("told to be stored: %v, %v", stored, err)
		}
		if _, err := s.Commit(t.Context()); err == nil {
			t.Error("the sink goes on as if nothing had happened")
		}
		s.Close()
		if _, problems := verify(t, a); len(problems) != 1 || problems[0].What != Unnamed {
			t.Errorf("verify tells %+v", problems)
		}
		a = reopen(t, a)
		if diff := cmp.Diff([]string{"A: 1\r\n\r\none\r\n"}, texts(t, a, "INBOX")); diff != "" {
			t.Error(diff)
		}
		verifyClean(t, a)
		kept := files(t, filepath.Join(a.Dir(), ownDir, quarantineDir), "*")
		if len(kept) != 1 {
			t.Fatalf("the quarantine holds %q", kept)
		}
		text, err := os.ReadFile(kept[0])
		want := "A: 2\n\ntwo\n"
		if a.Format() == Mbox {
			want = string(mbox.FromLine(mbox.Mark{}, arrived)) + want + "\n"
		}
		if string(text) != want || err != nil {
			t.Errorf("kept is %q, %v", text, err)
		}
		store(t, a, "INBOX", "A: 2\r\n\r\ntwo\r\n")
		if got := texts(t, a, "INBOX"); len(got) != 2 || got[1] != "A: 2\r\n\r\ntwo\r\n" {
			t.Errorf("got %q", got)
		}
		verifyClean(t, a)
	})
}

// A torn tail is never glued to the next message.
func TestTornTail(t *testing.T) {
	a := newArchive(t, Mbox)
	store(t, a, "INBOX", "A: 1\r\n\r\none\r\n")
	f, err := os.OpenFile(filepath.Join(a.Dir(), "INBOX.mbox"), os.O_APPEND|os.O_WRONLY, 0)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := f.WriteString("From MAILER-DAEMON torn"); err != nil {
		t.Fatal(err)
	}
	f.Close()
	store(t, a, "INBOX", "A: 2\r\n\r\ntwo\r\n") // without opening anew
	if diff := cmp.Diff([]string{"A: 1\r\n\r\none\r\n", "A: 2\r\n\r\ntwo\r\n"}, texts(t, a, "INBOX")); diff != "" {
		t.Error(diff)
	}
	verifyClean(t, a)
	kept := files(t, filepath.Join(a.Dir(), ownDir, quarantineDir), "*")
	if len(kept) != 1 {
		t.Fatalf("the quarantine holds %q", kept)
	}
	if text, err := os.ReadFile(kept[0]); string(text) != "From MAILER-DAEMON torn" || err != nil {
		t.Errorf("kept is %q, %v", text, err)
	}
}

// A file that lost its end must not get new messages at wrong places.
func TestShortFile(t *testing.T) {
	a := newArchive(t, Mbox)
	store(t, a, "INBOX", "A: 1\r\n\r\none\r\n")
	if err := os.Truncate(filepath.Join(a.Dir(), "INBOX.mbox"), 10); err != nil {
		t.Fatal(err)
	}
	s := a.Sink()
	defer s.Close()
	if err := s.Append(t.Context(), "INBOX", migrate.Message{}, bodyOf("x")); migrate.KindOf(err) != migrate.Damaged {
		t.Errorf("got %v", err)
	}
}

// A body that breaks off is forgotten, and the sink stays of use.
func TestAbandonedMessage(t *testing.T) {
	inEach(t, func(t *testing.T, a *Archive) {
		long := strings.Repeat("gone\r\n", 50000)
		s := a.Sink()
		defer s.Close()
		put(t, s, "INBOX", "A: 1\r\n\r\none\r\n")
		cause := errors.New("connection lost")
		for _, text := range []string{"", "gone", long, long + "\n" + long} {
			body := migrate.Body{Reader: io.MultiReader(strings.NewReader(text), iotest.ErrReader(cause)), Size: -1}
			if err := s.Append(t.Context(), "INBOX", migrate.Message{}, body); !errors.Is(err, cause) {
				t.Errorf("got %v", err)
			}
			put(t, s, "INBOX", "A: 2\r\n\r\ntwo "+text)
		}
		short := migrate.Body{Reader: strings.NewReader("short"), Size: 6}
		if err := s.Append(t.Context(), "INBOX", migrate.Message{}, short); !errors.Is(err, io.ErrUnexpectedEOF) {
			t.Errorf("got %v", err)
		}
		if err := s.Append(t.Context(), "INBOX", migrate.Message{}, migrate.Body{Reader: strings.NewReader("longer"), Size: 5}); err == nil {
			t.Error("a body longer than announced was taken")
		}
		cancelled, cancel := context.WithCancel(t.Context())
		cancel()
		if err := s.Append(cancelled, "INBOX", migrate.Message{}, bodyOf("x")); !errors.Is(err, context.Canceled) {
			t.Errorf("got %v", err)
		}
		if stored := commit(t, s); len(stored) != 5 {
			t.Errorf("%d answers", len(stored))
		}
		if got := texts(t, a, "INBOX"); len(got) != 5 || got[4] != "A: 2\r\n\r\ntwo "+long+"\n"+long {
			t.Errorf("got %d messages", len(got))
		}
		verifyClean(t, a)
		if left := files(t, a.Dir(), "*R*"); a.Format() == Maildir && len(left) != 5 {
			t.Errorf("files: %q", left)
		}
	})
}

// What was appended but not committed leaves nothing behind.
func TestCloseWithoutCommit(t *testing.T) {
	inEach(t, func(t *testing.T, a *Archive) {
		s := a.Sink()
		put(t, s, "INBOX", "gone\r\n", strings.Repeat("gone\r\n", 50000))
		if err := s.Close(); err != nil {
			t.Fatal(err)
		}
		if err := s.Append(t.Context(), "INBOX", migrate.Message{}, bodyOf("x")); err == nil {
			t.Error("a closed sink takes messages")
		}
		verifyClean(t, a)
		store(t, a, "INBOX", "A: 1\r\n\r\none\r\n")
		if diff := cmp.Diff([]string{"A: 1\r\n\r\none\r\n"}, texts(t, a, "INBOX")); diff != "" {
			t.Error(diff)
		}
		verifyClean(t, a)
	})
}

// Files that other programs keep in the same Maildir are not ours to clear up.
func TestRecoverLeavesOthersAlone(t *testing.T) {
	a := newArchive(t, Maildir)
	store(t, a, "INBOX", "A: 1\r\n\r\none\r\n")
	inbox := filepath.Join(a.Dir(), "INBOX")
	others := []string{"tmp/1700000000.R123_4.host", "cur/1700000000.R123_4.host:2,S", "new/1700000000.M1P2.host"}
	for _, name := range others {
		if err := os.WriteFile(filepath.Join(inbox, name), []byte("x"), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	torn := filepath.Join(inbox, "tmp", "1700000000.M1P2Q3R"+a.run+".host")
	if err := os.WriteFile(torn, []byte("x"), 0o600); err != nil {
		t.Fatal(err)
	}
	a = crash(t, a)
	for _, name := range others {
		if _, err := os.Stat(filepath.Join(inbox, name)); err != nil {
			t.Error(err)
		}
	}
	if _, err := os.Stat(torn); err == nil {
		t.Error("the torn file is still there")
	}
	if _, problems := verify(t, a); len(problems) != 2 {
		t.Errorf("verify tells %+v", problems)
	}
}
