package imap

import (
	"bytes"
	"errors"
	"fmt"
	"strings"
	"testing"

	"postcask/migrate"
)

// takeGroup reads one APPEND command, with LITERAL+, and gives its tag and the messages in it.
func (p *peer) takeGroup() (tag string, bodies []string) {
	p.t.Helper()
	tag, line := p.expect("APPEND ")
	for line != "" {
		bodies = append(bodies, p.octets(literalSize(line)))
		line = p.hear()
	}
	return tag, bodies
}

// While the server works on one group of messages, the next is on its way.
func TestServerIsNotWaitedForBetweenGroups(t *testing.T) {
	const count = 2*companyLimit + 20
	cfg := serve(t, func(p *peer) {
		p.greet("LITERAL+ MULTIAPPEND UIDPLUS")
		p.examine("SELECT", 0)
		next := 1
		verdict := func(tag string, bodies []string) string {
			line := fmt.Sprintf("%s OK [APPENDUID 77 %d:%d] stored", tag, next, next+len(bodies)-1)
			next += len(bodies)
			return line
		}
		tag1, first := p.takeGroup()
		tag2, second := p.takeGroup() // before the first is answered
		p.say(fmt.Sprintf("* %d EXISTS", len(first)), verdict(tag1, first))
		if len(first) != companyLimit {
			t.Errorf("the first group is of %d messages", len(first))
		}
		tag3, third := p.takeGroup()
		p.say(verdict(tag2, second), verdict(tag3, third))
		p.bye()
	})
	s := open(t, cfg, false)
	for i := range count {
		if err := s.Append(t.Context(), "INBOX", migrate.Message{}, textBody(strings.Repeat("x", i))); err != nil {
			t.Fatal(err)
		}
	}
	stored, err := s.Commit(t.Context())
	if err != nil || len(stored) != count {
		t.Fatal(len(stored), err)
	}
	for i, st := range stored {
		if st.Err != nil || st.Key.UID != uint32(i+1) {
			t.Errorf("message %d: %+v", i, st)
		}
	}
	if next, err := s.Next(t.Context(), "INBOX"); next.UID != count+1 || err != nil {
		t.Errorf("the next one: %v, %v", next, err)
	}
}

// A large message goes in one command with small ones, and none of it waits in memory.
func TestLargeMessageGoesWithSmallOnes(t *testing.T) {
	const size = 3 << 20
	cfg := serve(t, func(p *peer) {
		p.greet("LITERAL+ MULTIAPPEND UIDPLUS")
		p.examine("SELECT", 0)
		tag, bodies := p.takeGroup()
		if len(bodies) != 3 || bodies[0] != "before" || len(bodies[1]) != size || bodies[2] != "after" {
			t.Errorf("a group of %d", len(bodies))
		}
		p.say(tag + " OK [APPENDUID 77 1:3] stored")
		p.bye()
	})
	s := open(t, cfg, false)
	for _, body := range []migrate.Body{textBody("before"), {Reader: &slow{size, 0}, Size: size}, textBody("after")} {
		if err := s.Append(t.Context(), "INBOX", migrate.Message{}, body); err != nil {
			t.Fatal(err)
		}
	}
	if held := cap(s.batch.small); held > smallBody+bytes.MinRead {
		t.Errorf("%d octets are held", held)
	}
	stored, err := s.Commit(t.Context())
	if err != nil || len(stored) != 3 || stored[1].Key.UID != 2 {
		t.Fatal(stored, err)
	}
}

// A command that was refused before its end gets no more messages.
func TestGroupIsRefusedHalfWay(t *testing.T) {
	cfg := serve(t, func(p *peer) {
		p.greet("LITERAL+ MULTIAPPEND UIDPLUS")
		p.examine("SELECT", 0)
		tag, line := p.expect("APPEND ")
		p.octets(literalSize(line))
		p.say(tag + " NO [LIMIT] no more")
		if rest := p.hear(); rest != "" {
			t.Errorf("the command goes on with %q", rest)
		}
		tag, _ = p.takeGroup()
		p.say(tag + " OK [APPENDUID 77 1] stored")
		p.bye()
	})
	s := open(t, cfg, false)
	if err := s.Append(t.Context(), "INBOX", migrate.Message{}, textBody("refused")); err != nil {
		t.Fatal(err)
	}
	s.batch.writer.Flush()
	if err := s.batch.ear.quiet(); err != nil {
		t.Fatal(err)
	}
	if err := s.Append(t.Context(), "INBOX", migrate.Message{}, textBody("taken")); err != nil {
		t.Fatal(err)
	}
	stored, err := s.Commit(t.Context())
	if err != nil || len(stored) != 2 || stored[0].Err == nil || errors.Is(stored[0].Err, migrate.ErrAgain) || stored[1].Err != nil {
		t.Fatal(stored, err)
	}
}

