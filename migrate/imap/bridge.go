package imap

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"sync"
	"time"

	imap "github.com/emersion/go-imap/v2"
	"github.com/emersion/go-imap/v2/imapclient"

	"postcask/migrate"
)

// standIn is what go-imap calls every mailbox. The bridge puts the exact octets of the name in its place: go-imap
// could not say a name that is no valid modified UTF-7, and it knows INBOX by its spelling.
const standIn = "the-mailbox"

// A bridge is the connection that go-imap sees. While a command of go-imap's is under way, its reader goroutine reads
// from the server through the bridge; at any other time it waits here, and the connection is the lanes'. The server's
// words do not pass as they are: the bridge reads them with our own tolerant reader and says anew, in plain grammar,
// the little that go-imap has to know. So nothing a server says can upset it.
type bridge struct {
	s *Session

	mu     sync.Mutex
	change *sync.Cond
	lent   bool   // the connection is go-imap's
	closed bool   // for good
	out    []byte // what go-imap has yet to read
	line   []byte // a command as far as go-imap has written it
	name   string // the mailbox of this command, quoted
	tag    string
	result status
}

var _ net.Conn = (*bridge)(nil)

// startClient puts go-imap on top, by a greeting that says that we are logged in. The capabilities it shows are those
// that our use of it needs: IMAP4rev2 would change how it writes.
func (s *Session) startClient() {
	b := &bridge{s: s, out: []byte("* PREAUTH [CAPABILITY IMAP4rev1] ready\r\n")}
	b.change = sync.NewCond(&b.mu)
	s.bridge = b
	s.client = imapclient.New(b, nil)
}

// converse has go-imap do one command about the mailbox whose raw name is given, and gives the server's verdict. The
// error is that of the session; a refusal is a status.
func (s *Session) converse(ctx context.Context, raw string, command func(*imapclient.Client) error) (status, error) {
	name, err := sayable(raw)
	if err != nil {
		return status{}, err
	}
	if err := s.ready(ctx); err != nil {
		return status{}, err
	}
	defer s.conn.Watch(ctx)()
	if err := s.client.WaitGreeting(); err != nil {
		return status{}, s.broken(err)
	}
	b := s.bridge
	s.in.asked()
	b.lend(name)
	err = command(s.client)
	result := b.takeBack()
	if known := s.conn.Err(); known != nil {
		return status{}, known
	}
	var refusal *imap.Error
	if err != nil && !errors.As(err, &refusal) {
		return status{}, s.broken(err)
	}
	return result, nil
}

func (b *bridge) lend(name string) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.lent, b.name, b.tag, b.result = true, name, "", status{}
	b.change.Broadcast()
}

func (b *bridge) takeBack() status {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.lent = false
	return b.result
}

// Read gives go-imap what it has to know, and waits while there is nothing.
func (b *bridge) Read(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	for len(b.out) == 0 {
		switch {
		case b.closed:
			return 0, io.EOF
		case !b.lent:
			b.change.Wait()
		default:
			b.mu.Unlock()
			said, verdict, err := b.hear()
			b.mu.Lock()
			if err != nil {
				b.closed = true
				return 0, err
			}
			b.out = append(b.out, said...)
			if verdict != nil {
				b.lent, b.result = false, *verdict
			}
		}
	}
	n := copy(p, b.out)
	b.out = b.out[n:]
	return n, nil
}

// hear reads one response and gives what go-imap gets of it. This is the edge of a goroutine that is not ours, so a
// panic must not leave it.
func (b *bridge) hear() (said string, verdict *status, err error) {
	defer func() {
		if p := recover(); p != nil {
			err = b.s.broken(fmt.Errorf("reading the server's answer: %v", p))
		}
	}()
	s := b.s
	resp, err := s.read()
	if err != nil {
		return "", nil, err
	}
	if resp.tag == b.pendingTag() && resp.status.kind != "" {
		s.learnCode(resp.status)
		kind := resp.status.kind
		if kind != "OK" && kind != "NO" {
			kind = "BAD"
		}
		return resp.tag + " " + kind + " said\r\n", &resp.status, s.conn.Err()
	}
	if err := s.note(resp); err != nil {
		return "", nil, err
	}
	return "", nil, nil
}

func (b *bridge) pendingTag() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.tag
}

// Write takes a command of go-imap's and sends it when its line is complete, with the mailbox's own name in it.
func (b *bridge) Write(p []byte) (int, error) {
	b.line = append(b.line, p...)
	if !bytes.HasSuffix(b.line, []byte("\r\n")) {
		return len(p), nil
	}
	tag, _, _ := bytes.Cut(b.line, []byte(" "))
	b.mu.Lock()
	b.tag = string(tag)
	line := bytes.Replace(b.line, []byte(`"`+standIn+`"`), []byte(b.name), 1)
	b.mu.Unlock()
	b.line = b.line[:0]
	b.s.conn.Trace("C", string(bytes.TrimSuffix(line, []byte("\r\n"))))
	if _, err := b.s.conn.Write(line); err != nil {
		return 0, b.s.broken(err)
	}
	return len(p), nil
}

// Close ends the connection for go-imap and, since go-imap closes only when it cannot go on, for all.
func (b *bridge) Close() error {
	b.s.conn.Fail(migrate.Errorf(migrate.Unavailable, "the conversation with the server came to an end"))
	b.mu.Lock()
	defer b.mu.Unlock()
	b.closed = true
	b.change.Broadcast()
	return nil
}

func (b *bridge) LocalAddr() net.Addr              { return b.s.conn.LocalAddr() }
func (b *bridge) RemoteAddr() net.Addr             { return b.s.conn.RemoteAddr() }
func (b *bridge) SetDeadline(time.Time) error      { return nil } // the connection has a clock of its own
func (b *bridge) SetReadDeadline(time.Time) error  { return nil }
func (b *bridge) SetWriteDeadline(time.Time) error { return nil }
