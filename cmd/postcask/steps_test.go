package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"postcask/migrate/testserver"
)

// A stepJob is a command that is stopped behind its n-th step, for every n, and then run again.
type stepJob struct {
	name string
	// prepare gives the arguments for the n-th time, and the check of the end state.
	prepare func(t *testing.T, w *stepWorld, dir string, n int) (args []string, check func())
}

// A stepWorld is what the jobs share: a program that can be stopped, and servers.
type stepWorld struct {
	program string
	imap    *testserver.IMAP
	pop3    *testserver.POP3
	archive string // filled, for restore
}

var stepMailboxes = []string{"INBOX", "Work/2020"}

// A run that is killed behind any step of its journal is completed by the next one: every message is there once, the
// archive is whole, and what was to be deleted is deleted only then.
func TestStopBehindEveryStep(t *testing.T) {
	t.Parallel()
	w := newStepWorld(t)
	for _, job := range []stepJob{
		{"backup to maildir", backupTo("maildir")}, {"backup to mbox", backupTo("mbox")},
		{"restore", restoreStep}, {"migrate", migrateStep}, {"POP3 with delete", popStep},
	} {
		t.Run(job.name, func(t *testing.T) {
			t.Parallel()
			n := 1
			for w.stop(t, job, n) {
				n++
			}
			if !t.Failed() && n < 8 {
				t.Errorf("there were only %d steps", n-1)
			}
			t.Logf("%d steps", n-1)
		})
	}
}

func newStepWorld(t *testing.T) *stepWorld {
	t.Helper()
	w := &stepWorld{program: filepath.Join(t.TempDir(), "postcask"), imap: testserver.StartIMAP(t), pop3: testserver.StartPOP3(t)}
	build := exec.Command("go", "build", "-tags", "steps", "-o", w.program, ".")
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	if err := w.imap.AddUser("me", canary); err != nil {
		t.Fatal(err)
	}
	if err := w.imap.CreateMailbox("me", stepMailboxes[1]); err != nil {
		t.Fatal(err)
	}
	for _, mailbox := range stepMailboxes {
		for i := range 3 {
			octets := letter(mailbox, i/2) // the first two are twins
			if _, err := w.imap.Deliver("me", mailbox, testserver.Mail{Flags: someFlags(i), Date: someDay(i), Octets: octets}); err != nil {
				t.Fatal(err)
			}
		}
	}
	w.archive = filepath.Join(t.TempDir(), "filled")
	if r := w.run(t, t.TempDir(), 0, "backup", w.account("me"), w.archive); r.exit != exitDone {
		t.Fatalf("exit %d\n%s%s", r.exit, r.stdout, r.stderr)
	}
	return w
}

func (w *stepWorld) account(user string) string {
	return "imaps://" + user + "@" + w.imap.IMAPSAddr + "?connections=1&ca=" + url.QueryEscape(w.imap.CAFile)
}

type stepResult struct {
	exit           int
	stdout, stderr string
}

// run runs the program to its end, or to its n-th step if that is not 0.
func (w *stepWorld) run(t *testing.T, state string, n int, args ...string) stepResult {
	t.Helper()
	cmd := exec.Command(w.program, append(args, "--no-input")...)
	cmd.Env = append(os.Environ(), "POSTCASK_PASSWORD="+canary, "XDG_STATE_HOME="+state, "XDG_CONFIG_HOME="+state)
	if n > 0 {
		cmd.Env = append(cmd.Env, fmt.Sprint("POSTCASK_STOP_AT_STEP=", n))
	}
	var stdout, stderr bytes.Buffer
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	err := cmd.Run()
	if cmd.ProcessState == nil {
		t.Fatal(err)
	}
	return stepResult{cmd.ProcessState.ExitCode(), stdout.String(), stderr.String()}
}

