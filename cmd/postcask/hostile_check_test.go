package main

import (
	"bytes"
	"context"
	"encoding/base64"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"
	"unicode"
	"unicode/utf8"
)

// run runs the program and gives its exit status, and the most memory that it took at any time, in octets. What it said and
// how long it worked are kept.
func (h *hostileRun) run(t *testing.T, limit time.Duration, args ...string) (status int, peak int64) {
	ctx, cancel := context.WithTimeout(t.Context(), limit)
	defer cancel()
	cmd := exec.CommandContext(ctx, h.program, args...)
	cmd.Dir = filepath.Dir(h.archive)
	cmd.Env = []string{"PATH=" + os.Getenv("PATH"), "HOME=" + h.home, "XDG_CONFIG_HOME=" + h.home, "XDG_STATE_HOME=" + h.home,
		"TMPDIR=" + filepath.Join(h.sandbox, "tmp"), "POSTCASK_PASSWORD=" + canary}
	var stdout, stderr bytes.Buffer
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	done := make(chan int64)
	ended := make(chan struct{})
	go func() { done <- watchMemory(cmd.Process.Pid, ended) }()
	err := cmd.Wait()
	close(ended)
	seen := <-done
	if ctx.Err() != nil {
		t.Errorf("it had to be killed after %v: %v", limit, err)
	}
	h.stdout, h.stderr = stdout.String(), stderr.String()
	h.work = cmd.ProcessState.UserTime() + cmd.ProcessState.SystemTime()
	// The kernel's own figure begins with that of the process that made this one, which may be large.
	usage := cmd.ProcessState.SysUsage().(*syscall.Rusage)
	return cmd.ProcessState.ExitCode(), min(seen, usage.Maxrss*1024)
}

var highWater = regexp.MustCompile(`VmHWM:\s+(\d+) kB`)

// watchMemory looks at a process' high-water mark until it has ended.
func watchMemory(pid int, ended <-chan struct{}) (peak int64) {
	for {
		status, _ := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid)) // gone, in the end
		if mark := highWater.FindSubmatch(status); mark != nil {
			var kilo int64
			fmt.Sscan(string(mark[1]), &kilo)
			peak = max(peak, kilo*1024)
		}
		select {
		case <-ended:
			return peak
		case <-time.After(20 * time.Millisecond):
		}
	}
}

// checkOutput sees that nothing a server said can steer a terminal, and that the program did not break.
func (h *hostileRun) checkOutput(t *testing.T) {
	var trace []byte
	if !h.dialogue.floods {
		var err error
		if trace, err = os.ReadFile(filepath.Join(h.home, "trace")); err != nil {
			t.Error(err)
		}
	}
	checkClean(t, "stdout", h.stdout)
	checkClean(t, "stderr", h.stderr)
	checkClean(t, "trace", string(trace))
}

// checkClean sees that a text has neither characters that steer a terminal nor words of a program that broke.
func checkClean(t *testing.T, name, text string) {
	if !utf8.ValidString(text) {
		t.Errorf("%s is not UTF-8", name)
	}
	for _, r := range text {
		if r != '\n' && unicode.IsControl(r) || unicode.In(r, unicode.Cf, unicode.Zl, unicode.Zp) {
			t.Errorf("%s has the character %U", name, r)
			break
		}
	}
	for _, word := range []string{"panic", "goroutine ", "fault in postcask", "runtime error"} {
		if strings.Contains(text, word) {
			t.Errorf("%s has the word %q", name, word)
		}
	}
}

// canaries are the password, and what stands for it in base64, wherever in the groups of three octets it begins.
var canaries = func() [][]byte {
	all := [][]byte{[]byte(canary)}
	for before := range 3 {
		text := base64.StdEncoding.EncodeToString(append(make([]byte, before), canary...))
		whole := text[(before*8+5)/6 : (before+len(canary))*8/6] // the digits that it alone decides
		all = append(all, []byte(whole))
	}
	return all
}()

// shows tells whether a text has the password in it, plainly or in base64.
func shows(text []byte) bool {
	return slices.ContainsFunc(canaries, func(secret []byte) bool { return bytes.Contains(text, secret) })
}

func TestShows(t *testing.T) {
	for before := range 7 {
		for after := range 4 {
			secret := strings.Repeat("\x00", before) + canary + strings.Repeat("z", after)
			if !shows([]byte("AUTH " + base64.StdEncoding.EncodeToString([]byte(secret)) + "\r\n")) {
				t.Errorf("%q is not seen in base64", secret)
			}
		}
	}
	if !shows([]byte("PASS "+canary)) || shows([]byte("PASS c4n4ry")) {
		t.Error("the plain password is not told")
	}
}

