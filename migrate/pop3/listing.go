package pop3

import (
	"bytes"
	"cmp"
	"context"
	"fmt"
	"iter"
	"strconv"
	"strings"

	"postcask/migrate"
	"postcask/migrate/wire"
)

// maildropLimit bounds how many messages a maildrop may hold, and so the time and the disk that a server can take.
const maildropLimit = 1_000_000

// Messages lists INBOX in the order of the maildrop; it is the same listing for the whole session. A Message has no
// internal date and no flags, POP3 knows none; its Size is what LIST tells, a hint that some servers get wrong. Those
// that have to be named by their digest are read for that while the listing goes on, a bounded stretch ahead, and come
// with exact Size and Identity.
func (s *Session) Messages(ctx context.Context, mbox migrate.Path) iter.Seq2[migrate.Message, error] {
	return func(yield func(migrate.Message, error) bool) {
		drop, err := s.listed(ctx, mbox)
		if err != nil {
			yield(migrate.Message{}, err)
			return
		}
		for number := 1; number <= drop.count; number++ {
			if number > drop.named {
				if err := s.nameStretch(ctx); err != nil {
					yield(migrate.Message{}, err)
					return
				}
			}
			if err := context.Cause(ctx); err != nil {
				yield(migrate.Message{}, err)
				return
			}
			gone, err := drop.others.isGone(number)
			if gone {
				continue
			}
			var m migrate.Message
			if err == nil {
				m, err = drop.message(number)
			}
			if !yield(m, err) || err != nil {
				return
			}
		}
	}
}

// listed gives the maildrop, and lists it unless that is done.
func (s *Session) listed(ctx context.Context, mbox migrate.Path) (*maildrop, error) {
	if err := s.alive(ctx); err != nil {
		return nil, err
	}
	if mbox != migrate.Inbox {
		return nil, migrate.Errorf(migrate.Failed, "POP3 has no mailbox but INBOX")
	}
	if s.drop != nil {
		return s.drop, nil
	}
	stop := s.conn.Watch(ctx)
	defer stop()
	drop, odd, err := s.survey()
	if err == nil && odd != "" {
		// Some servers count anew when mail comes in between; what still contradicts itself then is not to be trusted.
		if drop, odd, err = s.survey(); err == nil && odd != "" {
			err = migrate.Errorf(migrate.Unavailable, "the server's listing contradicts itself: %s", odd)
		}
	}
	if err != nil {
		return nil, err
	}
	s.drop = drop
	return drop, nil
}

// survey asks for STAT, LIST and UIDL, in one flight where the server allows it. Where they do not fit each other it
// tells what is odd.
func (s *Session) survey() (drop *maildrop, odd string, err error) {
	if s.can("PIPELINING") {
		if err := s.say("STAT", "LIST", "UIDL"); err != nil {
			return nil, "", err
		}
	}
	count, err := s.stat()
	if err != nil {
		return nil, "", err
	}
	drop = newMaildrop(count)
	if count == 0 {
		return drop, "", s.settle()
	}
	odd, err = s.sizes(drop)
	if err == nil && odd == "" {
		odd, err = s.uidls(drop)
	}
	if err != nil || odd != "" {
		drop.close()
		return nil, odd, err
	}
	return drop, "", nil
}

// sizes asks how large the messages are.
func (s *Session) sizes(drop *maildrop) (odd string, err error) {
	seen := newTally(drop.count)
	var trouble error
	err = s.list("LIST", maildropLimit+1, func(line []byte) {
		number, rest, ok := numbered(line)
		if seen.see(number, ok) && trouble == nil {
			trouble = drop.setSize(number, announced(rest))
		}
	})
	return seen.odd("LIST"), cmp.Or(err, trouble)
}

// uidls asks for the unique ids, and keeps those that name one message alone. A server without UIDL gives none. One that
// has it and does not tell now is an error: other names for the same messages would make them look new.
func (s *Session) uidls(drop *maildrop) (odd string, err error) {
	seen := newTally(drop.count)
	hashes := make([]uint64, 0, drop.count)
	var trouble error
	err = s.list("UIDL", maildropLimit+1, func(line []byte) {
		number, uidl, ok := numbered(line)
		if seen.see(number, ok) && usable(uidl) && trouble == nil { // no other is kept: a server could make them long
			hashes = append(hashes, hashOf(uidl))
			trouble = drop.setUIDL(number, uidl)
		}
	})
	if err != nil && isRefusal(err) && !s.can("UIDL") && migrate.KindOf(err) != migrate.Unavailable {
		return "", nil
	}
	if odd, err = seen.odd("UIDL"), cmp.Or(err, trouble); err != nil || odd != "" {
		return odd, err
	}
	return "", drop.dropDoubles(hashes)
}

// stat asks how many messages there are.
func (s *Session) stat() (int, error) {
	text, err := s.command("STAT")
	if err != nil {
		return 0, err
	}
	word, _, _ := strings.Cut(text, " ")
	count, err := strconv.Atoi(word)
	if err != nil || count < 0 {
		return 0, s.conn.failed(fmt.Errorf("STAT: not a number of messages: %q", wire.Clean(text)))
	}
	if count > maildropLimit {
		return 0, s.conn.failed(fmt.Errorf("STAT: %d messages, more than postcask takes from one maildrop", count))
	}
	return count, nil
}

// numbered takes a scan listing apart (RFC 1939, section 5): a message number, blanks, and the rest less blanks around.
func numbered(line []byte) (number int, rest []byte, ok bool) {
	line = bytes.Trim(line, " \t")
	end := bytes.IndexAny(line, " \t")
	if end < 0 {
		end = len(line)
	}
	number, err := strconv.Atoi(string(line[:end]))
	return number, bytes.Trim(line[end:], " \t"), err == nil
}

// announced reads a size; some servers put more behind it.
func announced(text []byte) int64 {
	if end := bytes.IndexAny(text, " \t"); end >= 0 {
		text = text[:end]
	}
	size, err := strconv.ParseInt(string(text), 10, 64)
	if err != nil || size < 0 {
		return -1
	}
	return size
}

// A tally sees that a listing has each of the numbers 1 to n once.
type tally struct {
	seen   []bool
	lines  int
	stray  int // lines without a number, or with one beyond n
	double int // lines whose number was there before
}

func newTally(n int) *tally { return &tally{seen: make([]bool, n)} }

// see notes a line and tells whether it is to be taken.
func (t *tally) see(number int, ok bool) bool {
	t.lines++
	switch {
	case !ok || number < 1 || number > len(t.seen):
		t.stray++
		return false
	case t.seen[number-1]:
		t.double++
		return false
	}
	t.seen[number-1] = true
	return true
}

// odd tells in words what is wrong with the listing, or nothing.
func (t *tally) odd(verb string) string {
	if t.lines == len(t.seen) && t.stray == 0 && t.double == 0 {
		return ""
	}
	return fmt.Sprintf("STAT tells of %d messages, %s has %d lines, of which %d repeat a number and %d have none that fits",
		len(t.seen), verb, t.lines, t.double, t.stray)
}
