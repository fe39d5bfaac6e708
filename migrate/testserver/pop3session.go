package testserver

import (
	"bufio"
	"bytes"
	"crypto/tls"
	"encoding/base64"
	"fmt"
	"net"
	"slices"
	"strconv"
	"strings"
)

// A pop3Session is one connection to a POP3.
type pop3Session struct {
	server *POP3
	conn   net.Conn
	r      *bufio.Reader
	w      *bufio.Writer
	stls   *tls.Config // nil once TLS runs

	stamp    string // of the greeting, for APOP
	user     string // named by USER, or logged in
	loggedIn bool
	messages []POP3Message
	marked   []bool // to be deleted at QUIT
}

func (p *POP3) session(conn net.Conn, stls *tls.Config) {
	s := &pop3Session{server: p, conn: conn, stls: stls, r: bufio.NewReader(conn), w: bufio.NewWriter(conn)}
	p.mu.Lock()
	p.last++
	s.stamp = fmt.Sprintf("<%d@localhost>", p.last)
	p.mu.Unlock()
	if p.offers("APOP") {
		s.say("+OK ready %s", s.stamp)
	} else {
		s.say("+OK ready")
	}
	for {
		// With pipelining, answers may wait until all commands at hand are dealt with (RFC 2449, section 6.6).
		if s.r.Buffered() == 0 && s.w.Flush() != nil {
			return
		}
		line, err := s.r.ReadSlice('\n')
		if err != nil {
			return
		}
		command := strings.TrimRight(string(line), "\r\n")
		p.note(command)
		verb, args, _ := strings.Cut(command, " ")
		verb = strings.ToUpper(verb)
		if p.opts.Refuse != nil {
			if refusal := p.opts.Refuse(s.user, command); refusal != "" {
				s.say("%s", refusal)
				continue
			}
		}
		s.command(verb, args)
		if verb == "QUIT" {
			s.w.Flush()
			return
		}
	}
}

func (s *pop3Session) say(format string, args ...any) { fmt.Fprintf(s.w, format+"\r\n", args...) }

func (s *pop3Session) command(verb, args string) {
	switch {
	case verb == "QUIT":
		s.quit()
	case slices.Contains([]string{"UIDL", "TOP", "CAPA", "APOP", "STLS", "AUTH"}, verb) && !s.server.offers(verb):
		s.say("-ERR unknown command")
	case verb == "CAPA":
		s.capa()
	case s.loggedIn:
		s.transaction(verb, args)
	default:
		s.authorization(verb, args)
	}
}

func (s *pop3Session) capa() {
	s.say("+OK capabilities follow\r\nUSER\r\nRESP-CODES")
	for name, line := range map[string]string{"UIDL": "UIDL", "TOP": "TOP", "PIPELINING": "PIPELINING", "AUTH": "SASL PLAIN"} {
		if s.server.offers(name) {
			s.say("%s", line)
		}
	}
	if s.stls != nil && s.server.offers("STLS") {
		s.say("STLS")
	}
	s.say(".")
}

func (s *pop3Session) authorization(verb, args string) {
	switch verb {
	case "USER":
		s.user = args
		s.say("+OK")
	case "PASS":
		s.logIn(s.user, func(password string) bool { return password == args })
	case "APOP":
		user, digest, _ := strings.Cut(args, " ")
		s.logIn(user, func(password string) bool { return digest == apopDigest(s.stamp, password) })
	case "AUTH":
		s.auth(args)
	case "STLS":
		s.startTLS()
	default:
		s.say("-ERR log in first")
	}
}

// auth does SASL PLAIN (RFC 5034 with RFC 4616), with or without an initial response.
func (s *pop3Session) auth(args string) {
	mechanism, response, initial := strings.Cut(args, " ")
	if !strings.EqualFold(mechanism, "PLAIN") {
		s.say("-ERR unknown mechanism")
		return
	}
	if !initial {
		s.say("+ ")
		if s.w.Flush() != nil {
			return
		}
		line, err := s.r.ReadSlice('\n')
		if err != nil {
			return
		}
		response = strings.TrimRight(string(line), "\r\n")
	}
	decoded, err := base64.StdEncoding.DecodeString(response)
	parts := strings.Split(string(decoded), "\x00")
	if err != nil || len(parts) != 3 {
		s.say("-ERR cannot read that")
		return
	}
	s.logIn(parts[1], func(password string) bool { return password == parts[2] })
}