// Of many groups, some of which hold a message that the server dislikes, every other message arrives once.
func TestRefusedMessagesAmongManyGroups(t *testing.T) {
	const count = 1000
	arrived := map[string]int{}
	largest := 0
	cfg := serve(t, func(p *peer) {
		p.greet("LITERAL+ MULTIAPPEND")
		p.examine("SELECT", 0)
		for {
			line := p.hear()
			tag, rest, _ := strings.Cut(line, " ")
			if !strings.HasPrefix(rest, "APPEND ") {
				if rest == "" || rest == "LOGOUT" {
					return
				}
				p.say(tag + " OK x")
				continue
			}
			var bodies []string
			for ; line != ""; line = p.hear() {
				bodies = append(bodies, p.octets(literalSize(line)))
			}
			largest = max(largest, len(bodies))
			if strings.Contains(strings.Join(bodies, ""), "bad") {
				p.say(tag + " NO [CANNOT] what is that")
				continue
			}
			for _, body := range bodies {
				arrived[strings.TrimRight(body, "x")]++
			}
			p.say(tag + " OK stored")
		}
	})
	s := open(t, cfg, false)
	isBad := func(i int) bool { return i%137 == 100 }
	bodies := make([]string, count)
	for i := range bodies {
		name := fmt.Sprintf("%d-", i)
		if isBad(i) {
			name = "bad"
		}
		size := 5000
		if i%50 == 0 {
			size = smallBody + 1
		}
		bodies[i] = name + strings.Repeat("x", size)
	}
	stored := deliver(t, s, "INBOX", count, func(i int) migrate.Body { return textBody(bodies[i]) })
	s.Close()
	finished(cfg)
	for i, st := range stored {
		if (st.Err != nil) != isBad(i) {
			t.Errorf("message %d: %v", i, st.Err)
		}
		if got := arrived[fmt.Sprintf("%d-", i)]; !isBad(i) && got != 1 {
			t.Errorf("message %d arrived %d times", i, got)
		}
	}
	if largest > companyLimit {
		t.Errorf("a group of %d", largest)
	}
}

// A connection that is lost with groups under way tells nothing of any of them.
func TestConnectionIsLostBetweenGroups(t *testing.T) {
	cfg := serve(t, func(p *peer) {
		p.greet("LITERAL+ MULTIAPPEND")
		p.examine("SELECT", 0)
		tag, bodies := p.takeGroup()
		p.say(fmt.Sprintf("%s OK [APPENDUID 77 1:%d] stored", tag, len(bodies)))
		p.takeGroup()
	})
	s := open(t, cfg, false)
	var err error
	for range 2*companyLimit + 1 {
		if err = s.Append(t.Context(), "INBOX", migrate.Message{}, textBody(strings.Repeat("x", 1<<10))); err != nil {
			break
		}
	}
	if err == nil {
		_, err = s.Commit(t.Context())
	}
	if !migrate.IsTemporary(err) {
		t.Errorf("got %v", err)
	}
	if stored, err := s.Commit(t.Context()); stored != nil || !migrate.IsTemporary(err) {
		t.Errorf("later: %v, %v", stored, err)
	}
}

// Messages on the way in commands of their own find the mailbox gone: it is made again, and all of them come once more.
func TestAllThatFoundNoMailboxComesAgain(t *testing.T) {
	cfg := serve(t, func(p *peer) {
		p.greet("LITERAL+")
		p.examine(`SELECT "INBOX"`, 0)
		for range 3 {
			tag, args := p.expect("APPEND")
			p.octets(literalSize(args))
			p.hear()
			p.say(tag + " NO [TRYCREATE] no such mailbox")
		}
		p.bye()
	})
	s := open(t, cfg, false)
	for _, text := range []string{"abc", "def", "ghi"} {
		if err := s.Append(t.Context(), "INBOX", migrate.Message{}, textBody(text)); err != nil {
			t.Fatal(err)
		}
	}
	stored, err := s.Commit(t.Context())
	if err != nil || len(stored) != 3 {
		t.Fatalf("%+v, %v", stored, err)
	}
	for i, st := range stored {
		if !errors.Is(st.Err, migrate.ErrAgain) {
			t.Errorf("message %d: %v", i, st.Err)
		}
	}
}

// A server that takes two messages and names one may have stored one: nothing counts as stored, and from then on each
// message has a command of its own.
func TestOneUIDForTwoMessages(t *testing.T) {
	first := true
	cfg := serve(t, func(p *peer) {
		p.greet("LITERAL+ MULTIAPPEND UIDPLUS")
		p.examine(`SELECT "INBOX"`, 0)
		tag, bodies := p.takeGroup()
		if first {
			first = false
			p.say(tag + " OK [APPENDUID 77 1] stored")
			p.hear()
			return
		}
		if len(bodies) != 1 {
			t.Errorf("%d messages in one command", len(bodies))
		}
		p.say(tag + " OK [APPENDUID 77 2] stored")
		tag, _ = p.takeGroup()
		p.say(tag + " OK [APPENDUID 77 3] stored")
		p.bye()
	})
	acct := New(cfg)
	for _, trusts := range []bool{true, false} {
		s, err := acct.Open(t.Context(), false)
		if err != nil {
			t.Fatal(err)
		}
		for _, text := range []string{"abc", "def"} {
			if err := s.Append(t.Context(), "INBOX", migrate.Message{}, textBody(text)); err != nil {
				t.Fatal(err)
			}
		}
		stored, err := s.Commit(t.Context())
		if trusts && (!errors.Is(err, errMiscounted) || !migrate.IsTemporary(err)) || !trusts && (err != nil || len(stored) != 2) {
			t.Errorf("%+v, %v", stored, err)
		}
		s.Close()
	}
}
