package imap

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"postcask/migrate"
)

func readListing(t *testing.T, s *Session, each func(migrate.Message)) ([]migrate.Message, error) {
	t.Helper()
	var all []migrate.Message
	for m, err := range s.Messages(t.Context(), "INBOX") {
		if err != nil {
			return all, err
		}
		all = append(all, m)
		if each != nil {
			each(m)
		}
	}
	return all, nil
}

func TestMessagesOddities(t *testing.T) {
	cfg := serve(t, func(p *peer) {
		p.greet("")
		p.examine("EXAMINE", 6, `* FLAGS (\Seen a] [Gmail] "q q" \*)`, `* OK [PERMANENTFLAGS (\Seen a] foo[bar])] Limited`, `* OK [UIDVALIDITY 99999999999] x`, `* OK [CODE never closed`, `* XFOO`, ``, `+ what`)
		p.answer("FETCH 1:6 "+allItems,
			`* 2 FETCH (UID 20 FLAGS (\seen \Recent a] foo[bar] "q"  $x ) INTERNALDATE " 1-Jan-2020 00:00:00 +0100" RFC822.SIZE 3000000000)`,
			`* 1 FETCH (RFC822.SIZE -1 INTERNALDATE NIL X-GM-LABELS ("\\Important" {1}`, `x "a)b") FLAGS NIL UID 10)`,
			`* 4 FETCH (UID 4294967295 RFC822.SIZE 18446744073709551615 INTERNALDATE "31-Feb-2020 00:00:00 +0000" FLAGS ())`,
			`* 5 FETCH (FLAGS (\Deleted))`, `* 5 FETCH (UID 30 RFC822.SIZE 7)`, `* 6 FETCH (UID 4294967296 FLAGS ())`, `* 50 FETCH (UID 28 FLAGS (\Seen))`, "TAG NO [SERVERBUG] one of them is broken")
		p.answer("FETCH 3 "+allItems, "TAG NO [SERVERBUG] cannot tell the date")
		p.answer("FETCH 3 (UID FLAGS RFC822.SIZE)", `* 3 FETCH (UID 25 RFC822.SIZE 9 FLAGS (\Answered))`, "TAG OK x")
		p.answer("FETCH 6 "+allItems, "TAG NO [EXPUNGEISSUED] gone")
		p.answer("FETCH 6 ", "TAG NO [EXPUNGEISSUED] gone")
		p.answer("FETCH 6 ", "TAG NO [EXPUNGEISSUED] gone")
		p.bye()
	})
	s := open(t, cfg, true)
	got, err := readListing(t, s, nil)
	if err != nil {
		t.Fatal(err)
	}
	key := func(uid uint32) migrate.Key { return migrate.Key{Validity: 77, UID: uid} }
	want := []migrate.Message{
		{Key: key(10), Size: -1, Flags: migrate.Flags{}},
		{Key: key(20), Size: 3000000000, InternalDate: time.Date(2020, 1, 1, 0, 0, 0, 0, time.FixedZone("", 3600)), Flags: migrate.NewFlags(`\Seen`, "a]", "foo[bar]", "q", "$x")},
		{Key: key(25), Size: 9, Flags: migrate.NewFlags(`\Answered`)},
		{Key: key(30), Size: 7, Flags: migrate.NewFlags(`\Deleted`)},
		{Key: key(4294967295), Size: -1, InternalDate: time.Date(2020, 3, 2, 0, 0, 0, 0, time.UTC), Flags: migrate.Flags{}},
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
	if diff := cmp.Diff([]string{`\Seen`, "a]", "foo[bar]"}, s.view.permanent); diff != "" {
		t.Error(diff)
	}
}

// crowd plays a mailbox of many messages with wide gaps between their UIDs, others of which are fetched and expunged
// while it is listed.
type crowd struct {
	uids         []uint32
	validity     int
	capabilities string
	tell         []string // what to say before the next UID FETCH is answered
}

func (c *crowd) play(p *peer) {
	p.greet(c.capabilities)
	for {
		tag, rest, _ := strings.Cut(p.hear(), " ")
		words := strings.Fields(rest)
		if len(words) == 0 {
			return
		}
		switch words[0] {
		case "EXAMINE":
			p.say(fmt.Sprintf("* %d EXISTS", len(c.uids)), fmt.Sprintf("* OK [UIDVALIDITY %d] x", c.validity), "* OK [UIDNEXT 4294967295] x")
		case "FETCH":
			from, to := 0, 0
			if n, _ := fmt.Sscanf(words[1], "%d:%d", &from, &to); n == 1 {
				to = from
			}
			for i := from; i <= to; i++ {
				p.say(fmt.Sprintf("* %d FETCH (UID %d FLAGS () RFC822.SIZE 3)", i, c.uids[i-1]))
			}
		case "UID":
			p.say(c.tell...)
			c.tell = nil
			p.say(fmt.Sprintf("* 1 FETCH (UID %s BODY[] {3}", words[2]), "abc)")
		case "ENABLE":
			p.say("* ENABLED " + words[1])
		case "LIST":
			p.say(`* LIST () "/" INBOX`, `* LIST () "/" Other`)
		case "LOGOUT":
			p.say("* BYE", tag+" OK x")
			return
		}
		p.say(tag + " OK x")
	}
}

func TestMessagesWalk(t *testing.T) {
	const count = 2*stretchSize + 500
	many := func() *crowd {
		c := &crowd{validity: 77}
		for i := range count {
			c.uids = append(c.uids, uint32(i+1)*900000)
		}
		return c
	}
	all := many().uids
	tests := []struct {
		name string
		at   uint32 // the UID at which it happens
		do   func(t *testing.T, s *Session, c *crowd, m migrate.Message)
		want func(uid uint32) bool
	}{
		{"undisturbed", 0, nil, func(uint32) bool { return true }},
		{"fetching, while earlier ones are expunged", all[5], func(t *testing.T, s *Session, c *crowd, m migrate.Message) {
			c.uids = c.uids[3:]
			c.tell = []string{"* 1 EXPUNGE", "* 1 EXPUNGE", "* 1 EXPUNGE"}
			if got, err := fetched(t, s, []migrate.Message{m}); err != nil || got[m.Key.UID] != "abc" {
				t.Error(got, err)
			}
		}, func(uint32) bool { return true }},
		{"fetching, while later ones are expunged", all[5], func(t *testing.T, s *Session, c *crowd, m migrate.Message) {
			c.uids = slices.Delete(c.uids, stretchSize, stretchSize+2)
			c.tell = []string{fmt.Sprintf("* %d EXPUNGE", stretchSize+1), fmt.Sprintf("* %d EXPUNGE", stretchSize+1)}
			if _, err := fetched(t, s, []migrate.Message{m}); err != nil {
				t.Error(err)
			}
		}, func(uid uint32) bool { return uid != all[stretchSize] && uid != all[stretchSize+1] }},
		{"another mailbox in between", all[5], func(t *testing.T, s *Session, c *crowd, m migrate.Message) {
			if err := s.open(t.Context(), "Other"); err != nil {
				t.Error(err)
			}
			c.uids = c.uids[100:]
		}, func(uint32) bool { return true }},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			c := many()
			s := open(t, serve(t, c.play), true)
			got, err := readListing(t, s, func(m migrate.Message) {
				if m.Key.UID == test.at {
					test.do(t, s, c, m)
				}
			})
			if err != nil {
				t.Fatal(err)
			}
			var uids, want []uint32
			for _, m := range got {
				uids = append(uids, m.Key.UID)
			}
			for _, uid := range all {
				if test.want(uid) {
					want = append(want, uid)
				}
			}
			if !slices.Equal(uids, want) {
				t.Errorf("%d messages, not the %d that are there", len(uids), len(want))
			}
		})
	}
}

