package imap

import (
	"errors"
	"fmt"
	"math"
	"testing"

	"github.com/google/go-cmp/cmp"

	"postcask/migrate"
)

// TestFlagsAreListedWhereNobodyRemembersChanges lists a mailbox of a server without CONDSTORE again, in which the UIDs 2, 4, 6
// and so on were known: flags alone are asked for of these, and everything of those that have come.
func TestFlagsAreListedWhereNobodyRemembersChanges(t *testing.T) {
	since := migrate.Status{Messages: 4, UIDValidity: 77, UIDNext: 10}
	full := func(number, uid int) string {
		return fmt.Sprintf(`* %d FETCH (UID %d FLAGS (\Seen) INTERNALDATE "01-Jan-2020 00:00:00 +0000" RFC822.SIZE 8)`, number, uid)
	}
	few := func(number, uid int) string { return fmt.Sprintf(`* %d FETCH (FLAGS (\Seen) UID %d)`, number, uid) }
	last := stretch{12, math.MaxUint32}
	tests := []struct {
		name     string
		messages int64 // as Status told
		validity int
		exists   int
		page     string
		told     []string
		new      []string // the answer to what is asked for new ones
		more     func(p *peer)
		uids     []uint32
		full     []uint32
		gaps     []stretch
		cannot   bool
	}{
		{name: "nothing new", messages: 4, exists: 4, page: "1:4", told: []string{few(1, 2), few(2, 4), few(3, 6), few(4, 8)}, new: []string{full(4, 8)},
			uids: []uint32{2, 4, 6, 8}, full: []uint32{8}, gaps: []stretch{{1, 1}, {3, 3}, {5, 5}, {7, 7}, {9, math.MaxUint32}}},
		{name: "one gone and one new", messages: 4, exists: 4, page: "1:4", told: []string{few(2, 6), few(1, 4), few(4, 11), few(3, 8)}, new: []string{full(4, 11)},
			uids: []uint32{4, 6, 8, 11}, full: []uint32{11}, gaps: []stretch{{1, 3}, {5, 5}, {7, 7}, {9, 10}, last}},
		{name: "all gone", messages: 0, exists: 0, gaps: []stretch{{1, math.MaxUint32}}},
		{name: "one goes while it is told", messages: 4, exists: 4, page: "1:4", told: []string{few(1, 2), few(2, 4), few(3, 6), few(4, 8)}, new: []string{full(4, 8), "* 1 EXPUNGE"},
			more: func(p *peer) {
				p.answer("FETCH 1:3 "+fewItems, few(1, 4), few(2, 6), few(3, 8), "TAG OK x")
				p.answer("UID FETCH 10:* ", full(3, 8), "TAG OK x")
			}, uids: []uint32{4, 6, 8}, full: []uint32{8}, gaps: []stretch{{1, 3}, {5, 5}, {7, 7}, {9, math.MaxUint32}}},
		{name: "one comes after all has been asked for", messages: 4, exists: 5, page: "1:4", told: []string{few(1, 2), few(2, 4), few(3, 6), few(4, 8)}, new: []string{full(5, 11)},
			more: func(p *peer) {
				p.answer("FETCH 5:5 "+fewItems, few(5, 11), "TAG OK x")
				p.answer("UID FETCH 10:* ", full(5, 11), "TAG OK x")
			}, uids: []uint32{2, 4, 6, 8, 11}, full: []uint32{11}, gaps: []stretch{{1, 1}, {3, 3}, {5, 5}, {7, 7}, {9, 10}, last}},
		{name: "a new one is told of no more than its flags", messages: 2, exists: 2, page: "1:2", told: []string{few(1, 2), few(2, 11)},
			more: func(p *peer) { p.answer("FETCH 2:2 "+allItems, full(2, 11), "TAG OK x") },
			uids: []uint32{2, 11}, full: []uint32{11}, gaps: []stretch{{1, 1}, {3, 10}, last}},
		{name: "one is not told of at first", messages: 2, exists: 2, page: "1:2", told: []string{few(2, 11)}, new: []string{full(2, 11)},
			more: func(p *peer) { p.answer("FETCH 1 "+allItems, full(1, 2), "TAG OK x") },
			uids: []uint32{2, 11}, full: []uint32{2, 11}, gaps: []stretch{{1, 1}, {3, 10}, last}},
		{name: "numbered anew", messages: 1, validity: 78, exists: 1, page: "1:1", told: []string{few(1, 2)}, cannot: true},
	}
	for _, test := range tests {
		for _, ahead := range []bool{false, true} {
			if ahead && (test.more != nil || test.exists == 0 || test.cannot) {
				continue // what was learnt ahead is then asked for in its turn
			}
			t.Run(fmt.Sprintf("%s, ahead %v", test.name, ahead), func(t *testing.T) {
				cfg := serve(t, func(p *peer) {
					p.greet("")
					p.answer("LIST", `* LIST () "/" INBOX`, `* LIST () "/" Work`, "TAG OK x")
					p.answer("LSUB", "TAG OK x")
					commands := []string{"EXAMINE"}
					if test.page != "" {
						commands = append(commands, "FETCH "+test.page+" "+fewItems, "UID FETCH 10:* "+allItems)
					}
					if ahead {
						commands = append(commands, `EXAMINE "Work"`, "FETCH 1:1 "+fewItems, "UID FETCH 3:* "+allItems)
					}
					var tags []string
					for _, command := range commands {
						tag, _ := p.expect(command)
						tags = append(tags, tag+" OK x")
					}
					if test.validity == 0 {
						test.validity = 77
					}
					p.say(fmt.Sprintf("* %d EXISTS", test.exists), fmt.Sprintf("* OK [UIDVALIDITY %d]", test.validity), "* OK [UIDNEXT 12]", tags[0])
					if test.page != "" {
						p.say(append(test.told, tags[1])...)
						p.say(append(test.new, tags[2])...)
					}
					if ahead {
						p.say("* 1 EXISTS", "* OK [UIDVALIDITY 5]", "* OK [UIDNEXT 3]", tags[3], few(1, 2), tags[4], full(1, 2), tags[5])
					}
					if test.more != nil {
						test.more(p)
					}
					p.bye()
				})
				s := open(t, cfg, true)
				if _, err := s.Mailboxes(t.Context()); err != nil {
					t.Fatal(err)
				}
				if ahead {
					work := migrate.Status{Messages: 1, UIDValidity: 5, UIDNext: 3}
					s.ListAhead(t.Context(), []migrate.Listing{{Mailbox: "INBOX", Since: &since, Now: migrate.Status{Messages: test.messages}}, {Mailbox: "Work", Since: &work, Now: work}})
				}
				s.counts["INBOX"] = test.messages
				got, err := readChanges(s, "INBOX", since)
				if test.cannot {
					if !errors.Is(err, migrate.ErrCannotTell) || len(got.messages) > 0 {
						t.Errorf("%+v, %v", got, err)
					}
					return
				}
				if err != nil {
					t.Fatal(err)
				}
				var full []uint32
				for _, m := range got.messages {
					if m.Size == 8 && !m.InternalDate.IsZero() {
						full = append(full, m.Key.UID)
					}
					if m.Key.Validity != 77 || !m.Flags.Has(`\Seen`) {
						t.Errorf("%+v", m)
					}
				}
				if diff := cmp.Diff(test.uids, got.uids()) + cmp.Diff(test.full, full) + cmp.Diff(test.gaps, got.gaps, cmp.AllowUnexported(stretch{})); diff != "" {
					t.Error(diff)
				}
				if got.there != int64(len(test.uids)) {
					t.Errorf("%d messages are there, it says", got.there)
				}
			})
		}
	}
}
