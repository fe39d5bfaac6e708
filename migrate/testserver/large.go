package testserver

import (
	"bufio"
	"bytes"
	"fmt"
	"net"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

// A Large is an account of as many messages as one likes, in INBOX: each is made as it is asked for, and the same each
// time, so that the server takes no memory for them. It speaks plain IMAP (RFC 3501, CONDSTORE of RFC 7162, LIST-STATUS
// of RFC 5819, MULTIAPPEND of RFC 3502, UIDPLUS of RFC 4315) and POP3, and lets everybody in. It takes messages of
// another, as long as it has not grown. It is for volume: a command that it does not know is BAD, and nothing changes here but by Grow and
// APPEND.
type Large struct {
	IMAPAddr, POP3Addr string // "127.0.0.1:port"

	hub   hub
	first int // so many at the start
	count atomic.Int64

	mu    sync.Mutex
	taken []uint32 // what was appended
}

// StartLarge runs a Large with so many messages until the test ends.
func StartLarge(tb testing.TB, messages int) *Large {
	tb.Helper()
	l := &Large{first: messages}
	l.count.Store(int64(messages))
	tb.Cleanup(func() { l.hub.stop() })
	l.IMAPAddr = l.listen(tb, func(conn net.Conn) { (&largeSession{large: l, conn: conn}).serve() })
	l.POP3Addr = l.listen(tb, l.maildrop)
	return l
}

func (l *Large) listen(tb testing.TB, handle func(net.Conn)) (addr string) {
	ln, err := l.hub.listen(nil, nil)
	if err != nil {
		tb.Fatal(err)
	}
	l.hub.serve(ln, handle)
	return ln.Addr().String()
}

// Len tells how many messages there are.
func (l *Large) Len() int { return int(l.count.Load()) }

// Grow delivers more messages. A mailbox that is open shows them when it is opened again.
func (l *Large) Grow(messages int) { l.count.Add(int64(messages)) }

// largeStart is when the first message came; each further one came a minute later.
var largeStart = time.Date(2001, 2, 3, 4, 5, 6, 0, time.UTC)

// AppendMessage appends the octets of the nth message, from 1: 0.5 to 2.5 KB with a header as mail has it.
func (l *Large) AppendMessage(octets []byte, n int) []byte {
	octets = appendLargeHeader(octets, n)
	for range 1 + n*7919%26 {
		octets = append(octets, largeLine...)
	}
	return octets
}

const largeLine = "The quick brown fox jumps over the lazy dog, and then it does so once more.\r\n"

// largeSize tells the octets of the nth message.
func largeSize(n int) int {
	return len(appendLargeHeader(make([]byte, 0, 1024), n)) + (1+n*7919%26)*len(largeLine)
}

// largeFlags and largeDate tell flags and internal date of the nth message, as IMAP has them.
func largeFlags(n int) string {
	if n%3 > 0 {
		return "\\Seen"
	}
	return ""
}

func largeDate(n int) string {
	return largeStart.Add(time.Duration(n) * time.Minute).Format(`"_2-Jan-2006 15:04:05 -0700"`)
}

func appendLargeHeader(octets []byte, n int) []byte {
	date := largeStart.Add(time.Duration(n) * time.Minute)
	octets = append(octets, "Received: from mx.example.net by mail.example.org; "...)
	octets = date.AppendFormat(octets, time.RFC1123Z)
	octets = append(octets, "\r\nDate: "...)
	octets = date.AppendFormat(octets, time.RFC1123Z)
	octets = fmt.Appendf(octets, "\r\nMessage-ID: <%08d@example.net>\r\nFrom: Sender %d <sender%d@example.net>\r\nTo: me@example.org\r\n"+
		"Subject: message %d of very many\r\nMIME-Version: 1.0\r\nContent-Type: text/plain; charset=us-ascii\r\n\r\n", n, n%97, n%97, n)
	return octets
}

// largeSession is one connection to a Large.
type largeSession struct {
	large  *Large
	conn   net.Conn
	r      *bufio.Reader
	w      *bufio.Writer
	count  int // of the mailbox, as it was when it was opened
	octets []byte
	own    []byte
}

const largeCapabilities = "IMAP4rev1 SASL-IR AUTH=PLAIN LITERAL+ NAMESPACE CONDSTORE ENABLE UNSELECT LIST-EXTENDED LIST-STATUS MULTIAPPEND UIDPLUS"

func (s *largeSession) serve() {
	s.r, s.w = bufio.NewReader(s.conn), bufio.NewWriterSize(s.conn, 64<<10)
	fmt.Fprintf(s.w, "* OK [CAPABILITY %s] ready\r\n", largeCapabilities)
	for {
		if s.r.Buffered() == 0 && s.w.Flush() != nil {
			return
		}
		line, err := s.r.ReadString('\n')
		if err != nil {
			return
		}
		tag, command, _ := strings.Cut(strings.TrimRight(line, "\r\n"), " ")
		verb, args, _ := strings.Cut(command, " ")
		if verb = strings.ToUpper(verb); verb == "UID" {
			verb, args, _ = strings.Cut(args, " ") // a message's number is its UID here
			verb = strings.ToUpper(verb)
		}
		answer := s.command(verb, args)
		fmt.Fprintf(s.w, "%s %s\r\n", tag, answer)
		if verb == "LOGOUT" {
			s.w.Flush()
			return
		}
	}
}

// command carries out one command and gives what its tag is followed by.
func (s *largeSession) command(verb, args string) string {
	upper := strings.ToUpper(args)
	switch verb {
	case "CAPABILITY":
		fmt.Fprintf(s.w, "* CAPABILITY %s\r\n", largeCapabilities)
	case "AUTHENTICATE":
		if !strings.Contains(args, " ") {
			s.w.WriteString("+ \r\n")
			s.w.Flush()
			if _, err := s.r.ReadSlice('\n'); err != nil {
				return "NO " + err.Error()
			}
		}
		return "OK [CAPABILITY " + largeCapabilities + "] come in"
	case "LOGIN", "NOOP", "ID", "ENABLE", "UNSELECT", "CLOSE", "CHECK":
	case "NAMESPACE":
		s.w.WriteString("* NAMESPACE ((\"\" \"/\")) NIL NIL\r\n")
	case "LIST":
		s.w.WriteString("* LIST (\\Subscribed) \"/\" INBOX\r\n")
		if strings.Contains(upper, "STATUS") {
			s.status()
		}
	case "LSUB":
		s.w.WriteString("* LSUB () \"/\" INBOX\r\n")
	case "STATUS":
		s.status()
	case "SELECT", "EXAMINE":
		s.count = int(s.large.count.Load())
		fmt.Fprintf(s.w, "* FLAGS (\\Seen \\Flagged)\r\n* %d EXISTS\r\n* OK [UIDVALIDITY 1] \r\n* OK [UIDNEXT %d] \r\n* OK [HIGHESTMODSEQ %d] \r\n",
			s.count, s.count+1, s.count+1)
		if verb == "SELECT" {
			return "OK [READ-WRITE] open"
		}
		return "OK [READ-ONLY] open"
	case "APPEND":
		return s.take(args)
	case "FETCH":
		return s.fetch(upper)
	case "LOGOUT":
		s.w.WriteString("* BYE\r\n")
	default:
		return "BAD what?"
	}
	return "OK done"
}

func (s *largeSession) status() {
	count := s.large.count.Load()
	fmt.Fprintf(s.w, "* STATUS INBOX (MESSAGES %d UIDNEXT %d UIDVALIDITY 1 HIGHESTMODSEQ %d)\r\n", count, count+1, count+1)
}

// fetch answers FETCH and UID FETCH. Messages have their number plus one for MODSEQ, so that CHANGEDSINCE finds those
// that came since.
func (s *largeSession) fetch(args string) string {
	set, items, _ := strings.Cut(args, " ")
	var since int
	if _, after, ok := strings.Cut(items, "CHANGEDSINCE "); ok {
		digits, _, _ := strings.Cut(after, ")")
		since, _ = strconv.Atoi(strings.TrimSpace(digits))
	}
	for part := range strings.SplitSeq(set, ",") {
		from, to, found := strings.Cut(part, ":")
		first, last := s.number(from), s.number(to)
		if !found {
			last = first
		}
		for n := max(min(first, last), since); n <= min(max(first, last), s.count); n++ {
			if n > 0 && s.message(n, items, since > 0) != nil {
				return "NO the connection broke"
			}
		}
	}
	return "OK there you are"
}

func (s *largeSession) number(text string) int {
	if text == "*" {
		return s.count
	}
	n, _ := strconv.Atoi(text)
	return n
}

// message answers for the message at a place: with the items that are asked for, the body last.
func (s *largeSession) message(place int, items string, modseq bool) error {
	n := s.large.made(place)
	fmt.Fprintf(s.w, "* %d FETCH (UID %d", place, place)
	if strings.Contains(items, "FLAGS") {
		fmt.Fprintf(s.w, " FLAGS (%s)", largeFlags(n))
	}
	if modseq || strings.Contains(items, "MODSEQ") {
		fmt.Fprintf(s.w, " MODSEQ (%d)", place+1)
	}
	if strings.Contains(items, "INTERNALDATE") {
		fmt.Fprintf(s.w, " INTERNALDATE %s", largeDate(n))
	}
	s.octets = s.large.AppendMessage(s.octets[:0], n)
	if strings.Contains(items, "RFC822.SIZE") {
		fmt.Fprintf(s.w, " RFC822.SIZE %d", len(s.octets))
	}
	if _, section, ok := strings.Cut(items, "BODY.PEEK["); ok {
		section, _, _ = strings.Cut(section, "]")
		if section != "" { // some or all of the header
			s.octets = s.octets[:bytes.Index(s.octets, []byte("\r\n\r\n"))+4]
		}
		fmt.Fprintf(s.w, " BODY[%s] {%d}\r\n", section, len(s.octets))
		s.w.Write(s.octets)
	}
	_, err := s.w.WriteString(")\r\n")
	return err
}
