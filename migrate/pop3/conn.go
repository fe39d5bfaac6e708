package pop3

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"net"
	"strings"

	"postcask/migrate/wire"
)

const (
	bufferSize = 256 << 10
	lineLimit  = 8 << 10 // of statuses and listings; RFC 2449, section 4, allows 512
)

// conn is a wire.Conn that hands go-pop3 one line at a time: its buffer is then empty behind each answer, and we may
// read bodies from the same connection ourselves.
type conn struct {
	*wire.Conn
	in      *bufio.Reader
	rest    []byte // of the line in hand, what go-pop3 has not taken yet
	last    []byte // the line it was given last
	tracing bool
	secret  bool     // credentials go over the line: nothing of it is traced
	hide    []string // what no trace and no error may show
}

func newConn(w *wire.Conn, tracing bool) *conn {
	return &conn{Conn: w, in: bufio.NewReaderSize(w, bufferSize), tracing: tracing}
}

// Dial makes conn the Dialer of a go-pop3 client: the connection is there already.
func (c *conn) Dial(string, string) (net.Conn, error) { return c, nil }

// Read gives at most one line.
func (c *conn) Read(p []byte) (int, error) {
	if len(c.rest) == 0 {
		line, err := c.readLine()
		if err != nil {
			return 0, err
		}
		c.last = append(c.last[:0], line...)
		c.rest = c.last
	}
	n := copy(p, c.rest)
	c.rest = c.rest[n:]
	return n, nil
}

// readLine reads a line with its line end, CRLF or LF. It is valid until the next read. An error is the connection's
// own, and ends it.
func (c *conn) readLine() ([]byte, error) {
	line, err := c.in.ReadSlice('\n')
	switch {
	case errors.Is(err, bufio.ErrBufferFull) || len(line) > lineLimit:
		return nil, c.failed(fmt.Errorf("the server sent a line of more than %d octets", lineLimit))
	case err != nil:
		return nil, c.failed(err)
	}
	if c.tracing {
		c.Trace("S", c.told(trimLine(line)))
	}
	return line, nil
}

// Write sends command lines.
func (c *conn) Write(p []byte) (int, error) {
	if c.tracing {
		for line := range bytes.Lines(p) {
			c.Trace("C", c.said(trimLine(line)))
		}
	}
	n, err := c.Conn.Write(p)
	if err != nil {
		err = c.failed(err)
	}
	return n, err
}

// told is what the trace shows of a line of the server.
func (c *conn) told(line []byte) string {
	if c.secret && !isStatus(line) {
		return "+ ***" // a challenge
	}
	return c.redact(string(line))
}

// said is what the trace shows of a command.
func (c *conn) said(line []byte) string {
	verb, _, _ := strings.Cut(string(line), " ")
	switch {
	case verb == "AUTH":
		return string(line) // the mechanism; what answers the server goes in lines of its own
	case c.secret:
		return "***"
	case verb == "PASS" || verb == "APOP":
		return verb + " ***"
	}
	return c.redact(string(line))
}

// redact takes out the secrets that a server repeats.
func (c *conn) redact(text string) string {
	for _, secret := range c.hide {
		text = strings.ReplaceAll(text, secret, "***")
	}
	return text
}

// failed ends the connection because of err and gives the error that stays: the first one.
func (c *conn) failed(err error) error {
	c.Fail(err)
	return c.Err()
}

func trimLine(line []byte) []byte {
	return bytes.TrimSuffix(bytes.TrimSuffix(line, []byte("\n")), []byte("\r"))
}
