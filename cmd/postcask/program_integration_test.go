//go:build integration

package main_test

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"
	"unicode/utf16"

	"postcask/migrate/testserver"
)

// program is the built binary, run as a user would.
type program struct{ path string }

var build = sync.OnceValues(func() (string, error) {
	path := filepath.Join(os.Getenv("POSTCASK_TEST_DIR"), "postcask")
	cmd := exec.Command("go", "build", "-trimpath", "-o", path, ".")
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := cmd.CombinedOutput(); err != nil {
		return "", &exec.Error{Name: string(out), Err: err}
	}
	return path, nil
})

func binary(t *testing.T) *program {
	t.Helper()
	path, err := build()
	if err != nil {
		t.Fatal(err)
	}
	return &program{path}
}

// environment is what a user's shell has: passwords, and a place for state.
type environment []string

func state(t *testing.T) environment {
	t.Helper()
	dir := t.TempDir()
	return append(os.Environ(), "POSTCASK_PASSWORD=secret", "XDG_STATE_HOME="+dir, "XDG_CONFIG_HOME="+dir)
}

type result struct {
	exit           int
	stdout, stderr string
	peak           int64 // octets of resident memory
}

func (p *program) run(t *testing.T, env environment, args ...string) result {
	t.Helper()
	cmd := exec.Command(p.path, args...)
	cmd.Env = env
	var stdout, stderr bytes.Buffer
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	ended := make(chan struct{})
	peak := make(chan int64, 1)
	go func() { peak <- peakMemory(cmd.Process.Pid, ended) }()
	err := cmd.Wait()
	close(ended)
	if _, exited := errors.AsType[*exec.ExitError](err); err != nil && !exited {
		t.Fatal(err)
	}
	return result{cmd.ProcessState.ExitCode(), stdout.String(), stderr.String(), <-peak}
}

// peakMemory gives the most resident memory that a process had, as last seen before it ended. What wait tells would
// count the memory of this test too, which the process had until it became another program.
func peakMemory(pid int, ended <-chan struct{}) (octets int64) {
	for {
		status, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
		if err == nil {
			for line := range strings.Lines(string(status)) {
				if rest, ok := strings.CutPrefix(line, "VmHWM:"); ok {
					var kilo int64
					if _, err := fmt.Sscan(rest, &kilo); err == nil {
						octets = max(octets, kilo<<10)
					}
				}
			}
		}
		select {
		case <-ended:
			return octets
		case <-time.After(5 * time.Millisecond):
		}
	}
}

// ok runs a command that has to succeed.
func (p *program) ok(t *testing.T, env environment, args ...string) result {
	t.Helper()
	r := p.run(t, env, args...)
	if r.exit != 0 {
		t.Fatalf("postcask %s: exit %d\n%s\n%s", strings.Join(args, " "), r.exit, head(r.stdout), head(r.stderr))
	}
	return r
}

// summary runs a transfer with --json and gives its last line.
func (p *program) summary(t *testing.T, env environment, args ...string) summary {
	t.Helper()
	r := p.run(t, env, append(args, "--json")...)
	lines := strings.Split(strings.TrimSpace(r.stdout), "\n")
	s := summary{args: strings.Join(args, " "), result: r}
	if err := json.Unmarshal([]byte(lines[len(lines)-1]), &s); err != nil {
		t.Fatalf("postcask %s: exit %d: %v\n%s\n%s", s.args, r.exit, err, head(r.stdout), head(r.stderr))
	}
	return s
}

type summary struct {
	Type                                                              string
	Exit                                                              int
	Messages, Copied, Present, Filtered, Quarantined, Failed, Retries int
	FlagsUpdated                                                      int `json:"flags_updated"`
	Octets                                                            int64
	args                                                              string
	result                                                            result
}

