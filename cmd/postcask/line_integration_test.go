//go:build integration

package main_test

import (
	"bufio"
	"errors"
	"io"
	"net"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
)

// A cut says where a connection to an IMAP server ends before its time. The zero value lets it live.
type cut struct {
	answer   int   // when the server answers so manieth APPEND: the answer does not come through
	sent     int   // when the server has been sent so manieth APPEND to its end, without waiting for what it makes of it
	toServer int64 // after so many octets to the server
	toClient int64 // after so many octets to the client
}

// A line is a way to an IMAP server, in the clear, on which each connection may be cut.
type line struct {
	addr  string
	cuts  atomic.Int64 // that have come to pass
	moved atomic.Int64 // octets, in either direction

	to       string
	next     func() cut // asked once for each connection
	marks    []int64    // ascending: whichever connection carries that octet of all that are moved is cut there
	listener net.Listener
	wg       sync.WaitGroup
	mu       sync.Mutex
	open     map[net.Conn]bool
	over     bool
}

// startLine makes a line to the server at an address, until the test ends.
func startLine(t *testing.T, to string, next func() cut, marks ...int64) *line {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	l := &line{addr: listener.Addr().String(), to: to, next: next, marks: marks, listener: listener, open: map[net.Conn]bool{}}
	l.wg.Go(func() {
		for {
			client, err := listener.Accept()
			if err != nil {
				return
			}
			l.wg.Go(func() { l.connect(client) })
		}
	})
	t.Cleanup(l.stop)
	return l
}

func (l *line) stop() {
	l.listener.Close()
	l.mu.Lock()
	l.over = true
	for conn := range l.open {
		conn.Close()
	}
	l.mu.Unlock()
	l.wg.Wait()
}

// keep remembers connections until they are closed; false means that the line is stopped.
func (l *line) keep(conns ...net.Conn) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, conn := range conns {
		l.open[conn] = true
	}
	return !l.over
}

func (l *line) connect(client net.Conn) {
	defer client.Close()
	server, err := net.Dial("tcp", l.to)
	if err != nil {
		return
	}
	defer server.Close()
	if !l.keep(client, server) {
		return
	}
	c := &cutConn{cut: l.next(), line: l, tags: map[string]bool{}}
	var both sync.WaitGroup
	carry := func(from, to net.Conn, carry func(io.Reader, io.Writer) error) {
		both.Go(func() {
			err := carry(from, to)
			if errors.Is(err, errCut) {
				l.cuts.Add(1)
			}
			client.Close()
			server.Close()
		})
	}
	carry(client, server, c.commands)
	carry(server, client, c.answers)
	both.Wait()
	l.mu.Lock()
	defer l.mu.Unlock()
	delete(l.open, client)
	delete(l.open, server)
}

var errCut = errors.New("cut")

// cutConn is one connection over a line.
type cutConn struct {
	cut
	line *line
	mu   sync.Mutex
	tags map[string]bool // of APPENDs
}

// commands carries what the client says: lines, and the literals that they announce (RFC 9051, section 4.3).
func (c *cutConn) commands(from io.Reader, to io.Writer) error {
	r, w := bufio.NewReader(from), &boundedWriter{w: to, left: c.toServer, line: c.line}
	appends := 0
	for within, appending := false, false; ; {
		text, err := r.ReadString('\n')
		if !within {
			tag, rest, _ := strings.Cut(text, " ")
			if appending = strings.HasPrefix(rest, "APPEND "); appending {
				appends++
				c.mu.Lock()
				c.tags[tag] = true
				c.mu.Unlock()
			}
		}
		if _, writeErr := io.WriteString(w, text); writeErr != nil {
			return writeErr
		}
		if err != nil {
			return err
		}
		n := announced(text)
		if _, err := io.CopyN(w, r, n); err != nil {
			return err
		}
		if within = n > 0; !within && appending && appends == c.sent {
			return errCut
		}
	}
}

// announced gives the length of the literal that a line announces, 0 for none.
func announced(text string) int64 {
	text = strings.TrimRight(text, "\r\n")
	open := strings.LastIndexByte(text, '{')
	if open < 0 || !strings.HasSuffix(text, "}") {
		return 0
	}
	n, err := strconv.ParseInt(strings.TrimSuffix(text[open+1:len(text)-1], "+"), 10, 64)
	if err != nil {
		return 0
	}
	return n
}

// answers carries what the server says.
func (c *cutConn) answers(from io.Reader, to io.Writer) error {
	r, w := bufio.NewReader(from), &boundedWriter{w: to, left: c.toClient, line: c.line}
	for answered := 0; ; {
		text, err := r.ReadString('\n')
		tag, _, _ := strings.Cut(text, " ")
		c.mu.Lock()
		if c.tags[tag] {
			answered++
		}
		lost := c.tags[tag] && answered == c.answer
		c.mu.Unlock()
		if lost {
			return errCut
		}
		if _, writeErr := io.WriteString(w, text); writeErr != nil {
			return writeErr
		}
		if err != nil {
			return err
		}
	}
}

// move counts octets that go over, and tells whether there is a mark among them.
func (l *line) move(n int) (marked bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	moved := l.moved.Add(int64(n))
	if marked = len(l.marks) > 0 && moved >= l.marks[0]; marked {
		l.marks = l.marks[1:]
	}
	return marked
}

// boundedWriter writes so many octets, or without end where that is 0, and then is cut; or where the line has a mark.
type boundedWriter struct {
	w    io.Writer
	left int64
	line *line
	cut  bool
}

func (b *boundedWriter) Write(p []byte) (int, error) {
	if b.cut { // whoever wrote just up to there has not noticed: io.CopyN keeps an error back that comes with the last octets
		return 0, errCut
	}
	bounded := b.left > 0
	if bounded {
		p = p[:min(int64(len(p)), b.left)]
	}
	marked := b.line.move(len(p))
	if marked {
		p = p[:len(p)/2]
	}
	n, err := b.w.Write(p)
	if b.left -= int64(n); marked || err == nil && bounded && b.left == 0 {
		b.cut, err = true, errCut
	}
	return n, err
}
