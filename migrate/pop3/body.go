package pop3

import (
	"bytes"
	"errors"
	"fmt"
	"io"
)

// body reads what a server sends behind the +OK of RETR or TOP, up to the line that is a single dot (RFC 1939, section
// 3). Only CRLF . CRLF ends it, only a dot behind CRLF is taken out, and everything else passes as it is: bare CR and
// LF, NUL, lines of any length.
type body struct {
	conn      *conn
	place     place // where in a line the octets read so far end
	err       error
	octets    int64 // read so far
	announced int64 // by LIST; -1 where not told
	uidl      string
	endless   *endless
}

// place says what the octet to come follows.
type place uint8

const (
	lineStart place = iota // CRLF, or the status line
	afterCR
	inLine
)

// errStale answers who reads a body when its turn is over.
var errStale = errors.New("this message's turn is over")

var endOfBody = []byte(".\r\n")

// Read gives octets of the message, as many as p takes and have come, and io.EOF behind its last CRLF. When the
// connection breaks before that, the error is io.ErrUnexpectedEOF with the cause.
func (b *body) Read(p []byte) (n int, err error) {
	for n < len(p) && b.err == nil && (n == 0 || b.conn.in.Buffered() >= len(endOfBody)) {
		if b.place == lineStart && b.startLine() != nil {
			break
		}
		chunk, err := b.peek(1)
		if err != nil {
			break
		}
		chunk = b.plain(chunk[:min(len(chunk), len(p)-n)])
		copy(p[n:], chunk)
		b.place = b.place.after(chunk)
		n += len(chunk)
		b.octets += int64(len(chunk))
		b.conn.in.Discard(len(chunk))
	}
	if b.octets > b.endless.most && b.err == nil {
		b.endless.note(b.uidl)
		b.err = b.broken(fmt.Errorf("a message without end: %d octets have come, and more follow", b.octets))
	}
	if n > 0 || len(p) == 0 {
		return n, nil
	}
	return 0, b.err
}

// startLine takes a dot out, and finds the end.
func (b *body) startLine() error {
	first, err := b.peek(1)
	if err != nil || first[0] != '.' {
		return err
	}
	// Behind a dot at least two more octets come, whatever they are: the end needs them too.
	dot, err := b.peek(len(endOfBody))
	if err != nil {
		return err
	}
	if bytes.HasPrefix(dot, endOfBody) {
		b.conn.in.Discard(len(endOfBody))
		b.end()
		return io.EOF
	}
	b.conn.in.Discard(1)
	b.place = inLine
	return nil
}

// end notes that all has come. Servers that count line ends as one octet, or parts that they make up later, are common:
// a difference is worth a line of the trace, no more.
func (b *body) end() {
	b.err = io.EOF
	if b.announced >= 0 && b.octets != b.announced && b.conn.tracing {
		b.conn.Trace("-", fmt.Sprintf("LIST announced %d octets, %d have come", b.announced, b.octets))
	}
}

// plain gives the longest start of chunk that passes untouched: up to a line that begins with a dot.
func (b *body) plain(chunk []byte) []byte {
	if b.place == afterCR && chunk[0] == '\n' {
		return chunk[:1]
	}
	if i := dottedLine(chunk); i >= 0 {
		return chunk[:i]
	}
	return chunk
}

// dottedLine gives the place of the first dot behind CRLF, or -1. Dots are rarer than line ends.
func dottedLine(chunk []byte) int {
	for at := 0; ; at++ {
		next := bytes.IndexByte(chunk[at:], '.')
		if next < 0 {
			return -1
		}
		if at += next; at >= 2 && chunk[at-1] == '\n' && chunk[at-2] == '\r' {
			return at
		}
	}
}

func (at place) after(octets []byte) place {
	n := len(octets)
	switch last := octets[n-1]; {
	case last == '\r':
		return afterCR
	case last == '\n' && (n > 1 && octets[n-2] == '\r' || n == 1 && at == afterCR):
		return lineStart
	}
	return inLine
}

// peek gives what has come, n octets at least.
func (b *body) peek(n int) ([]byte, error) {
	if b.conn.in.Buffered() < n {
		// Who reads may have paused for longer than the server may: the clock begins anew.
		b.conn.SetBusy(true)
		if _, err := b.conn.in.Peek(n); err != nil {
			b.err = b.broken(err)
			return nil, b.err
		}
	}
	chunk, err := b.conn.in.Peek(b.conn.in.Buffered())
	return chunk, err
}

func (b *body) broken(err error) error {
	cause := b.conn.failed(err)
	if errors.Is(cause, io.ErrUnexpectedEOF) {
		return cause
	}
	return fmt.Errorf("%w: %w", io.ErrUnexpectedEOF, cause)
}

// skip reads the rest and forgets it. It gives nil at the end of the body.
func (b *body) skip() error {
	if b.err == nil {
		b.drain()
	}
	if b.err == io.EOF {
		return nil
	}
	return b.err
}

func (b *body) drain() {
	into := make([]byte, 32<<10)
	for b.err == nil {
		b.Read(into)
	}
}

// turn hands a body out under a guard that shuts when the turn is over.
type turn struct {
	from io.Reader
	over bool
}

func (t *turn) Read(p []byte) (int, error) {
	if t.over {
		return 0, errStale
	}
	return t.from.Read(p)
}