func (s summary) expect(t *testing.T, exit, messages, copied int) {
	t.Helper()
	if s.Exit != exit || s.result.exit != exit || s.Messages != messages || s.Copied != copied || s.FlagsUpdated != 0 || s.Retries != 0 ||
		s.Copied+s.Present+s.Filtered+s.Quarantined+s.Failed != s.Messages {
		t.Errorf("postcask %s: want exit %d, %d messages, %d copied, but %+v\n%s", s.args, exit, messages, copied, s, head(s.result.stderr))
	}
}

// imapURL is where an account is, over TLS where the server has it.
func imapURL(server *testserver.Server, user string) string {
	if server.IMAPSAddr == "" {
		return "imap://" + url.PathEscape(user) + "@" + server.IMAPAddr + "?tls=none"
	}
	return "imaps://" + url.PathEscape(user) + "@" + server.IMAPSAddr + "?ca=" + server.CAFile
}

func popURL(server *testserver.Server, user string) string {
	if server.POP3SAddr == "" {
		return "pop3://" + url.PathEscape(user) + "@" + server.POP3Addr + "?tls=none"
	}
	return "pop3s://" + url.PathEscape(user) + "@" + server.POP3SAddr + "?ca=" + server.CAFile
}

// wireName gives a mailbox's name as the server wants it: Courier has all mailboxes below INBOX, with dots between.
func wireName(server *testserver.Server, parts []string) string {
	var b strings.Builder
	for i, part := range parts {
		switch {
		case server.Name == "courier" && (i > 0 || part != "INBOX"):
			if i == 0 {
				b.WriteString("INBOX")
			}
			b.WriteByte('.')
		case i > 0:
			b.WriteByte('/')
		}
		b.WriteString(toUTF7(part))
	}
	return b.String()
}

func plainName(t *testing.T, server *testserver.Server, name string) string {
	t.Helper()
	if server.Name == "courier" {
		name = strings.ReplaceAll(strings.TrimPrefix(name, "INBOX."), ".", "/")
	}
	return fromUTF7(t, name)
}

// plainDir gives the mailbox whose files are at path.
func plainDir(t *testing.T, dir, path string) string {
	t.Helper()
	relative, err := filepath.Rel(dir, path)
	if err != nil {
		t.Fatal(err)
	}
	name, err := url.PathUnescape(filepath.ToSlash(relative))
	if err != nil {
		t.Fatal(err)
	}
	return name
}

var base64UTF7 = base64.NewEncoding("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+,").WithPadding(base64.NoPadding)

// toUTF7 is modified UTF-7 (RFC 3501, section 5.1.3), written for these tests alone.
func toUTF7(text string) string {
	var b strings.Builder
	var run []uint16
	flush := func() {
		if len(run) == 0 {
			return
		}
		raw := make([]byte, 0, 2*len(run))
		for _, unit := range run {
			raw = append(raw, byte(unit>>8), byte(unit))
		}
		b.WriteString("&" + base64UTF7.EncodeToString(raw) + "-")
		run = nil
	}
	for _, r := range text {
		switch {
		case r == '&':
			flush()
			b.WriteString("&-")
		case r >= ' ' && r <= '~':
			flush()
			b.WriteRune(r)
		default:
			run = utf16.AppendRune(run, r)
		}
	}
	flush()
	return b.String()
}

func fromUTF7(t *testing.T, name string) string {
	t.Helper()
	var b strings.Builder
	for name != "" {
		plain, rest, ok := strings.Cut(name, "&")
		b.WriteString(plain)
		if !ok {
			break
		}
		coded, after, _ := strings.Cut(rest, "-")
		if name = after; coded == "" {
			b.WriteByte('&')
			continue
		}
		raw, err := base64UTF7.DecodeString(coded)
		if err != nil {
			t.Fatal(err)
		}
		var units []uint16
		for i := 0; i+1 < len(raw); i += 2 {
			units = append(units, uint16(raw[i])<<8|uint16(raw[i+1]))
		}
		b.WriteString(string(utf16.Decode(units)))
	}
	return b.String()
}
