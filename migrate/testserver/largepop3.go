package testserver

import (
	"bufio"
	"bytes"
	"fmt"
	"net"
	"strconv"
	"strings"
)

// largeMaildrop is one connection to the maildrop of a Large: POP3 with UIDL (RFC 1939), TOP for headers, and PIPELINING
// (RFC 2449).
type largeMaildrop struct {
	large  *Large
	count  int
	w      *bufio.Writer
	octets []byte
}

func (l *Large) maildrop(conn net.Conn) {
	m := &largeMaildrop{large: l, count: int(l.count.Load()), w: bufio.NewWriterSize(conn, 64<<10)}
	r := bufio.NewReader(conn)
	m.w.WriteString("+OK ready\r\n")
	for {
		if r.Buffered() == 0 && m.w.Flush() != nil {
			return
		}
		line, err := r.ReadString('\n')
		if err != nil {
			return
		}
		verb, args, _ := strings.Cut(strings.TrimRight(line, "\r\n"), " ")
		m.command(strings.ToUpper(verb), args)
		if verb == "QUIT" {
			m.w.Flush()
			return
		}
	}
}

func (m *largeMaildrop) command(verb, args string) {
	switch verb {
	case "USER", "PASS", "NOOP", "QUIT":
		m.w.WriteString("+OK\r\n")
	case "CAPA":
		m.w.WriteString("+OK\r\nUSER\r\nUIDL\r\nTOP\r\nPIPELINING\r\n.\r\n")
	case "STAT":
		fmt.Fprintf(m.w, "+OK %d 1\r\n", m.count)
	case "LIST", "UIDL":
		m.w.WriteString("+OK\r\n")
		for n := 1; n <= m.count; n++ {
			if verb == "UIDL" {
				fmt.Fprintf(m.w, "%d %08x1b2c3d4e\r\n", n, n) // as long as Dovecot's
			} else {
				fmt.Fprintf(m.w, "%d %d\r\n", n, largeSize(n))
			}
		}
		m.w.WriteString(".\r\n")
	case "RETR", "TOP":
		args, _, _ = strings.Cut(args, " ")
		n, err := strconv.Atoi(args)
		if err != nil || n < 1 || n > m.count {
			m.w.WriteString("-ERR no such message\r\n")
			return
		}
		m.octets = m.large.AppendMessage(m.octets[:0], n) // no line of which begins with a dot
		if verb == "TOP" {
			m.octets = m.octets[:bytes.Index(m.octets, []byte("\r\n\r\n"))+4]
		}
		m.w.WriteString("+OK\r\n")
		m.w.Write(m.octets)
		m.w.WriteString(".\r\n")
	default:
		m.w.WriteString("-ERR what?\r\n")
	}
}
