package imap

import (
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"postcask/migrate"
)

func fullRow(number, uid int) string {
	return fmt.Sprintf(`* %d FETCH (UID %d FLAGS (\Seen) INTERNALDATE "01-Jan-2020 00:00:00 +0000" RFC822.SIZE 7)`, number, uid)
}

// askedAhead is asked to list INBOX with one message and Work with two in one flight, and answers for INBOX. It gives the tags
// of what it was asked about Work.
func (p *peer) askedAhead() (examine, fetch string) {
	p.greet("")
	p.answer("LIST", `* LIST () "/" INBOX`, `* LIST () "/" Work`, "TAG OK x")
	p.answer("LSUB", "TAG OK x")
	var tags []string
	for _, command := range []string{`EXAMINE "INBOX"`, "FETCH 1:1 " + allItems, `EXAMINE "Work"`, "FETCH 1:2 " + allItems} {
		tag, _ := p.expect(command)
		tags = append(tags, tag)
	}
	p.say("* 1 EXISTS", "* OK [UIDVALIDITY 77]", "* OK [UIDNEXT 2]", tags[0]+" OK x", fullRow(1, 1), tags[1]+" OK x")
	return tags[2], tags[3]
}

// Two mailboxes are listed in one round trip. What the server tells of the second is used where it adds up, and asked for
// anew where it does not.
func TestMailboxesAreListedInOneRoundTrip(t *testing.T) {
	opened := []string{"* 2 EXISTS", "* OK [UIDVALIDITY 77]", "* OK [UIDNEXT 6]", "T0 OK x"}
	tests := []struct {
		name   string
		answer []string // about Work; T0 and T1 are the tags of EXAMINE and FETCH
		anew   bool
	}{
		{name: "as it should be", answer: append(opened, fullRow(1, 4), fullRow(2, 5), "T1 OK x")},
		{name: "in another order", answer: append(opened, fullRow(2, 5), fullRow(1, 4), "T1 OK x")},
		{name: "flags of the mailbox before", answer: append([]string{"* 1 FETCH (UID 99 FLAGS ())", fullRow(2, 77)},
			append(opened, fullRow(1, 4), fullRow(2, 5), "T1 OK x")...)},
		{name: "refused", answer: []string{"T0 NO no", "T1 BAD no mailbox is open"}, anew: true},
		{name: "one more than said", answer: append([]string{"* 3 EXISTS"}, append(opened[1:3:3], "T0 OK x", fullRow(1, 4), fullRow(2, 5), "T1 OK x")...), anew: true},
		{name: "one less than said", answer: append([]string{"* 1 EXISTS"}, append(opened[1:3:3], "T0 OK x", fullRow(1, 4), "T1 OK x")...), anew: true},
		{name: "one goes meanwhile", answer: append(opened, fullRow(1, 4), "* 1 EXPUNGE", "T1 OK x"), anew: true},
		{name: "one without a UID", answer: append(opened, fullRow(1, 4), `* 2 FETCH (FLAGS ())`, "T1 OK x"), anew: true},
		{name: "the list refused", answer: append(opened, fullRow(1, 4), fullRow(2, 5), "T1 NO not now"), anew: true},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			cfg := serve(t, func(p *peer) {
				examine, fetch := p.askedAhead()
				for _, line := range test.answer {
					p.say(strings.NewReplacer("T0", examine, "T1", fetch).Replace(line))
				}
				if test.anew {
					p.examine(`EXAMINE "Work"`, 2, "* OK [UIDVALIDITY 77]")
					p.answer("FETCH 1:2", fullRow(1, 4), fullRow(2, 5), "TAG OK x")
				}
				p.bye()
			})
			s := open(t, cfg, true)
			s.ListAhead(t.Context(), []migrate.Listing{
				{Mailbox: "INBOX", Now: migrate.Status{Messages: 1}}, {Mailbox: "Work", Now: migrate.Status{Messages: 2}},
			})
			for mbox, want := range map[migrate.Path][]uint32{"INBOX": {1}, "Work": {4, 5}} {
				var got []uint32
				for m, err := range s.Messages(t.Context(), mbox) {
					if err != nil {
						t.Fatal(err)
					}
					if got = append(got, m.Key.UID); m.Key.Validity != 77 || m.Size != 7 || !m.Flags.Has(`\Seen`) {
						t.Errorf("%s: %+v", mbox, m)
					}
				}
				if diff := cmp.Diff(want, got); diff != "" {
					t.Errorf("%s: %s", mbox, diff)
				}
			}
		})
	}
}