func TestRenumberedWhileListing(t *testing.T) {
	c := &crowd{validity: 77, uids: []uint32{1, 2}}
	for i := range stretchSize {
		c.uids = append(c.uids, uint32(i+3))
	}
	s := open(t, serve(t, c.play), true)
	_, err := readListing(t, s, func(m migrate.Message) {
		if m.Key.UID == 1 {
			c.validity = 78
			if err := s.open(t.Context(), "Other"); err != nil {
				t.Error(err)
			}
		}
	})
	if !migrate.IsTemporary(err) || !strings.Contains(err.Error(), "UIDVALIDITY") {
		t.Errorf("got %v", err)
	}
}

func TestRefusedMailboxLeavesTheSession(t *testing.T) {
	cfg := serve(t, func(p *peer) {
		p.greet("")
		p.answer("EXAMINE", "* 9 EXISTS", "TAG NO [NOPERM] not yours")
		p.examine("EXAMINE", 1)
		p.answer("FETCH 1:1", "* 1 FETCH (UID 4)", "TAG OK x")
		p.bye()
	})
	s := open(t, cfg, true)
	if _, err := readListing(t, s, nil); err == nil || !strings.Contains(err.Error(), `"INBOX": open mailbox: NO [NOPERM] not yours`) {
		t.Errorf("got %v", err)
	}
	if got, err := readListing(t, s, nil); err != nil || len(got) != 1 {
		t.Error(got, err)
	}
}

