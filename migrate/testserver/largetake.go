package testserver

import (
	"bytes"
	"fmt"
	"io"
	"strconv"
	"strings"
)

// A Large takes what a Large gives, octet for octet, and so keeps but the number of a message: four octets.

// take answers APPEND with one message or several (RFC 9051, section 6.3.12, and RFC 3502). Either all are taken or none.
func (s *largeSession) take(args string) string {
	_, args, _ = strings.Cut(args, " ") // the mailbox: there is but one
	var numbers []uint32
	var refused error
	for args != "" {
		if tail, ok := strings.CutSuffix(args, "+}"); ok {
			args = tail
		} else {
			args = strings.TrimSuffix(args, "}")
			s.w.WriteString("+ go on\r\n")
			s.w.Flush()
		}
		described, digits, _ := strings.Cut(args, " {")
		size, err := strconv.Atoi(digits)
		if err != nil {
			return "BAD no literal"
		}
		s.octets = append(s.octets[:0], make([]byte, size)...)
		if _, err := io.ReadFull(s.r, s.octets); err != nil {
			return "NO " + err.Error()
		}
		number, err := s.numberOf(described)
		if err != nil {
			refused = err
		}
		numbers = append(numbers, number)
		if args, err = s.r.ReadString('\n'); err != nil {
			return "NO " + err.Error()
		}
		args = strings.TrimSpace(args)
	}
	if refused != nil {
		return "NO [CANNOT] " + refused.Error()
	}
	l := s.large
	l.mu.Lock()
	defer l.mu.Unlock()
	l.taken = append(l.taken, numbers...)
	last := l.count.Add(int64(len(numbers)))
	return fmt.Sprintf("OK [APPENDUID 1 %d:%d] here they are", last-int64(len(numbers))+1, last)
}

// numberOf tells which message the octets in hand are, and sees that nothing about it has changed.
func (s *largeSession) numberOf(described string) (uint32, error) {
	_, id, _ := bytes.Cut(s.octets, []byte("\r\nMessage-ID: <"))
	id, _, _ = bytes.Cut(id, []byte("@"))
	n, err := strconv.ParseUint(string(id), 10, 32)
	if err != nil {
		return 0, fmt.Errorf("a message that no Large has made: %w", err)
	}
	if s.own = s.large.AppendMessage(s.own[:0], int(n)); !bytes.Equal(s.own, s.octets) {
		return 0, fmt.Errorf("message %d has changed", n)
	}
	described = strings.TrimSpace(described)
	if date, ok := strings.CutPrefix(described, `"`); ok {
		described = `() "` + date // no flags, said by silence
	}
	if want := fmt.Sprintf("(%s) %s", largeFlags(int(n)), largeDate(int(n))); described != want {
		return 0, fmt.Errorf("message %d comes as %s, not %s", n, described, want)
	}
	return uint32(n), nil
}

// Taken tells how many messages were appended, and how many different ones.
func (l *Large) Taken() (messages, different int) {
	l.mu.Lock()
	defer l.mu.Unlock()
	seen := map[uint32]bool{}
	for _, n := range l.taken {
		seen[n] = true
	}
	return len(l.taken), len(seen)
}

// made tells which message lies at a place of the mailbox, from 1.
func (l *Large) made(place int) int {
	l.mu.Lock()
	defer l.mu.Unlock()
	if len(l.taken) > 0 && place > l.first {
		return int(l.taken[place-1-l.first])
	}
	return place
}
