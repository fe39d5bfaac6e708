package imap

import (
	"io"
	"testing"

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