func (s *pop3Session) logIn(user string, right func(password string) bool) {
	messages, ok := s.server.logIn(user, right)
	if !ok {
		s.say("-ERR [AUTH] name or password is wrong")
		return
	}
	s.user, s.loggedIn, s.messages, s.marked = user, true, messages, make([]bool, len(messages))
	s.say("+OK %d messages", len(messages))
}

func (s *pop3Session) startTLS() {
	if s.stls == nil {
		s.say("-ERR TLS runs already")
		return
	}
	s.say("+OK begin")
	// What was sent before the handshake must not count after it.
	s.r.Discard(s.r.Buffered())
	if s.w.Flush() != nil {
		return
	}
	s.conn = tls.Server(s.conn, s.stls)
	s.stls = nil
	s.r, s.w = bufio.NewReader(s.conn), bufio.NewWriter(s.conn)
}

func (s *pop3Session) transaction(verb, args string) {
	first, second, _ := strings.Cut(args, " ")
	switch verb {
	case "NOOP":
		s.say("+OK")
	case "RSET":
		clear(s.marked)
		s.say("+OK")
	case "STAT":
		n, total := 0, 0
		for i := range s.messages {
			if !s.marked[i] {
				n, total = n+1, total+s.size(i)
			}
		}
		s.say("+OK %d %d", n, total)
	case "LIST":
		s.list(first, func(i int) string { return strconv.Itoa(s.size(i)) })
	case "UIDL":
		s.list(first, func(i int) string { return s.messages[i].UIDL })
	case "RETR", "TOP", "DELE":
		i, ok := s.number(first)
		lines, err := strconv.Atoi(second)
		switch {
		case !ok:
			s.say("-ERR no such message")
		case verb == "DELE":
			s.marked[i] = true
			s.say("+OK")
		case verb == "RETR":
			s.say("+OK %d octets", s.size(i))
			s.body(s.messages[i].Octets)
		case err != nil || lines < 0:
			s.say("-ERR how many lines?")
		default:
			s.say("+OK")
			s.body(topOf(s.messages[i].Octets, lines))
		}
	default:
		s.say("-ERR unknown command")
	}
}

func (s *pop3Session) size(i int) int {
	octets := s.messages[i].Octets
	if s.server.opts.Size != nil {
		return s.server.opts.Size(octets)
	}
	return len(octets)
}

// number finds the message that a command names, unless it is marked as deleted.
func (s *pop3Session) number(arg string) (int, bool) {
	n, err := strconv.Atoi(arg)
	if err != nil || n < 1 || n > len(s.messages) || s.marked[n-1] {
		return 0, false
	}
	return n - 1, true
}

func (s *pop3Session) list(arg string, tell func(i int) string) {
	if arg != "" {
		if i, ok := s.number(arg); ok {
			s.say("+OK %d %s", i+1, tell(i))
		} else {
			s.say("-ERR no such message")
		}
		return
	}
	s.say("+OK")
	for i := range s.messages {
		if !s.marked[i] {
			s.say("%d %s", i+1, tell(i))
		}
	}
	s.say(".")
}

// body sends a message with its dots stuffed and its end marked (RFC 1939, section 3). Lines end in CRLF alone: a dot
// after a bare LF is no dot at the start of a line.
func (s *pop3Session) body(octets []byte) {
	if bytes.HasPrefix(octets, []byte(".")) {
		s.w.WriteByte('.')
	}
	s.w.Write(bytes.ReplaceAll(octets, []byte("\r\n."), []byte("\r\n..")))
	if len(octets) > 0 && !bytes.HasSuffix(octets, []byte("\r\n")) {
		s.w.WriteString("\r\n")
	}
	s.say(".")
}

// topOf gives the header, the blank line and so many lines of the body.
func topOf(octets []byte, lines int) []byte {
	header := bytes.Index(octets, []byte("\r\n\r\n"))
	if header < 0 {
		return octets
	}
	end := header + 4
	for ; lines > 0 && end < len(octets); lines-- {
		i := bytes.Index(octets[end:], []byte("\r\n"))
		if i < 0 {
			return octets
		}
		end += i + 2
	}
	return octets[:end]
}

func (s *pop3Session) quit() {
	if s.loggedIn {
		var gone []POP3Message
		for i, m := range s.messages {
			if s.marked[i] {
				gone = append(gone, m)
			}
		}
		s.server.delete(s.user, gone)
	}
	s.say("+OK bye")
}
