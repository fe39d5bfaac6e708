//go:build unix

package main

import (
	"encoding/json"
	"errors"
	"io"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"postcask/migrate"
	"postcask/migrate/ledger"
)

// beside starts the same backup again, in a process of its own, and gives its standard error and what ends it with a status.
func (r *running) beside(t *testing.T, args ...string) (stderr *spoken, wait func() int) {
	t.Helper()
	stderr = new(spoken)
	again := exec.Command("postcask", append(append([]string{}, r.Args[1:4]...), args...)...)
	again.Dir, again.Env, again.Stderr = r.Dir, r.Env, stderr
	if err := again.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if again.ProcessState == nil {
			again.Process.Kill()
			again.Wait()
		}
	})
	return stderr, func() int {
		err := again.Wait()
		if exit := (*exec.ExitError)(nil); err != nil && !errors.As(err, &exit) {
			t.Fatal(err)
		}
		return again.ProcessState.ExitCode()
	}
}

// Of two runs on one archive one works and the other leaves with 6, or waits for its turn. Whoever looks into the archive
// meanwhile sees whole messages only, more and more of them.
func TestTwoRunsAtOnce(t *testing.T) {
	for _, format := range []string{"maildir", "mbox"} {
		t.Run(format, func(t *testing.T) {
			t.Parallel()
			const messages = 600 // some 1.5 MB
			server := slowServer(t, messages)
			line := startGate(t, server.IMAPSAddr)
			line.hold(700_000, 200) // until all has been seen
			r := startBackup(t, t.TempDir(), server, line.addr, "--format", format)
			r.awaitMail(t)
			stderr, wait := r.beside(t)
			if status := wait(); status != exitLocked || !strings.Contains(stderr.String(), "held by another run") {
				t.Errorf("a second run left with %d: %s", status, stderr)
			}
			waits, wait := r.beside(t, "--lock-wait", "20m")
			waits.await(t, "waiting up to 20m")
			archive := filepath.Join(r.dir, "mail")
			seen, _ := lookInto(t, archive, 0)
			seen, sound := lookInto(t, archive, seen)
			line.open()
			ended := make(chan struct{})
			var looking sync.WaitGroup
			looking.Go(func() {
				for sound {
					select {
					case <-ended:
						return
					default:
						seen, sound = lookInto(t, archive, seen)
					}
				}
			})
			status, last := r.end(t)
			close(ended)
			looking.Wait()
			if status != exitDone || last["copied"] != float64(messages) {
				t.Errorf("the first run left with %d: %v", status, last)
			}
			if status := wait(); status != exitDone || strings.Count(waits.String(), "waiting up to 20m") != 1 {
				t.Errorf("the run that waited left with %d: %s", status, waits)
			}
			status, stdout, said := run(t, "verify", archive)
			if status != exitDone || !strings.Contains(stdout, "600 messages in 1 mailbox") {
				t.Errorf("verify: %d, %s%s", status, stdout, said)
			}
		})
	}
}

// lookInto verifies and lists an archive that has held so many messages before. It tells how many there are now, and
// whether all is well.
func lookInto(t *testing.T, dir string, before float64) (messages float64, sound bool) {
	status, stdout, stderr := run(t, "verify", dir, "--json")
	lines := strings.Split(strings.TrimSpace(stdout), "\n")
	var last map[string]any
	if err := json.Unmarshal([]byte(lines[len(lines)-1]), &last); err != nil {
		t.Errorf("verify: %v in %q", err, stdout)
		return before, false
	}
	messages, _ = last["messages"].(float64)
	if status != exitDone || last["damaged"] != 0.0 || messages < before {
		t.Errorf("verify while a backup writes: %d, %v messages after %v; %s%s", status, messages, before, stdout, stderr)
		return messages, false
	}
	if status, stdout, stderr := run(t, "ls", dir, "--messages", "--json"); status != exitDone || strings.Contains(stdout, `"error"`) {
		t.Errorf("ls while a backup writes: %d, %.500s%s", status, stdout, stderr)
		return messages, false
	}
	return messages, true
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
			synctest.Test(t, func(t *testing.T) {
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
	var waits spoken
	done := make(chan int, 1)
	go func() {
		done <- execute(t.Context(), append(args, "--lock-wait", "1m"), io.Discard, &waits, nil)
	}()
	waits.await(t, "waiting up to 1m")
	if err := release(); err != nil {
		t.Fatal(err)
	}
	// Nobody listens at those ports: that it comes so far is the proof.
	if status := <-done; status != exitUnavailable {
		t.Errorf("the run that waited left with %d: %s", status, &waits)
	}
}
