//go:build unix

package main

import (
	"bufio"
	"encoding/base64"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
)

// specialCanary is a password with what the forms of it write differently.
const specialCanary = "c4n4ry &+/\"s3cret"

// An echo is a server that says back whatever it is told, the worst that a server can do to a secret. It takes every
// log-in, or none.
type echo struct {
	net.Listener
	pop3, take bool

	mu    sync.Mutex
	told  []string // what came at log-in, and must be seen nowhere
	loose []string // command lines of processes that had the password
	wait  sync.WaitGroup
}

func startEcho(t *testing.T, pop3, take bool) *echo {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	e := &echo{Listener: listener, pop3: pop3, take: take}
	e.wait.Go(func() {
		for {
			conn, err := listener.Accept()
			if err != nil {
				return
			}
			e.wait.Go(func() { e.talk(conn) })
		}
	})
	t.Cleanup(func() {
		listener.Close()
		e.wait.Wait()
	})
	return e
}

const challenge = "<1896.697170952@mail.example.org>"

func (e *echo) talk(conn net.Conn) {
	defer conn.Close()
	in := bufio.NewReader(conn)
	hear := func() string {
		line, err := in.ReadString('\n')
		if err != nil {
			return ""
		}
		return strings.TrimRight(line, "\r\n")
	}
	var mine []string // of this connection
	mechanisms := "PLAIN LOGIN CRAM-MD5 SCRAM-SHA-256"
	if e.pop3 {
		fmt.Fprintf(conn, "+OK ready %s\r\n", challenge)
	} else {
		fmt.Fprintf(conn, "* OK [CAPABILITY IMAP4rev1 AUTH=%s] ready\r\n", strings.ReplaceAll(mechanisms, " ", " AUTH="))
	}
	for {
		line := hear()
		if line == "" {
			return
		}
		tag, verb, rest := "", line, ""
		if !e.pop3 {
			tag, verb, _ = strings.Cut(line, " ")
		}
		verb, rest, _ = strings.Cut(verb, " ")
		login, said := true, []string{rest}
		switch strings.ToUpper(verb) {
		case "AUTHENTICATE", "AUTH":
			mechanism, first, _ := strings.Cut(rest, " ")
			said = []string{first}
			for range map[string]int{"PLAIN": 1, "LOGIN": 2, "CRAM-MD5": 1, "SCRAM-SHA-256": 2}[mechanism] {
				if first != "" && mechanism == "PLAIN" {
					break
				}
				fmt.Fprintf(conn, "+ %s\r\n", e.prompt(mechanism, said))
				said = append(said, hear())
			}
		case "LOGIN", "PASS", "APOP":
		case "CAPA":
			fmt.Fprintf(conn, "+OK\r\nSASL %s\r\nUSER\r\nUIDL\r\n.\r\n", mechanisms)
			continue
		case "CAPABILITY":
			fmt.Fprintf(conn, "* CAPABILITY IMAP4rev1 AUTH=%s\r\n%s OK done\r\n", strings.ReplaceAll(mechanisms, " ", " AUTH="), tag)
			continue
		case "USER":
			fmt.Fprintf(conn, "+OK password please\r\n")
			continue
		default:
			login = false
		}
		e.mu.Lock()
		if login {
			for _, text := range said {
				if len(text) > 8 { // the user's name is no secret
					mine, e.told = append(mine, text), append(e.told, text)
				}
			}
			e.look()
		}
		e.mu.Unlock()
		all := strings.Join(append(slices.Clone(mine), line), " ")
		switch {
		case e.pop3 && login && e.take:
			fmt.Fprintf(conn, "+OK you said %s\r\n", all)
		case e.pop3:
			fmt.Fprintf(conn, "-ERR you said %s\r\n", all)
		case login && e.take:
			fmt.Fprintf(conn, "* OK you said %s\r\n%s OK you said %s\r\n", all, tag, all)
		default:
			fmt.Fprintf(conn, "* NO you said %s\r\n%s NO you said %s\r\n", all, tag, all)
		}
	}
}

// prompt is what the server asks for.
func (e *echo) prompt(mechanism string, said []string) string {
	text := challenge
	switch mechanism {
	case "PLAIN":
		return ""
	case "LOGIN":
		text = "Password:"
	case "SCRAM-SHA-256":
		first, _ := base64.StdEncoding.DecodeString(said[len(said)-1])
		_, nonce, _ := strings.Cut(string(first), ",r=")
		text = "r=" + nonce + "more,s=c2FsdHNhbHQ=,i=4096"
		if len(said) > 1 {
			text = "v=" + base64.StdEncoding.EncodeToString(make([]byte, 32)) // not what the password gives
		}
	}
	return base64.StdEncoding.EncodeToString([]byte(text))
}

// look reads the command lines of all processes, as any user of the machine can.
func (e *echo) look() {
	lines, _ := filepath.Glob("/proc/[0-9]*/cmdline")
	for _, name := range lines {
		if text, err := os.ReadFile(name); err == nil && strings.Contains(string(text), specialCanary) {
			e.loose = append(e.loose, string(text))
		}
	}
}