// What has changed in two mailboxes takes one round trip too, and one more where messages are gone from the second.
func TestChangesOfMailboxesAreListedInOneRoundTrip(t *testing.T) {
	row := func(uid int) string {
		return fmt.Sprintf(`* %d FETCH (UID %d FLAGS () INTERNALDATE "01-Jan-2020 00:00:00 +0000" RFC822.SIZE 7)`, uid, uid)
	}
	since := migrate.Status{Messages: 2, UIDValidity: 77, UIDNext: 3, HighestModSeq: 5}
	for _, exists := range []int{3, 2} { // of Work, in which there is one that is new
		opened := func(n int) []string {
			return []string{fmt.Sprintf("* %d EXISTS", n), "* OK [UIDVALIDITY 77]", "* OK [UIDNEXT 4]", "* OK [HIGHESTMODSEQ 6]"}
		}
		cfg := serve(t, func(p *peer) {
			p.greet("CONDSTORE ESEARCH")
			p.answer("LIST", `* LIST () "/" INBOX`, `* LIST () "/" Work`, "TAG OK x")
			p.answer("LSUB", "TAG OK x")
			var tags []string
			for range 2 {
				for _, command := range []string{"EXAMINE", "UID FETCH 1:2", "UID FETCH 3:*"} {
					tag, _ := p.expect(command)
					tags = append(tags, tag)
				}
			}
			p.say(append(opened(2), tags[0]+" OK x", tags[2]+" OK x", row(1), tags[1]+" OK x")...)
			p.say(append(append([]string{"* 2 FETCH (UID 2 FLAGS (x))"}, opened(exists)...), tags[3]+" OK x", tags[4]+" OK x", row(3), tags[5]+" OK x")...)
			if exists == 2 {
				p.answer("EXAMINE", append(opened(2), "TAG OK x")...)
				p.answer("UID FETCH 1:2", "TAG OK x")
				p.answer("UID FETCH 3:*", row(3), "TAG OK x")
				p.answer("UID SEARCH", `* ESEARCH (TAG "TAG") UID ALL 1,3`, "TAG OK x")
			}
			p.bye()
		})
		s := open(t, cfg, true)
		s.ListAhead(t.Context(), []migrate.Listing{{Mailbox: "INBOX", Since: &since}, {Mailbox: "Work", Since: &since}})
		gone := []stretch{{4, 1<<32 - 1}}
		if exists == 2 {
			gone = []stretch{{2, 2}, {4, 1<<32 - 1}}
		}
		for _, test := range []struct {
			mbox     migrate.Path
			messages []uint32
			gaps     []stretch
		}{{"INBOX", []uint32{1}, []stretch{{3, 1<<32 - 1}}}, {"Work", []uint32{3}, gone}} {
			var got []uint32
			var free []stretch
			for change, err := range s.Changes(t.Context(), test.mbox, since) {
				switch {
				case err != nil:
					t.Fatal(err)
				case change.First != 0:
					free = append(free, stretch{change.First, change.Last})
				case change.Message.Key.IsZero():
					if want := map[migrate.Path]int{"INBOX": 2, "Work": exists}[test.mbox]; change.Messages != int64(want) {
						t.Errorf("%s: %d messages", test.mbox, change.Messages)
					}
				default:
					got = append(got, change.Message.Key.UID)
				}
			}
			if diff := cmp.Diff(test.messages, got) + cmp.Diff(test.gaps, free, cmp.AllowUnexported(stretch{})); diff != "" {
				t.Errorf("%d in Work, %s: %s", exists, test.mbox, diff)
			}
		}
	}
}

// A state that is asked for later makes what was listed ahead worthless: noted with it, the older list would hide for ever
// what came in between.
func TestAStateToldLaterVoidsWhatWasListedAhead(t *testing.T) {
	cfg := serve(t, func(p *peer) {
		examine, fetch := p.askedAhead()
		p.say("* 2 EXISTS", "* OK [UIDVALIDITY 77]", "* OK [UIDNEXT 6]", examine+" OK x", fullRow(1, 4), fullRow(2, 5), fetch+" OK x")
		// Now UID 4 goes and UID 6 comes.
		p.examine(`EXAMINE "Work"`, 2, "* OK [UIDVALIDITY 77]", "* OK [UIDNEXT 7]")
		p.examine(`EXAMINE "Work"`, 2, "* OK [UIDVALIDITY 77]", "* OK [UIDNEXT 7]")
		p.answer("FETCH", fullRow(1, 5), fullRow(2, 6), "TAG OK x")
		p.bye()
	})
	s := open(t, cfg, true)
	s.ListAhead(t.Context(), []migrate.Listing{
		{Mailbox: "INBOX", Now: migrate.Status{Messages: 1}}, {Mailbox: "Work", Now: migrate.Status{Messages: 2}},
	})
	now, err := s.Status(t.Context(), "Work")
	if err != nil {
		t.Fatal(err)
	}
	var got []uint32
	for m, err := range s.Messages(t.Context(), "Work") {
		if err != nil {
			t.Fatal(err)
		}
		got = append(got, m.Key.UID)
	}
	if diff := cmp.Diff([]uint32{5, 6}, got); diff != "" || now.UIDNext != 7 {
		t.Errorf("UIDNEXT %d, -want +got:\n%s", now.UIDNext, diff)
	}
}

