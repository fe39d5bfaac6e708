package testserver

import (
	"crypto/tls"
	"io"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

func TestPlayer(t *testing.T) {
	p := Play(t, `
# A server that wants STARTTLS, and has one message.
BODY mail
Subject: \xe4

a line
no end\-
.
ON: <tag> NOOP => <tag> OK still here
S: * OK [CAPABILITY IMAP4rev1 STARTTLS] ready
C: <tag> STARTTLS
S: <tag> OK go ahead
TLS
C: <tag> LOGIN "me" "*"
S: <tag> OK in
C: <tag> EXAMINE *
S: * 1 EXISTS
S: <tag> OK
C: <tag> UID FETCH <set> (*)
S: * 1 FETCH (UID 7 FLAGS () RFC822.SIZE <size mail> BODY[] <literal mail>)
S: <tag> OK <set> is all
C: <tag> APPEND {5}
S: + go on
DATA
C: * {3}
S: + go on
DATA
C:
S: <tag> OK <repeat 3 x>
ON: <tag> LOGOUT => * BYE\r\n<tag> OK
NEXT
S~ * OK half a li
CLOSE
`)
	c, err := DialIMAP(p.Addr, p.ClientTLS(), nil)
	if err != nil {
		t.Fatal(err)
	}
	if err := c.Login("me", "top secret"); err != nil {
		t.Fatal(err)
	}
	if _, err := c.Do("NOOP"); err != nil {
		t.Error(err)
	}
	got, err := c.Messages("INBOX")
	if err != nil || len(got) != 1 || string(got[0].Body) != "Subject: \xe4\r\n\r\na line\r\nno end" || got[0].UID != 7 || got[0].Size != 28 {
		t.Errorf("message %+v, %v", got, err)
	}
	reply, err := c.Do("APPEND {} {}", []byte("INBOX"), []byte("x\r\n"))
	if err != nil || reply.Text != "xxx" {
		t.Errorf("APPEND: %+v, %v", reply, err)
	}
	if err := c.Close(); err != nil {
		t.Error(err)
	}
	half, err := net.Dial("tcp", p.Addr)
	if err != nil {
		t.Fatal(err)
	}
	defer half.Close()
	if octets, err := io.ReadAll(half); err != nil || string(octets) != "* OK half a li" {
		t.Errorf("second connection: %q, %v", octets, err)
	}
	if all, clear := string(p.Received()), string(p.InClear()); !strings.Contains(all, "top secret") || clear != "r1 STARTTLS\r\n" {
		t.Errorf("received %q, in the clear %q", all, clear)
	}
}

func TestPlayerTellsDepartures(t *testing.T) {
	s, err := parseScript("S: +OK\nC: USER me\nS: +OK\n")
	if err != nil {
		t.Fatal(err)
	}
	p, err := runScript(s)
	if err != nil {
		t.Fatal(err)
	}
	conn, err := net.Dial("tcp", p.Addr)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	io.WriteString(conn, "CAPA\r\n")
	io.ReadAll(conn)
	if err := p.Stop(); err != nil {
		t.Error(err)
	}
	if err := p.Err(); err == nil || !strings.Contains(err.Error(), `script line 2: client said "CAPA", not "USER me"`) {
		t.Errorf("error %v", err)
	}
}

func TestPlayerBadCertificates(t *testing.T) {
	for fault, want := range map[string]string{"expired": "expired", "stranger": "unknown authority", "other-name": "mail.example.net",
		"common-name": "not valid for any names", "old": "protocol version"} {
		p := Play(t, "TLS "+fault+"\nS: * OK\n")
		if _, err := DialIMAP(p.Addr, nil, p.ClientTLS()); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v", fault, err)
		}
	}
}

func TestPlayerStalls(t *testing.T) {
	p := Play(t, "S: * OK\nSTALL\nAGAIN\n")
	for range 3 {
		conn, err := net.Dial("tcp", p.Addr)
		if err != nil {
			t.Fatal(err)
		}
		staysSilent(t, conn, len("* OK\r\n"))
		conn.Close()
	}
	if _, err := tls.Dial("tcp", p.Addr, p.ClientTLS()); err == nil {
		t.Error("TLS with a server that does not speak it")
	}
}

// staysSilent reads so many octets, behind which nothing comes.
func staysSilent(t *testing.T, conn net.Conn, octets int) {
	t.Helper()
	if _, err := io.ReadFull(conn, make([]byte, octets)); err != nil {
		t.Error(err)
	}
	conn.SetReadDeadline(time.Now().Add(100 * time.Millisecond))
	got, err := io.ReadAll(conn)
	if timeout, ok := err.(net.Error); !ok || !timeout.Timeout() || len(got) > 0 {
		t.Errorf("%q came behind it, %v", got, err)
	}
}

func TestScriptErrors(t *testing.T) {
	for text, want := range map[string]string{
		"X: y":       "line 1: unknown step",
		"ON: a -> b": "ON without =>",
		"SLEEP long": "invalid duration",
		"DRIP x y":   "invalid duration",
		"SCRAM much": "invalid syntax",
		"INCLUDE no": "no such file",
	} {
		if _, err := parseScript(text); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: %v, want %q", text, err, want)
		}
	}
}

func TestPlayerPoursAndDrips(t *testing.T) {
	p := Play(t, "DRIP 1ms * OK\nFLOOD * more\n")
	conn, err := net.Dial("tcp", p.Addr)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	got := make([]byte, 1<<20)
	if _, err := io.ReadFull(conn, got); err != nil || !strings.HasPrefix(string(got), "* OK\r\n* more\r\n* more\r\n") {
		t.Errorf("got %q…, %v", got[:40], err)
	}
}

func TestPlayerIncludes(t *testing.T) {
	dir := t.TempDir()
	for name, text := range map[string]string{"a.txt": "INCLUDE b.part\nS: <octets mail>and\n", "b.part": "BODY mail\nx\\-\n.\nS: one\nC: two\n"} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	s, err := loadScript(filepath.Join(dir, "a.txt"))
	if err != nil {
		t.Fatal(err)
	}
	steps := s.connections[0]
	if len(steps) != 3 || steps[1].at != "b.part line 5" || steps[2].at != "line 2" {
		t.Errorf("steps %+v", steps)
	}
	p, err := runScript(s)
	if err != nil {
		t.Fatal(err)
	}
	defer p.Stop()
	if got := string(p.Body("mail")); got != "x" {
		t.Errorf("body %q", got)
	}
}