// stop runs a job to its n-th step, then again to the end. False tells that it has no n-th step, or that the test failed.
func (w *stepWorld) stop(t *testing.T, job stepJob, n int) bool {
	dir := t.TempDir()
	args, check := job.prepare(t, w, dir, n)
	first := w.run(t, dir, n, args...)
	if stopped := strings.Contains(first.stderr, "stopped at step"); !stopped && first.exit != exitDone {
		t.Errorf("step %d: exit %d\n%s%s", n, first.exit, first.stdout, first.stderr)
		return false
	} else if stopped {
		w.run(t, dir, 1+n%7, args...) // the cure is cut off too
		if again := w.run(t, dir, 0, args...); again.exit != exitDone {
			t.Errorf("%s\nthe run after that: exit %d\n%s%s", first.stderr, again.exit, again.stdout, again.stderr)
		}
		if check(); t.Failed() {
			t.Logf("after %s", first.stderr)
			return false
		}
		return true
	}
	check()
	return false
}

func backupTo(format string) func(*testing.T, *stepWorld, string, int) ([]string, func()) {
	return func(t *testing.T, w *stepWorld, dir string, _ int) ([]string, func()) {
		archive := filepath.Join(dir, "mail")
		return []string{"backup", w.account("me"), archive, "--format", format}, func() {
			w.whole(t, archive, 6, "--against", w.account("me"))
		}
	}
}

// whole verifies an archive: so many messages, nothing damaged, no octets too many.
func (w *stepWorld) whole(t *testing.T, archive string, messages int, more ...string) {
	t.Helper()
	r := w.run(t, t.TempDir(), 0, append([]string{"verify", archive, "--json"}, more...)...)
	var last struct{ Messages, Damaged, Unnamed int }
	lines := strings.Split(strings.TrimSpace(r.stdout), "\n")
	if err := json.Unmarshal([]byte(lines[len(lines)-1]), &last); err != nil {
		t.Errorf("%v in %s%s", err, r.stdout, r.stderr)
	}
	if r.exit != exitDone || last.Messages != messages || last.Damaged+last.Unnamed != 0 {
		t.Errorf("verify: exit %d, want %d messages\n%s%s", r.exit, messages, r.stdout, r.stderr)
	}
}

func restoreStep(t *testing.T, w *stepWorld, _ string, n int) ([]string, func()) {
	user := fmt.Sprint("restored", n)
	if err := w.imap.AddUser(user, canary); err != nil {
		t.Fatal(err)
	}
	return []string{"restore", w.archive, w.account(user)}, func() { w.sameAsAnna(t, user) }
}

func migrateStep(t *testing.T, w *stepWorld, _ string, n int) ([]string, func()) {
	user := fmt.Sprint("migrated", n)
	if err := w.imap.AddUser(user, canary); err != nil {
		t.Fatal(err)
	}
	return []string{"migrate", w.account("me"), w.account(user)}, func() { w.sameAsAnna(t, user) }
}

// sameAsAnna compares two accounts: the same octets, dates and flags, each as often.
func (w *stepWorld) sameAsAnna(t *testing.T, user string) {
	t.Helper()
	read := func(user, mailbox string) []string {
		messages, err := w.imap.Messages(user, mailbox)
		if err != nil {
			t.Error(err)
		}
		var all []string
		for _, m := range messages {
			slices.Sort(m.Flags)
			all = append(all, fmt.Sprintf("%d %q %q", m.Date.Unix(), m.Flags, m.Octets))
		}
		slices.Sort(all)
		return all
	}
	for _, mailbox := range stepMailboxes {
		if diff := cmp.Diff(read("me", mailbox), read(user, mailbox)); diff != "" {
			t.Errorf("%s of %s (-source +destination): %s", mailbox, user, diff)
		}
	}
}

func popStep(t *testing.T, w *stepWorld, dir string, n int) ([]string, func()) {
	user, archive := fmt.Sprint("popped", n), filepath.Join(dir, "mail")
	if err := w.pop3.AddUser(user, canary); err != nil {
		t.Fatal(err)
	}
	for i := range 4 {
		w.pop3.Deliver(user, letter("pop", i/2))
	}
	from := "pop3s://" + user + "@" + w.pop3.POP3SAddr + "?ca=" + url.QueryEscape(w.pop3.CAFile)
	return []string{"backup", from, archive, "--delete-after", "0"}, func() {
		w.whole(t, archive, 4)
		if left := w.pop3.Messages(user); len(left) > 0 {
			t.Errorf("%d messages are left on the server", len(left))
		}
	}
}