func TestByeIsTold(t *testing.T) {
	cfg := serve(t, func(p *peer) {
		p.greet("")
		p.expect("EXAMINE")
		p.say("* BYE shutting down for the night")
	})
	s := open(t, cfg, true)
	for range 2 {
		if _, err := readListing(t, s, nil); !migrate.IsTemporary(err) || !strings.Contains(err.Error(), "shutting down for the night") {
			t.Errorf("got %v", err)
		}
	}
}

func TestSetFlagsOfMany(t *testing.T) {
	told := 0
	cfg := serve(t, func(p *peer) {
		p.greet("")
		p.examine("SELECT", 90000)
		for {
			line := p.hear()
			tag, rest, _ := strings.Cut(line, " ")
			if line == "" || rest == "LOGOUT" {
				return
			}
			if len(line) > 8192 {
				t.Errorf("a line of %d octets", len(line))
			}
			told += strings.Count(rest, ",") + 1
			p.say(tag + " OK x")
		}
	})
	s := open(t, cfg, false)
	var changes []migrate.FlagChange
	for i := range 5000 {
		changes = append(changes, migrate.FlagChange{Key: migrate.Key{Validity: 77, UID: uint32(1 + 17*i)}})
	}
	if err := s.SetFlags(t.Context(), "INBOX", changes); err != nil {
		t.Fatal(err)
	}
	s.Close()
	finished(cfg)
	if told != len(changes) {
		t.Errorf("%d of %d", told, len(changes))
	}
}

func TestSetFlagsOnTheWire(t *testing.T) {
	var stores []string
	cfg := serve(t, func(p *peer) {
		p.greet("")
		p.examine("SELECT", 10, `* OK [PERMANENTFLAGS (\Seen \Flagged $x)] x`)
		for {
			line := p.hear()
			tag, rest, _ := strings.Cut(line, " ")
			if line == "" || rest == "LOGOUT" {
				p.say("* BYE", tag+" OK x")
				return
			}
			stores = append(stores, rest)
			p.say(`* 1 FETCH (UID 1 FLAGS (a] \Seen ))`, tag+" OK x")
		}
	})
	s := open(t, cfg, false)
	change := func(validity, uid uint32, flags ...string) migrate.FlagChange {
		return migrate.FlagChange{Key: migrate.Key{Validity: validity, UID: uid}, Flags: migrate.NewFlags(flags...)}
	}
	err := s.SetFlags(t.Context(), "INBOX", []migrate.FlagChange{change(77, 3, `\Seen`, "$x", "$y"), change(77, 1), change(77, 2, "$x", `\Seen`), change(76, 9, `\Seen`), change(77, 4, `\Recent`, "a]")})
	if err != nil {
		t.Fatal(err)
	}
	s.Close()
	finished(cfg)
	want := []string{`UID STORE 2:3 FLAGS.SILENT ($x \Seen)`, `UID STORE 1,4 FLAGS.SILENT ()`}
	for i := range stores {
		stores[i] = strings.Replace(stores[i], `(\Seen $x)`, `($x \Seen)`, 1)
	}
	if diff := cmp.Diff(want, stores); diff != "" {
		t.Error(diff)
	}
	if err := open(t, serve(t, func(p *peer) { p.greet(""); p.bye() }), true).SetFlags(t.Context(), "INBOX", []migrate.FlagChange{change(77, 1)}); migrate.KindOf(err) != migrate.Misuse {
		t.Errorf("a read-only session: %v", err)
	}
}
