package imap

import (
	"fmt"
	"io"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"postcask/migrate"
)

// Messages of two mailboxes are asked for in one flight, whatever comes of the first.
func TestMessagesOfMailboxesAreFetchedInOneRoundTrip(t *testing.T) {
	inbox := []string{"* 2 EXISTS", "* OK [UIDVALIDITY 77] x", "* OK [UIDNEXT 8] x"}
	body := func(uid, text string) []string { return []string{"* 1 FETCH (UID " + uid + " BODY[] {1}", text + ")"} }
	said := func(parts ...[]string) (lines []string) {
		for _, part := range parts {
			lines = append(lines, part...)
		}
		return lines
	}
	open4 := func(tag string) []string { return append(append([]string{}, inbox...), tag+" OK x") }
	work := said(open4("T2"), body("5", "w"), []string{"T3 OK x"})
	askWork := func(p *peer) {
		p.examine(`EXAMINE "Work"`, 2, "* OK [UIDNEXT 8] x")
		p.answer("UID FETCH 5 ", append(body("5", "w"), "TAG OK x")...)
	}
	tests := []struct {
		name    string
		answer  []string // T0 to T3 are the tags
		rest    func(p *peer)
		between func(t *testing.T, s *Session)
		stop    bool // after the first
		want    map[migrate.Path][]string
	}{
		{name: "both there", answer: said(open4("T0"), body("5", "a"), body("6", "b"), []string{"T1 OK x"}, work),
			want: map[migrate.Path][]string{"INBOX": {"a", "b"}, "Work": {"w"}}},
		{name: "flags of the first behind its end", answer: said(open4("T0"), body("5", "a"), body("6", "b"),
			[]string{"T1 OK x", "* 1 FETCH (UID 5 BODY[] {1}", "x)", "* 2 EXPUNGE"}, work), want: map[migrate.Path][]string{"INBOX": {"a", "b"}, "Work": {"w"}}},
		{name: "left early", stop: true, answer: said(open4("T0"), body("5", "a"), body("6", "b"), []string{"T1 OK x"}, work),
			want: map[migrate.Path][]string{"INBOX": {"a"}, "Work": {"w"}}},
		{name: "the first does not open", answer: said([]string{"T0 NO no", "T1 BAD no"}, work), want: map[migrate.Path][]string{"INBOX": {"refused"}, "Work": {"w"}}},
		{name: "the first was numbered anew", answer: said([]string{"* OK [UIDVALIDITY 78] x", "T0 OK x", "T1 OK x"}, work),
			want: map[migrate.Path][]string{"INBOX": {"refused"}, "Work": {"w"}}},
		{name: "one of the first is not given", answer: said(open4("T0"), body("5", "a"), []string{"T1 OK x"}, work),
			rest: func(p *peer) {
				p.examine(`EXAMINE "INBOX"`, 2, "* OK [UIDNEXT 8] x")
				p.answer("UID FETCH 6 ", append(body("6", "b"), "TAG OK x")...)
				askWork(p)
			},
			want: map[migrate.Path][]string{"INBOX": {"a", "b"}, "Work": {"w"}}},
		{name: "something else is asked between", answer: said(open4("T0"), body("5", "a"), body("6", "b"), []string{"T1 OK x"}, work),
			between: func(t *testing.T, s *Session) {
				if _, err := s.exists(t.Context(), "Work"); err != nil {
					t.Error(err)
				}
			},
			rest: func(p *peer) {
				p.answer("LIST", "TAG OK x")
				p.answer("UID FETCH 5 ", append(body("5", "w"), "TAG OK x")...) // it is open already
			},
			want: map[migrate.Path][]string{"INBOX": {"a", "b"}, "Work": {"w"}}},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			cfg := serve(t, func(p *peer) {
				p.greet("")
				p.answer("LIST", `* LIST () "/" INBOX`, `* LIST () "/" Work`, "TAG OK x")
				p.answer("LSUB", "TAG OK x")
				var tags []string
				for _, command := range []string{`EXAMINE "INBOX"`, "UID FETCH 5:6 (UID BODY.PEEK[])", `EXAMINE "Work"`, "UID FETCH 5 (UID BODY.PEEK[])"} {
					tag, _ := p.expect(command)
					tags = append(tags, tag)
				}
				for _, line := range test.answer {
					if len(line) > 2 && line[0] == 'T' && line[2] == ' ' {
						line = tags[line[1]-'0'] + line[2:]
					}
					p.say(line)
				}
				if test.rest != nil {
					test.rest(p)
				}
				p.bye()
			})
			s := open(t, cfg, true)
			if _, err := s.Mailboxes(t.Context()); err != nil {
				t.Fatal(err)
			}
			asked := map[migrate.Path][]migrate.Message{"INBOX": keys(5, 6), "Work": keys(5)}
			s.FetchAhead(t.Context(), "INBOX", asked["INBOX"])
			s.FetchAhead(t.Context(), "Work", asked["Work"])
			got := map[migrate.Path][]string{}
			for _, mbox := range []migrate.Path{"INBOX", "Work"} {
				for f, err := range s.Fetch(t.Context(), mbox, asked[mbox]) {
					if err != nil {
						got[mbox] = append(got[mbox], "refused")
						break
					}
					octets, err := io.ReadAll(f.Body)
					if err != nil || f.Err != nil {
						t.Error(err, f.Err)
					}
					if got[mbox] = append(got[mbox], string(octets)); test.stop {
						break
					}
				}
				if test.between != nil && mbox == "INBOX" {
					test.between(t, s)
				}
			}
			if diff := cmp.Diff(test.want, got); diff != "" {
				t.Error(diff)
			}
		})
	}
}

