//go:build unix

package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"postcask/migrate"
	"postcask/migrate/ledger"
)

// beside starts the same backup again, in a process of its own, and gives what ends it: status and standard error.
func (r *running) beside(t *testing.T, args ...string) (wait func() (int, string)) {
	t.Helper()
	var stderr strings.Builder
	again := exec.Command("postcask", append(append([]string{}, r.Args[1:4]...), args...)...)
	again.Dir, again.Env, again.Stderr = r.Dir, r.Env, &stderr
	if err := again.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if again.ProcessState == nil {
			again.Process.Kill()
			again.Wait()
		}
	})
	return func() (int, string) {
		err := again.Wait()
		if exit := (*exec.ExitError)(nil); err != nil && !errors.As(err, &exit) {
			t.Fatal(err)
		}
		return again.ProcessState.ExitCode(), stderr.String()
	}
}

// Of two runs on one archive one works and the other leaves with 6, or waits for its turn. Whoever looks into the archive
// meanwhile sees whole messages only, more and more of them.
func TestTwoRunsAtOnce(t *testing.T) {
	for _, format := range []string{"maildir", "mbox"} {
		t.Run(format, func(t *testing.T) {
			t.Parallel()
			r := slowBackup(t, "--limit-rate", "1M", "--format", format)
			if status, stderr := r.beside(t)(); status != exitLocked || !strings.Contains(stderr, "held by another run") {
				t.Errorf("a second run left with %d: %s", status, stderr)
			}
			waiting := r.beside(t, "--lock-wait", "2m")
			ended := make(chan struct{})
			looks := make(chan int, 1)
			go func() { looks <- lookInto(t, filepath.Join(r.dir, "mail"), ended) }()
			status, last := r.end(t)
			close(ended)
			if status != exitDone || last["copied"] != float64(slowMail) {
				t.Errorf("the first run left with %d: %v", status, last)
			}
			if n := <-looks; n < 2 {
				t.Errorf("%d looks into the archive while it was written, want more", n)
			}
			if status, stderr := waiting(); status != exitDone || strings.Count(stderr, "waiting up to 2m") != 1 {
				t.Errorf("the run that waited left with %d: %s", status, stderr)
			}
			status, stdout, stderr := run(t, "verify", filepath.Join(r.dir, "mail"))
			if status != exitDone || !strings.Contains(stdout, "2,000 messages in 1 mailbox") {
				t.Errorf("verify: %d, %s%s", status, stdout, stderr)
			}
		})
	}
}

// lookInto verifies and lists an archive again and again until ended, and tells how often.
func lookInto(t *testing.T, dir string, ended <-chan struct{}) (looks int) {
	seen := 0.0
	for {
		select {
		case <-ended:
			return looks
		default:
		}
		status, stdout, stderr := run(t, "verify", dir, "--json")
		lines := strings.Split(strings.TrimSpace(stdout), "\n")
		var last map[string]any
		if err := json.Unmarshal([]byte(lines[len(lines)-1]), &last); err != nil {
			t.Errorf("verify: %v in %q", err, stdout)
			return looks
		}
		messages, _ := last["messages"].(float64)
		if status != exitDone || last["damaged"] != 0.0 || messages < seen {
			t.Errorf("verify while a backup writes: %d, %v messages after %v; %s%s", status, messages, seen, stdout, stderr)
			return looks
		}
		seen = messages
		if status, stdout, stderr := run(t, "ls", dir, "--messages", "--json"); status != exitDone || strings.Contains(stdout, `"error"`) {
			t.Errorf("ls while a backup writes: %d, %.500s%s", status, stdout, stderr)
			return looks
		}
		looks++
	}
}

func TestAwaitLock(t *testing.T) {
	locked := migrate.Errorf(migrate.Locked, "held by another run")
	for _, test := range []struct {
		name  string
		wait  time.Duration
		fails int // so often before it works
		err   error
		kind  migrate.Kind
		tries int
	}{
		{"free", time.Minute, 0, locked, 0, 1},
		{"held, and nobody waits", 0, 9, locked, migrate.Locked, 1},
		{"free after a while", time.Minute, 2, locked, 0, 3},
		{"held for too long", 50 * time.Millisecond, 99, locked, migrate.Locked, 2},
		{"damaged", time.Minute, 9, migrate.Errorf(migrate.Damaged, "broken"), migrate.Damaged, 1},
	} {
		t.Run(test.name, func(t *testing.T) {
			var stderr strings.Builder
			c := &cli{term: &terminal{stderr: &stderr}}
			tries := 0
			err := c.awaitLock(t.Context(), test.wait, func() error {
				if tries++; tries <= test.fails {
					return test.err
				}
				return nil
			})
			if migrate.KindOf(err) != test.kind || tries != test.tries {
				t.Errorf("%v after %d tries, want kind %d after %d", err, tries, test.kind, test.tries)
			}
			if told := strings.Count(stderr.String(), "waiting"); told > 1 || (told == 1) != (test.tries > 1) {
				t.Errorf("told %q", stderr.String())
			}
		})
	}
}

// A ledger is waited for as an archive is.
func TestLockWaitOfALedger(t *testing.T) {
	file := filepath.Join(t.TempDir(), "pair")
	release, err := ledger.Lock(file + ".lock")
	if err != nil {
		t.Fatal(err)
	}
	args := []string{"migrate", "imaps://a@127.0.0.1:1", "imaps://b@127.0.0.1:2", "--ledger", file, "--no-input",
		"--source-password-command", "echo x", "--destination-password-command", "echo x", "--max-retries", "0"}
	status, _, stderr := run(t, args...)
	if status != exitLocked {
		t.Errorf("a second run left with %d: %s", status, stderr)
	}
	done := make(chan string, 1)
	go func() {
		status, _, stderr := run(t, append(args, "--lock-wait", "1m")...)
		done <- fmt.Sprintf("%d %s", status, stderr)
	}()
	time.Sleep(3 * lockPause)
	if err := release(); err != nil {
		t.Fatal(err)
	}
	// Nobody listens at those ports: that it comes so far is the proof.
	if told := <-done; !strings.HasPrefix(told, fmt.Sprint(exitUnavailable)) || !strings.Contains(told, "waiting up to 1m") {
		t.Errorf("the run that waited left with %s", told)
	}
}
