package imap

import (
	"context"
	"errors"
	"fmt"
	"math"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"postcask/migrate"
)

// TestOnlyWhatHasChangedIsListed asks servers what has happened since a mailbox of the UIDs 1 to 9, of which 2 was gone
// already, stood at HIGHESTMODSEQ 50. The server hears the whole flight before it answers.
func TestOnlyWhatHasChangedIsListed(t *testing.T) {
	since := migrate.Status{Messages: 8, UIDValidity: 77, UIDNext: 10, HighestModSeq: 50}
	const (
		flags = `* 3 FETCH (MODSEQ (55) UID 4 FLAGS (\Seen) INTERNALDATE "01-Jan-2020 00:00:00 +0000" RFC822.SIZE 7)`
		fresh = `* 9 FETCH (UID 12 FLAGS () INTERNALDATE "01-Jan-2020 00:00:00 +0000" RFC822.SIZE 8 MODSEQ (60))`
		last  = `* 8 FETCH (UID 9 FLAGS () INTERNALDATE "01-Jan-2020 00:00:00 +0000" RFC822.SIZE 9)` // "10:*" names it where nothing is new
	)
	tests := []struct {
		name         string
		capabilities string
		exists       int
		codes        []string // of EXAMINE, beside UIDNEXT 13 and HIGHESTMODSEQ 61
		changed, new []string
		more         func(p *peer)
		messages     []uint32
		gaps         []stretch
		cannot       bool
	}{
		{name: "nothing but a flag", exists: 8, changed: []string{flags}, new: []string{last}, messages: []uint32{4, 9}, gaps: []stretch{{10, math.MaxUint32}}},
		{name: "a new one", exists: 9, changed: []string{flags}, new: []string{fresh}, messages: []uint32{4, 12}, gaps: []stretch{{10, 11}, {13, math.MaxUint32}}},
		{name: "told twice, once in passing", exists: 9, changed: []string{flags, `* 3 FETCH (UID 4 FLAGS (\Answered))`, `* 5 FETCH (FLAGS (\Seen))`},
			new: []string{fresh, flags}, messages: []uint32{4, 12}, gaps: []stretch{{10, 11}, {13, math.MaxUint32}}},
		{name: "one gone, with ESEARCH", capabilities: " ESEARCH", exists: 8, new: []string{`* 8 FETCH (UID 12 RFC822.SIZE 8)`}, messages: []uint32{12},
			more: func(p *peer) {
				p.answer("UID SEARCH RETURN (ALL) 1:8", `* ESEARCH (TAG "TAG") UID ALL 12,3:9`, "TAG OK x")
			},
			gaps: []stretch{{1, 2}, {10, 11}, {13, math.MaxUint32}}},
		{name: "one gone, without ESEARCH", exists: 7, more: func(p *peer) {
			p.answer("FETCH 1:7 (UID)", "* 1 FETCH (UID 1)", "* 2 FETCH (UID 3)", "* 3 FETCH (UID 4)", "* 4 FETCH (UID 5)", "* 5 FETCH (UID 6)", "* 6 FETCH (UID 7)", "* 7 FETCH (UID 8)", "TAG OK x")
		}, gaps: []stretch{{2, 2}, {9, math.MaxUint32}}},
		{name: "all gone", capabilities: " ESEARCH", exists: 0, gaps: []stretch{{1, math.MaxUint32}}},
		{name: "one more goes meanwhile", capabilities: " ESEARCH", exists: 7, more: func(p *peer) {
			p.answer("UID SEARCH RETURN (ALL) 1:7", "* 1 EXPUNGE", `* ESEARCH (TAG "TAG") UID ALL 3:9`, "TAG OK x")
			p.answer("UID SEARCH RETURN (ALL) 1:6", `* ESEARCH (TAG "TAG") UID ALL 4:9`, "TAG OK x")
		}, gaps: []stretch{{1, 3}, {10, math.MaxUint32}}},
		{name: "a search that hides some", capabilities: " ESEARCH", exists: 7, cannot: true, more: func(p *peer) {
			for range gapsTries {
				p.answer("UID SEARCH RETURN (ALL) 1:7", `* ESEARCH (TAG "TAG") UID ALL 1`, "TAG OK x")
			}
		}},
		{name: "a search without sense", capabilities: " ESEARCH", exists: 7, cannot: true, more: func(p *peer) {
			p.answer("UID SEARCH RETURN (ALL) 1:7", `* ESEARCH (TAG "TAG") UID ALL x:y`, "TAG OK x")
		}},
		{name: "numbered anew", exists: 8, codes: []string{"UIDVALIDITY 78"}, cannot: true},
		{name: "no mod-sequences here", exists: 8, codes: []string{"NOMODSEQ"}, cannot: true},
		{name: "mod-sequences from before", exists: 8, codes: []string{"HIGHESTMODSEQ 49"}, cannot: true},
		{name: "UIDNEXT from before", exists: 8, codes: []string{"UIDNEXT 9"}, cannot: true},
		{name: "a new one half told", exists: 9, new: []string{"* 9 FETCH (UID 12 FLAGS ())"}, cannot: true},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			cfg := serve(t, func(p *peer) {
				p.greet("CONDSTORE" + test.capabilities)
				var tags []string
				for _, command := range []string{`EXAMINE "INBOX" (CONDSTORE)`, "UID FETCH 1:9 " + allItems + " (CHANGEDSINCE 50)", "UID FETCH 10:* " + allItems} {
					tag, rest := p.expect(command)
					if tags = append(tags, tag); rest != "" {
						t.Errorf("%s, and %q", command, rest)
					}
				}
				p.say(fmt.Sprintf("* %d EXISTS", test.exists), "* OK [UIDVALIDITY 77]", "* OK [UIDNEXT 13]", "* OK [HIGHESTMODSEQ 61]")
				for _, code := range test.codes {
					p.say("* OK [" + code + "]")
				}
				p.say(tags[0] + " OK [READ-ONLY] x")
				p.say(append(test.changed, tags[1]+" OK x")...)
				p.say(append(test.new, tags[2]+" OK x")...)
				if test.more != nil {
					test.more(p)
				}
				p.bye()
			})
			got, err := readChanges(open(t, cfg, true), "INBOX", since)
			if errors.Is(err, migrate.ErrCannotTell) != test.cannot || err != nil && !test.cannot {
				t.Errorf("cannot tell: %v", err)
			}
			for _, m := range got.messages {
				if m.Size < 0 || m.Key.Validity != 77 {
					t.Errorf("listed as %+v", m)
				}
			}
			if diff := cmp.Diff(test.messages, got.uids()); diff != "" {
				t.Error(diff)
			}
			if diff := cmp.Diff(test.gaps, got.gaps, cmp.AllowUnexported(stretch{})); diff != "" {
				t.Error(diff)
			}
			if want := int64(test.exists); !test.cannot && got.there != want && test.name != "one more goes meanwhile" {
				t.Errorf("%d messages, want %d", got.there, want)
			}
		})
	}
}