// A group that takes more commands than go out at once is begun ahead, and the rest of it is asked for in its turn.
func TestALargeGroupIsBegunAhead(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const count = 7 * groupMessages
		var early int // commands that came before anything was answered
		cfg := piped(t, func(p *peer) {
			p.greet("")
			p.answer("LIST", `* LIST () "/" INBOX`, `* LIST () "/" Work`, `* LIST () "/" Last`, "TAG OK x")
			p.answer("LSUB", "TAG OK x")
			var waiting []string
			for {
				p.conn.SetReadDeadline(time.Now().Add(time.Second / 2)) // by then whoever has more to say has said it
				line := p.hear()
				if line == "" {
					break
				}
				waiting = append(waiting, line)
			}
			p.conn.SetReadDeadline(time.Time{})
			early = len(waiting)
			for {
				line := ""
				if len(waiting) > 0 {
					line, waiting = waiting[0], waiting[1:]
				} else if line = p.hear(); line == "" {
					return
				}
				tag, command, _ := strings.Cut(line, " ")
				var first, last int
				switch n, _ := fmt.Sscanf(command, "UID FETCH %d:%d", &first, &last); {
				case strings.HasPrefix(command, "EXAMINE"):
					p.say(fmt.Sprintf("* %d EXISTS", count), "* OK [UIDVALIDITY 77] x", fmt.Sprintf("* OK [UIDNEXT %d] x", count+1))
				case n == 2:
					for uid := first; uid <= last; uid++ {
						p.say(fmt.Sprintf("* %d FETCH (UID %d BODY[] {3}", uid, uid), "abc)")
					}
				}
				p.say(tag + " OK x")
			}
		})
		s := open(t, cfg, true)
		if _, err := s.Mailboxes(t.Context()); err != nil {
			t.Fatal(err)
		}
		asked := map[migrate.Path][]migrate.Message{"INBOX": keys(1, 2), "Last": keys(1, 2)}
		for uid := range uint32(count) {
			asked["Work"] = append(asked["Work"], keys(uid+1)...)
			asked["Work"][uid].Size = 100_000 // so it is said to have
		}
		for _, mbox := range []migrate.Path{"INBOX", "Work", "Last"} {
			s.FetchAhead(t.Context(), mbox, asked[mbox])
		}
		for _, mbox := range []migrate.Path{"INBOX", "Work", "Last"} {
			got := 0
			for f, err := range s.Fetch(t.Context(), mbox, asked[mbox]) {
				if err != nil || f.Err != nil {
					t.Fatal(mbox, err, f.Err)
				}
				if octets, _ := io.ReadAll(f.Body); string(octets) == "abc" {
					got++
				}
			}
			if got != len(asked[mbox]) {
				t.Errorf("%s: %d of %d messages", mbox, got, len(asked[mbox]))
			}
		}
		s.Close()
		synctest.Wait()
		if early != 2+inFlight { // for Last none
			t.Errorf("%d commands went out at once", early)
		}
	})
}

// A server may work at several FETCHes at once: what the second brings can come before the first is over. Two groups of one
// mailbox that are asked for together get all of their messages.
func TestTwoGroupsOfOneMailboxWhoseAnswersMayMingle(t *testing.T) {
	cfg := serve(t, func(p *peer) {
		p.greet("")
		p.examine(`EXAMINE "INBOX"`, 9)
		opened := []string{"* 9 EXISTS", "* OK [UIDVALIDITY 77] x", "* OK [UIDNEXT 10] x"}
		body := func(uid string) []string {
			return []string{"* " + uid + " FETCH (UID " + uid + " BODY[] {1}", uid + ")"}
		}
		first, _ := p.expect("UID FETCH 5 ")
		tag, command, _ := strings.Cut(p.hear(), " ")
		if strings.HasPrefix(command, "UID FETCH 6 ") {
			p.say(append(append(body("6"), body("5")...), first+" OK x", tag+" OK x")...)
		} else if strings.HasPrefix(command, `EXAMINE "INBOX"`) {
			second, _ := p.expect("UID FETCH 6 ")
			p.say(append(append(body("5"), first+" OK x"), opened...)...)
			p.say(append(append([]string{tag + " OK x"}, body("6")...), second+" OK x")...)
		}
		p.bye()
	})
	s := open(t, cfg, true)
	if err := s.open(t.Context(), "INBOX"); err != nil {
		t.Fatal(err)
	}
	groups := [][]migrate.Message{keys(5), keys(6)}
	for _, group := range groups {
		s.FetchAhead(t.Context(), "INBOX", group)
	}
	for i, group := range groups {
		got, err := fetched(t, s, group)
		uid := group[0].Key.UID
		if diff := cmp.Diff(map[uint32]string{uid: fmt.Sprint(uid)}, got); diff != "" || err != nil {
			t.Errorf("group %d: %v %s", i, err, diff)
		}
	}
}
