package imap

import (
	"bufio"
	"bytes"
	"context"
	"fmt"
	"io"
	"net"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"

	"postcask/migrate"
	"postcask/migrate/wire"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// A peer is the server's side of a scripted dialogue.
type peer struct {
	t    *testing.T
	conn net.Conn
	in   *bufio.Reader
	said strings.Builder // all that the client sent
}

// serve plays script to each connection and gives the settings to reach it. The script's goroutines have ended when
// the test ends.
func serve(t *testing.T, script func(*peer)) wire.Config {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	done := make(chan struct{})
	go func() {
		defer close(done)
		for {
			conn, err := listener.Accept()
			if err != nil {
				return
			}
			p := &peer{t: t, conn: conn, in: bufio.NewReader(conn)}
			conn.SetDeadline(time.Now().Add(30 * time.Second))
			script(p)
			conn.Close()
		}
	}()
	end := func() {
		listener.Close()
		<-done
	}
	t.Cleanup(end)
	port := listener.Addr().(*net.TCPAddr).Port
	playing.Store(port, end)
	return wire.Config{
		Host: "127.0.0.1", Port: port, TLS: wire.Plain, Timeout: 10 * time.Second,
		User: "ada", Password: func(context.Context) (string, error) { return "secret", nil },
	}
}

// piped is serve without a network, for a bubble of synctest: time passes there only when nobody has anything to do.
func piped(t *testing.T, script func(*peer)) wire.Config {
	t.Helper()
	var playing sync.WaitGroup
	t.Cleanup(playing.Wait)
	return wire.Config{
		TLS: wire.Plain, Timeout: time.Second, User: "ada", Password: func(context.Context) (string, error) { return "secret", nil },
		Dial: func(context.Context, string, string) (net.Conn, error) {
			near, far := net.Pipe()
			said := make(chan []byte, 1<<16) // as a socket's buffer holds what is said to somebody who is talking
			playing.Go(func() {
				defer far.Close()
				for octets := range said {
					far.Write(octets)
				}
			})
			playing.Go(func() {
				defer close(said)
				script(&peer{t: t, conn: &patient{far, said}, in: bufio.NewReader(far)})
			})
			return near, nil
		},
	}
}

// A patient peer does not wait until it has been heard.
type patient struct {
	net.Conn
	said chan<- []byte
}

func (p *patient) Write(octets []byte) (int, error) {
	p.said <- bytes.Clone(octets)
	return len(octets), nil
}

var playing sync.Map // port to what ends the script

// finished waits for the script behind cfg to end: then what it noted can be looked at.
func finished(cfg wire.Config) {
	end, _ := playing.LoadAndDelete(cfg.Port)
	end.(func())()
}

// say sends lines, each with CRLF.
func (p *peer) say(lines ...string) {
	for _, line := range lines {
		io.WriteString(p.conn, line+"\r\n")
	}
}

// hear reads a line; "" at the end of the connection.
func (p *peer) hear() string {
	line, _ := p.in.ReadString('\n')
	p.said.WriteString(line)
	return strings.TrimSuffix(line, "\r\n")
}

// octets reads n octets.
func (p *peer) octets(n int) string {
	b := make([]byte, n)
	io.ReadFull(p.in, b)
	p.said.Write(b)
	return string(b)
}

// expect reads a command that begins so and gives its tag; the rest of it is in args.
func (p *peer) expect(command string) (tag, args string) {
	p.t.Helper()
	line := p.hear()
	tag, rest, _ := strings.Cut(line, " ")
	args, ok := strings.CutPrefix(rest, command)
	if !ok {
		p.t.Errorf("client said %q, not %s", line, command)
	}
	return tag, strings.TrimPrefix(args, " ")
}

// answer waits for a command and says lines, in which TAG is its tag.
func (p *peer) answer(command string, lines ...string) (args string) {
	p.t.Helper()
	tag, args := p.expect(command)
	for _, line := range lines {
		p.say(strings.ReplaceAll(line, "TAG", tag))
	}
	return args
}

// greet plays the opening up to the log-in, with these capabilities beside IMAP4rev1.
func (p *peer) greet(capabilities string) {
	p.t.Helper()
	p.say("* OK [CAPABILITY IMAP4rev1 " + capabilities + "] ready")
	p.answer("LOGIN", "TAG OK [CAPABILITY IMAP4rev1 "+capabilities+"] in")
}

// examine plays EXAMINE or SELECT of a mailbox.
func (p *peer) examine(command string, exists int, more ...string) {
	p.t.Helper()
	lines := append([]string{"* FLAGS (\\Seen)", fmt.Sprintf("* %d EXISTS", exists), "* 0 RECENT", "* OK [UIDVALIDITY 77] x",
		fmt.Sprintf("* OK [UIDNEXT %d] x", exists+1)}, more...)
	p.answer(command, append(lines, "TAG OK [READ-ONLY] done")...)
}

// bye plays LOGOUT, if it comes.
func (p *peer) bye() {
	if line := p.hear(); line != "" {
		tag, _, _ := strings.Cut(line, " ")
		p.say("* BYE", tag+" OK bye")
	}
}

// open opens a session that is closed with the test.
func open(t *testing.T, cfg wire.Config, readOnly bool) *Session {
	t.Helper()
	s, err := New(cfg).Open(t.Context(), readOnly)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Close() })
	return s
}

// literalSize reads the size at the end of a command line.
func literalSize(line string) int {
	open := strings.LastIndexByte(line, '{')
	n, _ := strconv.Atoi(strings.TrimRight(line[open+1:], "+}"))
	return n
}

func keys(uids ...uint32) []migrate.Message {
	messages := make([]migrate.Message, len(uids))
	for i, uid := range uids {
		messages[i] = migrate.Message{Key: migrate.Key{Validity: 77, UID: uid}, Size: 3}
	}
	return messages
}

func textBody(text string) migrate.Body {
	return migrate.Body{Reader: strings.NewReader(text), Size: int64(len(text))}
}