func (h *hostileRun) checkSecrets(t *testing.T) {
	if shows(h.player.InClear()) && !strings.Contains(h.dialogue.parameters, "tls=none") {
		t.Errorf("the password went over the line in the clear: %q", h.player.InClear())
	}
	if shows([]byte(h.stdout)) || shows([]byte(h.stderr)) {
		t.Error("the password is in the output")
	}
}

// checkFiles sees that there is nothing outside of the archive's folder, and the password in no file.
func (h *hostileRun) checkFiles(t *testing.T) {
	for _, path := range []string{"/postcask-hostile", "/postcask-hostile.mbox"} {
		if _, err := os.Lstat(path); err == nil {
			t.Errorf("there is %s", path)
		}
	}
	err := filepath.WalkDir(h.sandbox, func(path string, entry fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		inside := func(dir string) bool { return path == dir || strings.HasPrefix(path, dir+string(filepath.Separator)) }
		if !inside(h.archive) && !inside(h.home) && !slices.Contains([]string{".", "a", "a/b", "a/b/c", "tmp"}, relative(h.sandbox, path)) {
			t.Errorf("there is %s", path)
		}
		if entry.IsDir() {
			return nil
		}
		if !entry.Type().IsRegular() {
			t.Errorf("%s is no file", path)
			return nil
		}
		octets, err := os.ReadFile(path)
		if shows(octets) {
			t.Errorf("the password is in %s", path)
		}
		if filepath.Base(filepath.Dir(path)) == "quarantine" && filepath.Ext(path) == ".txt" {
			checkClean(t, "a note in the quarantine", string(octets)) // somebody will read it on a terminal
		}
		return err
	})
	if err != nil {
		t.Error(err)
	}
}

func relative(from, path string) string {
	rel, err := filepath.Rel(from, path)
	if err != nil {
		return path
	}
	return filepath.ToSlash(rel)
}

// checkArchive sees that the archive has the messages it should have, octet for octet and nothing else, and verifies.
func (h *hostileRun) checkArchive(t *testing.T) {
	var want, got []string
	for _, name := range h.dialogue.holds {
		want = append(want, wireForm(h.player.Body(name)))
	}
	_, gone := os.Lstat(h.archive) // as a new one that nothing came into
	err := filepath.WalkDir(h.archive, func(path string, entry fs.DirEntry, err error) error {
		if gone != nil {
			return filepath.SkipAll
		}
		if err != nil || !entry.Type().IsRegular() {
			return err
		}
		if rel := relative(h.archive, path); strings.HasPrefix(rel, ".postcask/") ||
			entry.Name() == "dovecot-keywords" || strings.HasPrefix(entry.Name(), ".postcask-name-") { // what is no message
			return nil
		}
		octets, err := os.ReadFile(path)
		got = append(got, wireForm(octets))
		return err
	})
	if err != nil {
		t.Error(err)
	}
	if slices.Equal(h.dialogue.holds, []string{"nothing"}) {
		want = nil
	}
	if n, err := strconv.Atoi(strings.Join(h.dialogue.holds, " ")); err == nil && n == len(got) {
		want = got
	}
	slices.Sort(want)
	slices.Sort(got)
	if !slices.Equal(want, got) {
		t.Errorf("the archive has %d messages, not %d: %.600q, want %.600q", len(got), len(want), got, want)
	}
	if gone != nil {
		return
	}
	status, _ := h.verify(t)
	if status != exitDone {
		t.Errorf("verify of the archive: exit %d, %s", status, h.stdout)
	}
}

// verify runs postcask verify, and leaves what the run before it said as it was unless there is something wrong.
func (h *hostileRun) verify(t *testing.T) (status int, said string) {
	stdout, stderr := h.stdout, h.stderr
	status, _ = h.run(t, time.Minute, "verify", h.archive)
	said = h.stdout + h.stderr
	if status == exitDone {
		h.stdout, h.stderr = stdout, stderr
	}
	return status, said
}

// wireForm gives the octets of a message as they go over the wire, from those of a file: an archive keeps LF alone where
// every line ends in CRLF.
func wireForm(octets []byte) string {
	text := string(octets)
	if strings.Contains(text, "\r") {
		return text
	}
	return strings.ReplaceAll(text, "\n", "\r\n")
}

var copiedWords = regexp.MustCompile(`(?m)^restore.*: ([\d,]+) copied`)

// checkSent compares how many messages a restore says it has copied.
func (h *hostileRun) checkSent(t *testing.T) {
	got := 0
	if said := copiedWords.FindStringSubmatch(h.stdout); said != nil {
		fmt.Sscan(said[1], &got)
	}
	if got != h.dialogue.sent {
		t.Errorf("it says that %d messages were copied, not %d", got, h.dialogue.sent)
	}
}
