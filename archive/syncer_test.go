package archive

import (
	"errors"
	"os"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"testing/synctest"
	"time"
)

// syncTogether makes groups of any size use syncfs, whatever file system the test runs on.
func syncTogether(t *testing.T, a *Archive) {
	t.Helper()
	if a.syncer.fs == nil {
		f, err := os.Open(a.dir)
		if err != nil {
			t.Fatal(err)
		}
		a.syncer.fs = f
	}
	a.syncer.few = 0
}

// A syncLog notes the calls that make files durable, and lets some fail.
type syncLog struct {
	mu   sync.Mutex
	ops  []string
	fail func(op, name string) error // may be nil
}

func watchSyncs(t *testing.T, a *Archive) *syncLog {
	t.Helper()
	syncTogether(t, a)
	l := new(syncLog)
	a.disk.fault = func(op, name string) error {
		if op != "syncfs" && op != "sync" {
			return nil
		}
		l.mu.Lock()
		defer l.mu.Unlock()
		l.ops = append(l.ops, op)
		if l.fail == nil {
			return nil
		}
		return l.fail(op, name)
	}
	return l
}

// take gives the calls since the last time.
func (l *syncLog) take() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	ops := strings.Join(l.ops, " ")
	l.ops = nil
	return ops
}

// What becomes of a group of three whose syncfs fails.
func TestSyncfsThatFails(t *testing.T) {
	onlyOnce := func(err error) func(op, name string) error {
		return func(op, _ string) error {
			cause := err
			if op == "syncfs" {
				err = nil
			}
			if op == "syncfs" {
				return cause
			}
			return nil
		}
	}
	always := func(err error) func(op, name string) error {
		return func(op, _ string) error {
			if op == "syncfs" {
				return err
			}
			return nil
		}
	}
	for name, c := range map[string]struct {
		fail func(op, name string) error
		want string // calls
		lost bool
	}{
		"well":                 {nil, "syncfs", false},
		"another file's error": {onlyOnce(syscall.EIO), "syncfs sync sync sync", false},
		"no room for another file, again and again": {always(syscall.ENOSPC), "syncfs sync sync sync", false},
		"one of its own files":                      {func(string, string) error { return syscall.EIO }, "syncfs sync sync sync", true},
		"a signal":                                  {onlyOnce(syscall.EINTR), "syncfs syncfs", false},
		"forbidden":                                 {always(syscall.EPERM), "syncfs sync sync sync", false},
		"unknown":                                   {always(syscall.ENOSYS), "syncfs sync sync sync", false},
	} {
		t.Run(name, func(t *testing.T) {
			a := newArchive(t, Maildir)
			l := watchSyncs(t, a)
			l.fail = c.fail
			s := a.Sink()
			defer s.Close()
			put(t, s, "INBOX", three...)
			stored, err := s.Commit(t.Context())
			if got := l.take(); got != c.want {
				t.Errorf("calls: %s; want %s", got, c.want)
			}
			if (err != nil) != c.lost || len(stored) != map[bool]int{false: 3}[c.lost] {
				t.Errorf("got %v, %v", stored, err)
			}
			if c.lost && !errors.Is(err, syscall.EIO) {
				t.Errorf("got %v", err)
			}
			verifyClean(t, a)
		})
	}
}

// Where a sandbox forbids syncfs, it is asked for once.
func TestSyncfsForbidden(t *testing.T) {
	for _, refusal := range []syscall.Errno{syscall.EPERM, syscall.ENOSYS} {
		a := newArchive(t, Maildir)
		l := watchSyncs(t, a)
		l.fail = func(op, _ string) error {
			if op == "syncfs" {
				return refusal
			}
			return nil
		}
		for range 3 {
			store(t, a, "INBOX", three...)
		}
		if got, want := l.take(), "syncfs"+strings.Repeat(" sync", 9); got != want {
			t.Errorf("%v: calls: %s; want %s", refusal, got, want)
		}
		verifyClean(t, a)
	}
}

// The kernel tells of an error once, and that may be while another group waits: whoever had written by then looks at
// each of its own files.
func TestSyncfsThatTellsAnotherGroup(t *testing.T) {
	a := newArchive(t, Maildir)
	l := watchSyncs(t, a)
	written := a.Sink()
	defer written.Close()
	put(t, written, "INBOX", three...)
	l.fail = func(op, _ string) error {
		if op == "syncfs" {
			return syscall.EIO
		}
		return nil
	}
	store(t, a, "Work", three...)
	l.take()
	l.fail = nil
	a.syncer.tries = [ways]int{} // choose syncfs
	if stored := commit(t, written); len(stored) != 3 {
		t.Errorf("%d answers", len(stored))
	}
	if got, want := l.take(), "syncfs sync sync sync"; got != want {
		t.Errorf("calls: %s; want %s", got, want)
	}
	verifyClean(t, a)
}

