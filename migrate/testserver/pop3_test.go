package testserver

import (
	"bufio"
	"crypto/tls"
	"encoding/base64"
	"fmt"
	"io"
	"net"
	"slices"
	"strings"
	"testing"
	"time"
)

// A pop3Line speaks POP3 line by line.
type pop3Line struct {
	t    *testing.T
	conn net.Conn
	r    *bufio.Reader
}

func dialPOP3(t *testing.T, addr string, implicit *tls.Config) (*pop3Line, string) {
	t.Helper()
	conn, err := net.Dial("tcp", addr)
	if err != nil {
		t.Fatal(err)
	}
	if implicit != nil {
		conn = tls.Client(conn, implicit)
	}
	t.Cleanup(func() { conn.Close() })
	conn.SetDeadline(time.Now().Add(rawTimeout))
	p := &pop3Line{t, conn, bufio.NewReader(conn)}
	return p, p.line()
}

func (p *pop3Line) line() string {
	p.t.Helper()
	line, err := p.r.ReadString('\n')
	if err != nil {
		p.t.Fatal(err)
	}
	return strings.TrimSuffix(line, "\r\n")
}

func (p *pop3Line) say(command string) string {
	p.t.Helper()
	fmt.Fprintf(p.conn, "%s\r\n", command)
	return p.line()
}

// rest reads the exact octets that the want has, and the end of a reply with several lines.
func (p *pop3Line) rest(want string) {
	p.t.Helper()
	got := make([]byte, len(want)+3)
	if _, err := io.ReadFull(p.r, got); err != nil || string(got) != want+".\r\n" {
		p.t.Errorf("got %q, %v; want %q and the end", got, err, want)
	}
}

func TestPOP3Dialogue(t *testing.T) {
	s := StartPOP3(t)
	s.Users(t, "me")
	var uidl []string
	for _, octets := range []string{"Subject: 1\r\n\r\none\r\n", ".lead\r\n\r\n..\r\na\n.\nb\r\n.end", ""} {
		uidl = append(uidl, s.Deliver("me", []byte(octets)))
	}
	p, greeting := dialPOP3(t, s.POP3Addr, nil)
	if !strings.HasPrefix(greeting, "+OK") {
		t.Fatalf("greeting %q", greeting)
	}
	for _, step := range []struct{ say, want, rest string }{
		{"STAT", "-ERR log in first", ""},
		{"USER me", "+OK", ""},
		{"PASS wrong", "-ERR [AUTH] name or password is wrong", ""},
		{"USER me", "+OK", ""},
		{"PASS secret", "+OK 3 messages", ""},
		{"STAT", "+OK 3 43", ""},
		{"LIST", "+OK", "1 19\r\n2 24\r\n3 0\r\n"},
		{"LIST 2", "+OK 2 24", ""},
		{"LIST 4", "-ERR no such message", ""},
		{"UIDL", "+OK", fmt.Sprintf("1 %s\r\n2 %s\r\n3 %s\r\n", uidl[0], uidl[1], uidl[2])},
		{"RETR 1", "+OK 19 octets", "Subject: 1\r\n\r\none\r\n"},
		{"RETR 2", "+OK 24 octets", "..lead\r\n\r\n...\r\na\n.\nb\r\n..end\r\n"},
		{"RETR 3", "+OK 0 octets", "\x00"},
		{"TOP 1 0", "+OK", "Subject: 1\r\n\r\n"},
		{"TOP 2 1", "+OK", "..lead\r\n\r\n...\r\n"},
		{"DELE 1", "+OK", ""},
		{"RETR 1", "-ERR no such message", ""},
		{"RSET", "+OK", ""},
		{"DELE 2", "+OK", ""},
		{"STAT", "+OK 2 19", ""},
		{"XFOO", "-ERR unknown command", ""},
		{"NOOP", "+OK", ""},
		{"QUIT", "+OK bye", ""},
	} {
		if got := p.say(step.say); got != step.want {
			t.Errorf("%s: %q, want %q", step.say, got, step.want)
		}
		if step.rest != "" {
			p.rest(strings.TrimPrefix(step.rest, "\x00")) // an empty body is a reply of several lines as well
		}
	}
	if left := s.Messages("me"); len(left) != 2 || left[0].UIDL != uidl[0] || left[1].UIDL != uidl[2] {
		t.Errorf("left %+v", left)
	}
	if slices.ContainsFunc(s.Commands(), func(line string) bool { return strings.Contains(line, "secret") }) {
		t.Error("the log has the password")
	}
}

func TestPOP3LogIns(t *testing.T) {
	s := StartPOP3(t)
	s.Users(t, "me")
	s.Deliver("me", []byte("x\r\n"))
	plain := base64.StdEncoding.EncodeToString([]byte("\x00me\x00secret"))

	p, greeting := dialPOP3(t, s.POP3Addr, nil)
	stamp := greeting[strings.Index(greeting, "<"):]
	if got := p.say("APOP me " + apopDigest(stamp, "secret")); got != "+OK 1 messages" {
		t.Errorf("APOP: %q", got)
	}
	p, _ = dialPOP3(t, s.POP3SAddr, s.ClientTLS())
	if got := p.say("AUTH PLAIN " + plain); got != "+OK 1 messages" {
		t.Errorf("AUTH PLAIN: %q", got)
	}
	p, _ = dialPOP3(t, s.POP3Addr, nil)
	if got := p.say("STLS"); got != "+OK begin" {
		t.Fatalf("STLS: %q", got)
	}
	p.conn = tls.Client(p.conn, s.ClientTLS())
	p.r = bufio.NewReader(p.conn)
	if got := p.say("AUTH PLAIN"); got != "+ " {
		t.Errorf("AUTH PLAIN without a response: %q", got)
	}
	if got := p.say(plain); got != "+OK 1 messages" {
		t.Errorf("response: %q", got)
	}
	// Pipelining: four commands at once, four answers.
	fmt.Fprint(p.conn, "NOOP\r\nSTAT\r\nNOOP\r\nQUIT\r\n")
	for _, want := range []string{"+OK", "+OK 1 3", "+OK", "+OK bye"} {
		if got := p.line(); got != want {
			t.Errorf("pipelined: %q, want %q", got, want)
		}
	}
}

func TestPOP3Options(t *testing.T) {
	s := StartPOP3(t, POP3Options{
		Without: []string{"UIDL", "APOP"},
		Size:    func([]byte) int { return 4711 },
		Refuse: func(_, command string) string {
			if command == "RETR 1" {
				return "-ERR [SYS/TEMP] later"
			}
			return ""
		},
		Faults: func(n int) Fault {
			if n == 1 {
				return Fault{AfterWriting: 5}
			}
			return Fault{}
		},
	})
	s.Users(t, "me")
	s.Deliver("me", []byte("x\r\n"))
	p, greeting := dialPOP3(t, s.POP3Addr, nil)
	if greeting != "+OK ready" {
		t.Errorf("greeting %q has a time stamp", greeting)
	}
	p.say("USER me")
	p.say("PASS secret")
	for command, want := range map[string]string{
		"UIDL": "-ERR unknown command", "STAT": "+OK 1 4711", "RETR 1": "-ERR [SYS/TEMP] later",
	} {
		if got := p.say(command); got != want {
			t.Errorf("%s: %q, want %q", command, got, want)
		}
	}
	broken, err := net.Dial("tcp", s.POP3Addr)
	if err != nil {
		t.Fatal(err)
	}
	defer broken.Close()
	if got, _ := io.ReadAll(broken); string(got) != "+OK r" {
		t.Errorf("connection to be cut after 5 octets gave %q", got)
	}
}