// A server that tells of very many changes is an honest one: what is too much to be kept is asked for in its turn.
func TestManyChangesAheadAreAskedForInTheirTurn(t *testing.T) {
	const changes = 6000 // in each of two
	since := migrate.Status{Messages: 12000, UIDValidity: 77, UIDNext: 12001, HighestModSeq: 5}
	cfg := serve(t, func(p *peer) {
		p.greet("CONDSTORE ESEARCH")
		p.answer("LIST", `* LIST () "/" INBOX`, `* LIST () "/" Work`, "TAG OK x")
		p.answer("LSUB", "TAG OK x")
		for _, mbox := range []string{"INBOX", "Work", "Work"} {
			p.examine(`EXAMINE "`+mbox+`"`, 12000, "* OK [UIDVALIDITY 77]", "* OK [UIDNEXT 12001]", "* OK [HIGHESTMODSEQ 6]")
			tag, _ := p.expect("UID FETCH 1:12000")
			for uid := 1; uid <= changes; uid++ {
				p.say(fmt.Sprintf(`* %d FETCH (UID %d FLAGS (\Seen) MODSEQ (6))`, uid, uid))
			}
			p.say(tag + " OK x")
			p.answer("UID FETCH 12001:*", "TAG OK x")
		}
		p.bye()
	})
	s := open(t, cfg, true)
	s.ListAhead(t.Context(), []migrate.Listing{{Mailbox: "INBOX", Since: &since, Now: since}, {Mailbox: "Work", Since: &since, Now: since}})
	for _, mbox := range []migrate.Path{"INBOX", "Work"} {
		told := 0
		for c, err := range s.Changes(t.Context(), mbox, since) {
			if err != nil {
				t.Fatal(mbox, err)
			}
			if !c.Message.Key.IsZero() {
				told++
			}
		}
		if told != changes {
			t.Errorf("%s: %d changes are told of", mbox, told)
		}
	}
}

// What a server says of all mailboxes that are listed ahead is bounded together: what is too much is asked for in its turn.
func TestLongAnswersAheadAreAskedForInTheirTurn(t *testing.T) {
	const messages = 50
	letters := strings.Repeat("x", 100)
	flags := func(number int) string { // 50 KB
		return strings.TrimSpace(strings.Repeat(fmt.Sprintf("$%s%d ", letters, number), 500))
	}
	list := func(p *peer, mbox string) {
		p.examine(`EXAMINE "`+mbox+`"`, messages, "* OK [UIDVALIDITY 77]", "* OK [UIDNEXT 51]")
		tag, _ := p.expect("FETCH 1:50")
		for n := 1; n <= messages; n++ {
			p.say(fmt.Sprintf(`* %d FETCH (UID %d FLAGS (%s) INTERNALDATE "01-Jan-2020 00:00:00 +0000" RFC822.SIZE 7)`, n, n, flags(n)))
		}
		p.say(tag + " OK x")
	}
	cfg := serve(t, func(p *peer) {
		p.greet("")
		p.answer("LIST", `* LIST () "/" INBOX`, `* LIST () "/" Work`, `* LIST () "/" Home`, "TAG OK x")
		p.answer("LSUB", "TAG OK x")
		for _, mbox := range []string{"INBOX", "Work", "Home", "Work", "Home"} {
			list(p, mbox)
		}
		p.bye()
	})
	s := open(t, cfg, true)
	var next []migrate.Listing
	for _, mbox := range []migrate.Path{"INBOX", "Work", "Home"} {
		next = append(next, migrate.Listing{Mailbox: mbox, Now: migrate.Status{Messages: messages}})
	}
	s.ListAhead(t.Context(), next)
	for _, listing := range next {
		var got []uint32
		for m, err := range s.Messages(t.Context(), listing.Mailbox) {
			if err != nil {
				t.Fatal(listing.Mailbox, err)
			}
			if got = append(got, m.Key.UID); !m.Flags.Has(fmt.Sprintf("$%s%d", letters, m.Key.UID)) {
				t.Errorf("%q, UID %d has flags of another", listing.Mailbox, m.Key.UID)
			}
		}
		if len(got) != messages {
			t.Errorf("%q: %d messages", listing.Mailbox, len(got))
		}
	}
}
