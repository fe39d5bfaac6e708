package testserver

import (
	"bufio"
	"bytes"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"strconv"
	"strings"
	"testing"
	"time"
)

// A RawIMAP is a plain IMAP client for tests, made to look at a server with other eyes than postcask's: it knows lines
// and literals and little else, waits for each answer, and keeps whole messages in memory. Not safe for concurrent use.
type RawIMAP struct {
	Greeting string // the server's first line

	conn net.Conn
	r    *bufio.Reader
	tag  int
}

// rawTimeout bounds each command: a server on the loopback address that takes longer is stuck.
const rawTimeout = 60 * time.Second

// A Reply is the answer to a command.
type Reply struct {
	Untagged []string // responses before the tagged one, with their literals, without "* " and the last CRLF
	Status   string   // "OK", "NO" or "BAD"
	Text     string   // what follows the status, with its response code
}

// OpenIMAP connects to a server's plain port, or to the TLS port where it has no plain one, logs in, and hangs up when
// the test ends.
func OpenIMAP(tb testing.TB, s *Server, user, password string) *RawIMAP {
	tb.Helper()
	addr, implicit := s.IMAPAddr, (*tls.Config)(nil)
	if addr == "" {
		addr, implicit = s.IMAPSAddr, s.ClientTLS()
	}
	r, err := DialIMAP(addr, nil, implicit)
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() { r.Close() })
	if err := r.Login(user, password); err != nil {
		tb.Fatal(err)
	}
	return r
}

// DialIMAP connects and reads the greeting. With implicit, TLS comes first; with starttls, by command.
func DialIMAP(addr string, starttls, implicit *tls.Config) (*RawIMAP, error) {
	conn, err := net.DialTimeout("tcp", addr, rawTimeout)
	if err != nil {
		return nil, err
	}
	if implicit != nil {
		conn = tls.Client(conn, implicit)
	}
	r := &RawIMAP{conn: conn, r: bufio.NewReader(conn)}
	conn.SetDeadline(time.Now().Add(rawTimeout))
	if r.Greeting, err = r.response(); err == nil && starttls != nil {
		err = r.startTLS(starttls)
	}
	if err != nil {
		conn.Close()
		return nil, fmt.Errorf("open %s: %w", addr, err)
	}
	return r, nil
}

func (r *RawIMAP) startTLS(config *tls.Config) error {
	if err := r.ok("STARTTLS"); err != nil {
		return err
	}
	secured := tls.Client(r.conn, config)
	if err := secured.Handshake(); err != nil {
		return err
	}
	r.conn, r.r = secured, bufio.NewReader(secured)
	return nil
}

// Login logs in with LOGIN; name and password may hold anything but NUL, CR and LF.
func (r *RawIMAP) Login(user, password string) error {
	if err := r.ok("LOGIN " + Quote(user) + " " + Quote(password)); err != nil {
		return fmt.Errorf("log in as %q: %w", user, err)
	}
	return nil
}

// Do sends a command and reads up to its tagged answer, whatever that is. Each "{}" in command stands for a literal.
func (r *RawIMAP) Do(command string, literals ...[]byte) (Reply, error) {
	r.conn.SetDeadline(time.Now().Add(rawTimeout))
	r.tag++
	tag := fmt.Sprintf("r%d", r.tag)
	var reply Reply
	pieces := strings.Split(command, "{}")
	if len(pieces) != len(literals)+1 {
		pieces = []string{command} // braces of a mailbox name, with no literal meant
	}
	line := tag + " " + pieces[0]
	for i, piece := range pieces[1:] {
		line += fmt.Sprintf("{%d}\r\n", len(literals[i]))
		if _, err := io.WriteString(r.conn, line); err != nil {
			return reply, err
		}
		if done, err := r.until(tag, &reply, true); done || err != nil {
			return reply, err
		}
		if _, err := r.conn.Write(literals[i]); err != nil {
			return reply, err
		}
		line = piece
	}
	if _, err := io.WriteString(r.conn, line+"\r\n"); err != nil {
		return reply, err
	}
	_, err := r.until(tag, &reply, false)
	return reply, err
}

// until collects responses up to the tagged one, or to a "+" where one is awaited; done tells that the command is over.
func (r *RawIMAP) until(tag string, reply *Reply, wantContinuation bool) (done bool, err error) {
	for {
		response, err := r.response()
		if err != nil {
			return false, err
		}
		if rest, ok := strings.CutPrefix(response, "* "); ok {
			reply.Untagged = append(reply.Untagged, rest)
			continue
		}
		if rest, ok := strings.CutPrefix(response, tag+" "); ok {
			reply.Status, reply.Text, _ = strings.Cut(rest, " ")
			return true, nil
		}
		if wantContinuation && strings.HasPrefix(response, "+") {
			return false, nil
		}
		return false, fmt.Errorf("unexpected response %q", response)
	}
}

// response reads one response: a line, and as often as it ends in a literal, that literal and one more line.
func (r *RawIMAP) response() (string, error) {
	var all bytes.Buffer
	for {
		line, err := r.r.ReadBytes('\n')
		all.Write(line)
		if err != nil {
			return "", err
		}
		n, ok := literalAtEnd(bytes.TrimRight(line, "\r\n"))
		if !ok {
			return strings.TrimSuffix(strings.TrimSuffix(all.String(), "\n"), "\r"), nil
		}
		if _, err := io.CopyN(&all, r.r, int64(n)); err != nil {
			return "", err
		}
	}
}

// literalAtEnd finds the octet count of a line that announces a literal (RFC 9051, section 4.3).
func literalAtEnd(line []byte) (n int, ok bool) {
	open := bytes.LastIndexByte(line, '{')
	if open < 0 || line[len(line)-1] != '}' {
		return 0, false
	}
	n, err := strconv.Atoi(strings.TrimSuffix(string(line[open+1:len(line)-1]), "+"))
	return n, err == nil && n >= 0
}

// ok is Do for commands that must be answered OK.
func (r *RawIMAP) ok(command string, literals ...[]byte) error {
	_, err := r.must(command, literals...)
	return err
}

func (r *RawIMAP) must(command string, literals ...[]byte) (Reply, error) {
	reply, err := r.Do(command, literals...)
	if err == nil && reply.Status != "OK" {
		err = errors.New(reply.Status + " " + reply.Text)
	}
	if err != nil {
		verb, _, _ := strings.Cut(command, " ")
		err = fmt.Errorf("%s: %w", verb, err)
	}
	return reply, err
}

// Close logs out and hangs up.
func (r *RawIMAP) Close() error {
	_, _ = r.Do("LOGOUT")
	return r.conn.Close()
}