// forms are the ways in which a password may be written.
func (e *echo) forms() []string {
	forms := []string{specialCanary, url.QueryEscape(specialCanary), url.PathEscape(specialCanary), strings.Trim(fmt.Sprintf("%q", specialCanary), `"`), `c4n4ry \u0026`}
	for _, before := range []string{"", "x", "xx"} { // as it stands in base64 behind any octets
		text := base64.RawStdEncoding.EncodeToString([]byte(before + specialCanary))
		forms = append(forms, text[4:len(text)-3])
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	return append(forms, e.told...)
}

// No server, however it behaves, and no way of logging in brings a password, or what is made of it, to the screen, into
// a log, the archive, the state folder, or a command line, at full verbosity, and whether or not it is taken.
func TestSecretsAreNowhere(t *testing.T) {
	t.Parallel()
	mechanisms := map[bool][]string{
		false: {"auto", "plain", "login", "cram-md5", "scram-sha-256"},
		true:  {"auto", "plain", "login", "cram-md5", "scram-sha-256", "apop", "user"},
	}
	n := 0
	for _, pop3 := range []bool{false, true} {
		for _, mechanism := range mechanisms[pop3] {
			for _, take := range []bool{false, true} {
				scheme := map[bool]string{false: "imap", true: "pop3"}[pop3]
				n++
				way, command := n%5, n/2%5
				t.Run(fmt.Sprintf("%s %s taken %v", scheme, mechanism, take), func(t *testing.T) {
					t.Parallel()
					e := startEcho(t, pop3, take)
					where := fmt.Sprintf("%s://me@%s?tls=none&auth=%s", scheme, e.Addr(), mechanism)
					seekSecrets(t, e, where, way, command)
				})
			}
		}
	}
}

// seekSecrets runs a command, with the password given in some way, and looks for it everywhere.
func seekSecrets(t *testing.T, e *echo, where string, way, command int) {
	t.Helper()
	dir := t.TempDir()
	secret, config := filepath.Join(dir, "secret"), filepath.Join(dir, "config.toml")
	write := func(name, text string) {
		if err := os.WriteFile(name, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	write(secret, specialCanary+"\n")
	account := fmt.Sprintf("[accounts.box]\nurl = %q\n", where)
	env := append(os.Environ(), "XDG_STATE_HOME="+dir, "CREDENTIALS_DIRECTORY="+dir)
	switch way {
	case 0:
		account += fmt.Sprintf("password = %q\n", specialCanary)
	case 1:
		account += "password_file = 'secret'\n"
	case 2:
		account += "password_command = 'cat " + secret + "'\n"
	case 3:
		account += "password_credential = 'secret'\n"
	default:
		env = append(env, "POSTCASK_PASSWORD="+specialCanary)
	}
	twin := strings.Replace(strings.Replace(account, "[accounts.box]", "[accounts.twin]", 1), "//me@", "//other@", 1)
	if e.pop3 {
		twin = strings.Replace(strings.Replace(twin, "pop3://", "imap://", 1), "&auth=apop", "", 1)
		twin = strings.Replace(twin, "&auth=user", "", 1)
	}
	write(config, account+twin)
	archive := filepath.Join(dir, "mail")
	args := [][]string{{"ls", "box:"}, {"backup", "box:", archive}, {"migrate", "box:", "twin:"}, {"ls", "box:", "--messages"}, {"migrate", "box:", "twin:", "--via", archive}}[command]
	trace := filepath.Join(dir, "trace")
	args = append(args, "--config", config, "-vv", "--log-file", trace, "--json", "--no-input", "--timeout", "2s")
	cmd := exec.Command("postcask", args...)
	cmd.Env = env
	var stdout, stderr strings.Builder
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	if err := cmd.Run(); err == nil {
		t.Errorf("%v came to something", args)
	} else if !errors.As(err, new(*exec.ExitError)) {
		t.Fatal(err)
	}
	forms := e.forms()
	if len(forms) < 9 {
		t.Errorf("no secret came to the server: %s", stderr.String())
	}
	find := func(place, text string) {
		for _, form := range forms {
			if strings.Contains(text, form) {
				t.Errorf("%q is in %s:\n%s", form, place, text)
				return
			}
		}
	}
	find("standard output", stdout.String())
	find("standard error", stderr.String())
	traced := false
	err := filepath.WalkDir(dir, func(path string, entry fs.DirEntry, err error) error {
		if err != nil || entry.IsDir() || path == secret || path == config {
			return err
		}
		octets, err := os.ReadFile(path)
		find(path, string(octets))
		if path == trace {
			info, _ := entry.Info()
			traced = len(octets) > 0 && info.Mode().Perm() == 0o600
		}
		return err
	})
	if err != nil || !traced {
		t.Errorf("the log file is empty or open to others: %v", err)
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	if len(e.loose) > 0 {
		t.Errorf("command lines with the password: %q", e.loose)
	}
}