// toldChanges is what Changes yields.
type toldChanges struct {
	messages []migrate.Message
	gaps     []stretch
	there    int64 // -1 until it was told
}

func (c *toldChanges) uids() (uids []uint32) {
	for _, m := range c.messages {
		uids = append(uids, m.Key.UID)
	}
	return uids
}

func readChanges(s *Session, mbox migrate.Path, since migrate.Status) (told toldChanges, err error) {
	told.there = -1
	for change, err := range s.Changes(context.Background(), mbox, since) {
		switch {
		case err != nil:
			return told, err
		case told.there >= 0:
			return told, errors.New("something comes behind the number of messages")
		case change.First != 0:
			told.gaps = append(told.gaps, stretch{change.First, change.Last})
		case change.Message.Key.IsZero():
			told.there = change.Messages
		default:
			told.messages = append(told.messages, change.Message)
		}
	}
	return told, nil
}

// Nothing is asked about a state that names no messages.
func TestChangesThatNobodyRemembers(t *testing.T) {
	for _, test := range []struct {
		capabilities string
		since        migrate.Status
	}{
		{"", migrate.Status{Messages: 8, UIDValidity: 77, HighestModSeq: 50}},
		{"CONDSTORE", migrate.Status{Messages: 8, UIDNext: 10}},
		{"CONDSTORE QRESYNC", migrate.Status{}},
	} {
		cfg := serve(t, func(p *peer) {
			p.greet(test.capabilities)
			if line := p.hear(); !strings.Contains(line, "LOGOUT") {
				t.Errorf("client said %q", line)
			}
		})
		s := open(t, cfg, true)
		var first error
		for _, err := range s.Changes(t.Context(), "INBOX", test.since) {
			first = err
		}
		if !errors.Is(first, migrate.ErrCannotTell) {
			t.Errorf("%+v: %v", test.since, first)
		}
		s.Close()
		finished(cfg)
	}
}

// Where more has changed than memory should hold, all is listed.
func TestVeryManyChanges(t *testing.T) {
	cfg := serve(t, func(p *peer) {
		p.greet("CONDSTORE")
		p.examine("EXAMINE", changesLimit+1, "* OK [UIDNEXT 4000000]", "* OK [HIGHESTMODSEQ 61]")
		tag, _ := p.expect("UID FETCH 1:9 ")
		p.say(tag + " OK x")
		tag, _ = p.expect("UID FETCH 10:* ")
		var rows strings.Builder
		for i := range changesLimit + 1 {
			fmt.Fprintf(&rows, "* %d FETCH (UID %d RFC822.SIZE 3)\r\n", i+1, i+10)
		}
		p.say(rows.String() + tag + " OK x")
		p.bye()
	})
	for c, err := range open(t, cfg, true).Changes(t.Context(), "INBOX", migrate.Status{UIDValidity: 77, UIDNext: 10, HighestModSeq: 50}) {
		if !errors.Is(err, migrate.ErrCannotTell) {
			t.Fatalf("%+v, %v", c, err)
		}
	}
}
