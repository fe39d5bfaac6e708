//go:build integration && linux

package main_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"postcask/migrate/testserver"
)

// tmpfs mounts a file system of so many octets, and takes it away when the test ends. Its size can be changed.
func tmpfs(t *testing.T, size int) (dir string, resize func(size int)) {
	t.Helper()
	dir = filepath.Join(t.TempDir(), "small")
	if err := os.Mkdir(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	mount := func(size int, flags uintptr) {
		t.Helper()
		if err := syscall.Mount("tmpfs", dir, "tmpfs", flags, fmt.Sprintf("size=%d,mode=0700", size)); err != nil {
			t.Fatalf("mount a tmpfs, which takes root: %v", err)
		}
	}
	mount(size, 0)
	t.Cleanup(func() {
		if err := syscall.Unmount(dir, 0); err != nil {
			t.Error(err)
		}
	})
	return dir, func(size int) { t.Helper(); mount(size, syscall.MS_REMOUNT) }
}

// diskAll is how many messages mailServer has, about 6 MB, in whatever mailboxes.
const diskAll = 450

var threeBoxes = []string{"INBOX", "Sent", "Work"}

func mailServer(t *testing.T, boxes ...string) *testserver.IMAP {
	t.Helper()
	server := testserver.StartIMAP(t)
	for _, user := range []string{"me", "other"} {
		if err := server.AddUser(user, "secret"); err != nil {
			t.Fatal(err)
		}
	}
	for _, name := range boxes {
		if name != "INBOX" {
			if err := server.CreateMailbox("me", name); err != nil {
				t.Fatal(err)
			}
		}
		for i := range diskAll / len(boxes) {
			text := fmt.Sprintf("Message-ID: <%d.%s@example.org>\r\n\r\n%s", i, name, strings.Repeat(fmt.Sprintf("line of %d\r\n", i), 1000))
			if _, err := server.Deliver("me", name, testserver.Mail{Date: time.Date(2020, 1, 1, 0, i, 0, 0, time.UTC), Octets: []byte(text)}); err != nil {
				t.Fatal(err)
			}
		}
	}
	return server
}

// readOnly wants nothing to have been asked of the server that changes it.
func readOnly(t *testing.T, server *testserver.IMAP) {
	t.Helper()
	for _, line := range server.Commands() {
		for _, verb := range []string{" STORE ", " EXPUNGE", " SELECT ", " APPEND ", " DELETE "} {
			if strings.Contains(line, verb) {
				t.Errorf("the source was asked: %s", line)
			}
		}
	}
}

// stopped wants a run that could not go on: told in one line, with what to do, and with fewer messages than there are.
func stopped(t *testing.T, s summary, exits ...int) {
	t.Helper()
	found := false
	for _, exit := range exits {
		found = found || s.Exit == exit
	}
	errorLines := strings.Count(s.result.stderr, "postcask: error: ")
	if !found || s.result.exit != s.Exit || s.Copied >= diskAll || errorLines != 1 || strings.Contains(s.result.stderr, "goroutine ") {
		t.Errorf("postcask %s: %+v\n%s", s.args, s, head(s.result.stderr))
	}
}

// holds wants at least so many messages in the archive, and no more than there are, all intact.
func (p *program) holds(t *testing.T, env environment, archive string, messages int) {
	t.Helper()
	r := p.run(t, env, "verify", archive, "--json")
	lines := strings.Split(strings.TrimSpace(r.stdout), "\n")
	var sum struct{ Exit, Messages, Damaged, Unnamed int }
	if err := json.Unmarshal([]byte(lines[len(lines)-1]), &sum); err != nil || sum.Exit != 0 || sum.Messages < messages || sum.Messages > diskAll || sum.Damaged != 0 {
		t.Errorf("verify: want %d messages, exit %d, %+v, %v\n%s%s", messages, r.exit, sum, err, head(r.stdout), head(r.stderr))
	}
}

// complete runs a backup that nothing keeps from being whole any more.
func (p *program) complete(t *testing.T, env environment, server *testserver.IMAP, url, archive string, format ...string) {
	t.Helper()
	s := p.summary(t, env, append([]string{"backup", url, archive}, format...)...)
	if s.Exit != 0 || s.Messages != diskAll || s.Copied+s.Present != diskAll {
		t.Fatalf("with room: %+v\n%s", s, head(s.result.stderr))
	}
	p.holds(t, env, archive, diskAll)
	if r := p.run(t, env, "verify", archive, "--against", url); r.exit != 0 || !strings.Contains(r.stdout, fmt.Sprintf("every one of %d messages", diskAll)) {
		t.Errorf("exit %d\n%s%s", r.exit, head(r.stdout), head(r.stderr))
	}
	if again := p.summary(t, env, "backup", url, archive); again.Exit != 0 || again.Copied != 0 || again.Present != diskAll {
		t.Errorf("once more: %+v", again)
	}
	readOnly(t, server)
}

// A disk fills up in the middle of a backup. What was reported is there and whole; when there is room the rest comes,
// and no message is there twice.
func TestTheDiskFillsUpInABackup(t *testing.T) {
	t.Parallel()
	p := binary(t)
	for _, format := range []string{"maildir", "mbox"} {
		t.Run(format, func(t *testing.T) {
			server := mailServer(t, threeBoxes...)
			env, source := state(t), imapURL(&server.Server, "me")
			small, resize := tmpfs(t, 2<<20)
			dir := filepath.Join(small, "mail")
			for size := 2 << 20; size <= 4<<20; size += 1 << 20 { // each time a little more goes in
				resize(size)
				s := p.summary(t, env, "backup", source, dir, "--format", format, "--connections", "1") // one group after the other
				stopped(t, s, 7)
				if !strings.Contains(s.result.stderr, "no space left on device") || !strings.Contains(s.result.stderr, "hint: make room") {
					t.Errorf("%s", head(s.result.stderr))
				}
				p.holds(t, env, dir, max(s.Copied+s.Present, size>>22)) // in the end there is room for a group
			}
			resize(64 << 20)
			p.complete(t, env, server, source, dir, "--format", format)
		})
	}
}

// A disk that is full from the beginning gets no archive by halves.
func TestNoRoomForANewArchive(t *testing.T) {
	t.Parallel()
	p := binary(t)
	server := mailServer(t, threeBoxes...)
	env, source := state(t), imapURL(&server.Server, "me")
	for _, size := range []int{4 << 10, 16 << 10, 64 << 10, 128 << 10} {
		small, resize := tmpfs(t, size)
		dir := filepath.Join(small, "mail")
		r := p.run(t, env, "backup", source, dir)
		if r.exit != 7 || strings.Count(r.stderr, "postcask: error: ") != 1 || !strings.Contains(r.stderr, "hint: make room") {
			t.Errorf("%d octets: exit %d\n%s", size, r.exit, head(r.stderr))
		}
		resize(64 << 20)
		p.complete(t, env, server, source, dir)
	}
}

// The disk with the ledger fills up in the middle of a migrate. What has arrived is not sent again.
func TestTheDiskOfTheLedgerFillsUp(t *testing.T) {
	t.Parallel()
	p := binary(t)
	for _, size := range []int{8 << 10, 160 << 10, 224 << 10} {
		t.Run(strconv.Itoa(size), func(t *testing.T) {
			server := mailServer(t, threeBoxes...)
			env := state(t)
			small, resize := tmpfs(t, size)
			env = append(env, "XDG_STATE_HOME="+filepath.Join(small, "state"))
			args := []string{"migrate", imapURL(&server.Server, "me"), imapURL(&server.Server, "other")}
			r := p.run(t, env, args...)
			if r.exit != 7 || strings.Count(r.stderr, "postcask: error: ") != 1 {
				t.Errorf("exit %d\n%s", r.exit, head(r.stderr))
			}
			resize(64 << 20)
			if s := p.summary(t, env, args...); s.Exit != 0 || s.Messages != diskAll || s.Copied+s.Present != diskAll {
				t.Errorf("with room: %+v\n%s", s, head(s.result.stderr))
			}
			for _, name := range threeBoxes {
				got, err := server.Messages("other", name)
				if err != nil || len(got) != diskAll/len(threeBoxes) {
					t.Errorf("%s has %d messages, %v", name, len(got), err)
				}
			}
		})
	}
}

// limited runs the program with a limit of the shell's: ulimit -n 16.
func (p *program) limited(t *testing.T, env environment, limit string, args ...string) result {
	t.Helper()
	shell := &program{"/bin/sh"}
	return shell.run(t, env, append([]string{"-c", "ulimit " + limit + " && exec \"$@\"", "sh", p.path}, args...)...)
}

// A process that may open few files, or write none that is long, stops in good order or does its work.
func TestLimitsOfTheProcess(t *testing.T) {
	t.Parallel()
	p := binary(t)
	server := mailServer(t, threeBoxes...)
	env, source := state(t), imapURL(&server.Server, "me")
	for _, format := range []string{"maildir", "mbox"} {
		for limit, says := range map[string]string{
			"-n 9": "", "-n 14": "", "-n 24": "", // what cannot be opened is chance
			"-f 8": "", "-f 1000": map[string]string{"maildir": "input/output error", "mbox": "file too large"}[format],
		} {
			t.Run(format+" "+limit, func(t *testing.T) {
				dir := filepath.Join(t.TempDir(), "mail")
				r := p.limited(t, env, limit, "backup", source, dir, "--format", format)
				switch {
				case strings.Contains(r.stderr, "goroutine ") || strings.Contains(r.stderr, "runtime"):
					t.Errorf("a fault: exit %d\n%s", r.exit, head(r.stderr))
				case r.exit == 0:
					p.holds(t, env, dir, diskAll)
				case strings.Count(r.stderr, "postcask: error: ") != 1 || !strings.Contains(r.stderr, says):
					t.Errorf("exit %d\n%s", r.exit, head(r.stderr))
				}
				p.complete(t, env, server, source, dir, "--format", format)
			})
		}
	}
}

// A folder of the archive turns read-only in the middle of a backup.
func TestAFolderTurnsReadOnly(t *testing.T) {
	t.Parallel()
	p := binary(t)
	server := mailServer(t, "INBOX") // more than go in one group
	env, source := state(t), imapURL(&server.Server, "me")
	dir := filepath.Join(t.TempDir(), "mail")
	cmd := exec.Command(p.path, "backup", source, dir, "--limit-rate", "1M", "--connections", "1")
	cmd.Env = env
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	box := filepath.Join(dir, "INBOX")
	for began := time.Now(); ; time.Sleep(10 * time.Millisecond) {
		if names, _ := os.ReadDir(filepath.Join(box, "tmp")); len(names) > 0 {
			break
		}
		if time.Since(began) > 30*time.Second {
			t.Fatal("nothing comes")
		}
	}
	// Somebody has a file open all the while, so that it cannot turn in two steps: what is laid over it is read-only before.
	over := t.TempDir()
	for _, m := range []struct {
		from, to string
		flags    uintptr
	}{{box, over, syscall.MS_BIND}, {over, over, syscall.MS_BIND | syscall.MS_REMOUNT | syscall.MS_RDONLY}, {over, box, syscall.MS_BIND}} {
		if err := syscall.Mount(m.from, m.to, "", m.flags, ""); err != nil {
			t.Fatalf("%s: %v", m.to, err)
		}
	}
	err := cmd.Wait()
	for _, dir := range []string{box, over} {
		if err := syscall.Unmount(dir, 0); err != nil {
			t.Fatal(err)
		}
	}
	if cmd.ProcessState.ExitCode() != 7 || !strings.Contains(stderr.String(), "read-only file system") || strings.Count(stderr.String(), "postcask: error: ") != 1 {
		t.Errorf("%v\n%s", err, head(stderr.String()))
	}
	p.complete(t, env, server, source, dir)
}