// Groups that wait while the file system is being synced share the next time; nobody relies on one that began before
// it had written all.
func TestSyncfsIsShared(t *testing.T) {
	a := newArchive(t, Maildir)
	syncTogether(t, a)
	synctest.Test(t, func(t *testing.T) {
		a.syncer.turn = make(chan struct{}, 1) // of this bubble
		a.syncer.turn <- struct{}{}
		calls := 0
		a.disk.fault = func(op, _ string) error {
			if op == "syncfs" {
				calls++
				time.Sleep(time.Second)
			}
			return nil
		}
		began := time.Now()
		var waiting sync.WaitGroup
		for n := range 6 {
			waiting.Go(func() {
				time.Sleep(time.Duration(n) * 100 * time.Millisecond)
				if !a.syncer.together(0) {
					t.Error("not vouched for")
				}
				if took, want := time.Since(began), time.Duration(min(n, 1)+1)*time.Second; took != want {
					t.Errorf("group %d went on after %v, not %v", n, took, want)
				}
			})
		}
		waiting.Wait()
		if calls != 2 {
			t.Errorf("%d calls for 6 groups", calls)
		}
	})
}

// The cheaper way is taken, and the other looked at again now and then, the more seldom the dearer it was.
func TestSyncsTheCheaperWay(t *testing.T) {
	const ms = time.Millisecond
	for name, c := range map[string]struct {
		cost    func(n int) [ways]time.Duration // of a file, at the n-th group
		atMost  int                             // groups of 1000 that take the dear way
		atLeast int
		dear    int
	}{
		"fsync is dear":           {func(int) [ways]time.Duration { return [ways]time.Duration{each: 4 * ms, together: ms} }, 12, 4, each},
		"syncfs waits for others": {func(int) [ways]time.Duration { return [ways]time.Duration{each: ms, together: 100 * ms} }, 4, 2, together},
		"syncfs pays for others first": {func(n int) [ways]time.Duration {
			if n == 0 {
				return [ways]time.Duration{each: 2 * ms, together: 500 * ms}
			}
			return [ways]time.Duration{each: 2 * ms, together: ms}
		}, 30, 2, each},
		"syncfs pays for nobody else": {func(int) [ways]time.Duration { return [ways]time.Duration{each: 4 * ms, together: ms / 2} }, 0, 0, each},
		"another program begins to write where none did": {func(n int) [ways]time.Duration {
			if n < 100 {
				return [ways]time.Duration{each: 2 * ms, together: ms / 2}
			}
			return [ways]time.Duration{each: 2 * ms, together: 50 * ms}
		}, 110, 100, together},
		"another program begins to write": {func(n int) [ways]time.Duration {
			if n < 100 {
				return [ways]time.Duration{each: 2 * ms, together: ms}
			}
			return [ways]time.Duration{each: 2 * ms, together: 50 * ms}
		}, 115, 90, together},
	} {
		t.Run(name, func(t *testing.T) {
			a := newArchive(t, Maildir)
			syncTogether(t, a)
			var taken []int
			for n := range 1000 {
				way := a.syncer.choose(a.top, 100)
				if way == c.dear {
					taken = append(taken, n)
				}
				a.syncer.learn(way, c.cost(n)[way])
			}
			if len(taken) > c.atMost || len(taken) < c.atLeast {
				t.Errorf("the dear way was taken %d times, at %v", len(taken), taken)
			}
		})
	}
}

// One new message is no reason to sync the whole file system.
func TestFewFilesAreSyncedAlone(t *testing.T) {
	a := newArchive(t, Maildir)
	l := watchSyncs(t, a)
	a.syncer.few = fewFiles
	store(t, a, "INBOX", three...)
	if got := l.take(); got != "sync sync sync" {
		t.Errorf("calls: %s", got)
	}
	s := a.Sink()
	defer s.Close()
	put(t, s, "INBOX", slices.Repeat(three, 2)...)
	commit(t, s)
	if got := l.take(); got != "syncfs" {
		t.Errorf("calls for six: %s", got)
	}
}
