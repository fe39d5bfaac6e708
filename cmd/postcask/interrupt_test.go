//go:build unix

package main

import (
	"bufio"
	"encoding/json"
	"errors"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"postcask/migrate/testserver"
)

// A running is a postcask in a process of its own, in a folder of its own.
type running struct {
	*exec.Cmd
	dir    string
	stdout *bufio.Reader
	stderr *spoken
}

// slowMail is so much that at the rate of slowBackup a group takes seconds and all of it half a minute.
const slowMail = 2000

// slowBackup starts a backup that takes its time, and waits until it has begun to move mail.
func slowBackup(t *testing.T, args ...string) *running {
	t.Helper()
	server := slowServer(t, slowMail)
	r := startBackup(t, t.TempDir(), server, server.IMAPSAddr, append([]string{"--limit-rate", "200k"}, args...)...)
	r.awaitMail(t)
	return r
}

// slowServer is a server with so many messages.
func slowServer(t *testing.T, messages int) *testserver.IMAP {
	t.Helper()
	server := testserver.StartIMAP(t)
	if err := server.AddUser("me", canary); err != nil {
		t.Fatal(err)
	}
	for i := range messages {
		if _, err := server.Deliver("me", "INBOX", testserver.Mail{Date: someDay(i), Octets: letter("INBOX", i)}); err != nil {
			t.Fatal(err)
		}
	}
	return server
}

// startBackup starts a backup from that server, to be reached at addr, into a folder of dir.
func startBackup(t *testing.T, dir string, server *testserver.IMAP, addr string, args ...string) *running {
	t.Helper()
	r := &running{dir: dir, stderr: new(spoken)}
	r.Cmd = exec.Command("postcask", append([]string{"backup", "imaps://me@" + addr + "?ca=" + server.CAFile, "mail",
		"--json", "--no-input"}, args...)...)
	r.Dir, r.Stderr = r.dir, r.stderr
	r.Env = append(os.Environ(), "POSTCASK_PASSWORD="+canary)
	out, err := r.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := r.Start(); err != nil {
		t.Fatal(err)
	}
	r.stdout = bufio.NewReader(out)
	t.Cleanup(func() {
		if r.ProcessState == nil {
			r.Process.Kill()
			r.Wait()
		}
	})
	return r
}

// awaitMail waits until the first octets have moved.
func (r *running) awaitMail(t *testing.T) {
	t.Helper()
	for {
		line, err := r.stdout.ReadString('\n')
		var event struct {
			Type   string `json:"type"`
			Octets int64  `json:"octets"`
		}
		if err != nil || json.Unmarshal([]byte(line), &event) != nil {
			t.Fatalf("%v in %q; %s", err, line, r.stderr)
		}
		if event.Type == "progress" && event.Octets > 0 {
			return
		}
	}
}

// end waits and gives the status and the last line.
func (r *running) end(t *testing.T) (status int, last map[string]any) {
	t.Helper()
	rest, err := io.ReadAll(r.stdout)
	if err != nil {
		t.Fatal(err)
	}
	err = r.Wait()
	if exit := (*exec.ExitError)(nil); errors.As(err, &exit) {
		status = exit.ExitCode()
	} else if err != nil {
		t.Fatal(err)
	}
	lines := strings.Split(strings.TrimSpace(string(rest)), "\n")
	if err := json.Unmarshal([]byte(lines[len(lines)-1]), &last); err != nil {
		t.Fatalf("%v in %q; %s", err, lines[len(lines)-1], r.stderr)
	}
	return status, last
}

// One signal lets the run finish what is in hand; the archive is whole, and holds what the last line says.
func TestInterrupt(t *testing.T) {
	for _, sig := range []syscall.Signal{syscall.SIGINT, syscall.SIGTERM, syscall.SIGHUP} {
		t.Run(sig.String(), func(t *testing.T) {
			t.Parallel()
			r := slowBackup(t)
			r.Process.Signal(syscall.SIGUSR1)
			r.stderr.await(t, `backup: in "INBOX"`)
			r.Process.Signal(sig)
			status, last := r.end(t)
			if status != exitInterrupted || last["type"] != "error" || last["exit"] != float64(exitInterrupted) {
				t.Errorf("status %d, %v; %s", status, last, r.stderr)
			}
			if last["copied"] == 0.0 {
				t.Errorf("what it had in hand is not recorded: %v", last)
			}
			for _, says := range []string{"once more to leave now", "postcask: error: interrupted", "it goes on from there"} {
				if !strings.Contains(r.stderr.String(), says) {
					t.Errorf("standard error lacks %q: %s", says, r.stderr)
				}
			}
			r.whole(t, last)
		})
	}
}

// whole verifies the archive that an interrupted run left.
func (r *running) whole(t *testing.T, last map[string]any) {
	t.Helper()
	status, out, errs := run(t, "verify", filepath.Join(r.dir, "mail"), "--json")
	var summary struct{ Messages, Damaged float64 }
	if err := json.Unmarshal([]byte(out[strings.LastIndex(strings.TrimSpace(out), "\n")+1:]), &summary); err != nil {
		t.Fatal(err, out)
	}
	if copied := last["copied"].(float64); status != exitDone || summary.Messages < copied || summary.Messages >= slowMail {
		t.Errorf("the archive has %v messages, %v were reported; status %d, %s", summary.Messages, copied, status, errs)
	}
}

// A reader that goes away, as head does, costs no mail.
func TestClosedOutput(t *testing.T) {
	server := testserver.StartIMAP(t)
	if err := server.AddUser("me", canary); err != nil {
		t.Fatal(err)
	}
	for i := range 20 {
		if _, err := server.Deliver("me", "INBOX", testserver.Mail{Date: someDay(i), Octets: letter("INBOX", i)}); err != nil {
			t.Fatal(err)
		}
	}
	t.Setenv("POSTCASK_PASSWORD", canary)
	dir := filepath.Join(t.TempDir(), "mail")
	cmd := exec.Command("postcask", "backup", "imaps://me@"+server.IMAPSAddr+"?ca="+server.CAFile, dir, "--json", "-v")
	read, write, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	read.Close()
	cmd.Stdout, cmd.Stderr = write, write
	err = cmd.Run()
	write.Close()
	if err != nil {
		t.Errorf("backup: %v", err)
	}
	if status, out, errs := run(t, "verify", dir); status != exitDone || !strings.Contains(out, "20 messages") {
		t.Errorf("verify: status %d, %s%s", status, out, errs)
	}
}
