package imap

import (
	"errors"
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"postcask/migrate"
)

// TestWhatIsGoneIsTold asks servers with QRESYNC what has happened since a mailbox of the UIDs 1 to 9, of which 2 was gone
// already, stood at HIGHESTMODSEQ 50. They say it in the flight that opens the mailbox; where it does not add up, they are asked
// which are left.
func TestWhatIsGoneIsTold(t *testing.T) {
	since := migrate.Status{Messages: 8, UIDValidity: 77, UIDNext: 10, HighestModSeq: 50}
	row := func(number, uid int) string {
		return fmt.Sprintf(`* %d FETCH (UID %d FLAGS () INTERNALDATE "01-Jan-2020 00:00:00 +0000" RFC822.SIZE 8 MODSEQ (60))`, number, uid)
	}
	search := func(exists int, left string) func(*peer) {
		return func(p *peer) {
			p.answer(fmt.Sprintf("UID SEARCH RETURN (ALL) 1:%d", exists), `* ESEARCH (TAG "TAG") UID ALL `+left, "TAG OK x")
		}
	}
	from10, from13 := stretch{10, math.MaxUint32}, stretch{13, math.MaxUint32}
	tests := []struct {
		name         string
		enabled      []string // the answer to ENABLE; nil for that it is so
		without      bool     // then VANISHED is not asked for
		before       []string // what is said before the mailbox is open
		exists       int
		changed, new []string // BAD in place of the verdict where the first of them says so
		more         func(*peer)
		messages     []uint32
		gaps         []stretch
		there        int64
		lost         bool // the session
	}{
		{name: "one", exists: 7, changed: []string{"* VANISHED (EARLIER) 4"}, gaps: []stretch{{4, 4}, from10}, there: 7},
		{name: "none", exists: 8, changed: []string{row(3, 4)}, messages: []uint32{4}, gaps: []stretch{from10}, there: 8},
		{name: "none, though some that never were are said to be", exists: 8, changed: []string{"* VANISHED (EARLIER) 1:9"}, gaps: []stretch{from10}, there: 8},
		{name: "several, and what never was", exists: 5, changed: []string{"* VANISHED (EARLIER) 8:7,2:3", row(3, 5), "* vanished (earlier) 2"},
			messages: []uint32{5}, gaps: []stretch{{2, 3}, {7, 8}, from10}, there: 5},
		{name: "all", exists: 0, changed: []string{"* VANISHED (EARLIER) 1:4294967295"}, gaps: []stretch{{1, 9}, from10}, there: 0},
		{name: "a new one for an old one", exists: 8, changed: []string{"* VANISHED (EARLIER) 3"}, new: []string{row(8, 12)},
			messages: []uint32{12}, gaps: []stretch{{3, 3}, {10, 11}, from13}, there: 8},
		{name: "new ones that are gone again", exists: 8, changed: []string{"* VANISHED (EARLIER) 10:11"}, gaps: []stretch{from10}, there: 8},
		{name: "one was before and one goes just now", exists: 7, changed: []string{"* VANISHED (EARLIER) 4", "* VANISHED 6"},
			gaps: []stretch{{4, 4}, {6, 6}, from10}, there: 6},
		{name: "one goes behind what is new", exists: 9, new: []string{row(9, 12), "* VANISHED 5"},
			messages: []uint32{12}, gaps: []stretch{{5, 5}, {10, 11}, from13}, there: 8},
		{name: "one goes, told of as servers did that know no VANISHED", exists: 8, changed: []string{"* 3 EXPUNGE"},
			more: search(7, "1,3,5:9"), gaps: []stretch{{2, 2}, {4, 4}, from10}, there: 7},
		{name: "the mailbox before loses one", before: []string{"* VANISHED 1:3", "* OK [CLOSED] x"}, exists: 8, gaps: []stretch{from10}, there: 8},
		{name: "it forgets one", exists: 6, changed: []string{"* VANISHED (EARLIER) 4"}, more: search(6, "1,3,6:9"), gaps: []stretch{{2, 2}, {4, 5}, from10}, there: 6},
		{name: "it forgets all", exists: 7, more: search(7, "1,3,5:9"), gaps: []stretch{{2, 2}, {4, 4}, from10}, there: 7},
		{name: "there is one more than can be", exists: 9, more: search(9, "1:9"), gaps: []stretch{from10}, there: 9},
		{name: "what is gone makes no sense", exists: 7, changed: []string{"* VANISHED (EARLIER) 4:*"}, more: search(7, "1,3,5:9"), gaps: []stretch{{2, 2}, {4, 4}, from10}, there: 7},
		{name: "no set at all", exists: 7, changed: []string{"* VANISHED (EARLIER)", "* VANISHED (EARLIER) (4)"}, more: search(7, "1,3,5:9"), gaps: []stretch{{2, 2}, {4, 4}, from10}, there: 7},
		{name: "VANISHED is refused", exists: 7, changed: []string{"BAD"}, new: nil, more: func(p *peer) {
			p.examine("EXAMINE", 7, "* OK [UIDNEXT 13]", "* OK [HIGHESTMODSEQ 61]")
			p.answer("UID FETCH 1:9 "+allItems+" (CHANGEDSINCE 50)", "TAG OK x")
			p.answer("UID FETCH 10:*", "TAG OK x")
			search(7, "1,3,5:9")(p)
		}, gaps: []stretch{{2, 2}, {4, 4}, from10}, there: 7},
		{name: "ENABLE is refused", enabled: []string{"TAG BAD what?"}, without: true, exists: 7, changed: []string{"* VANISHED (EARLIER) 4"},
			more: search(7, "1,3,5:9"), gaps: []stretch{{2, 2}, {4, 4}, from10}, there: 7},
		{name: "ENABLE does nothing", enabled: []string{"TAG OK x"}, without: true, exists: 8, gaps: []stretch{from10}, there: 8},
		{name: "something else is enabled", enabled: []string{"* ENABLED CONDSTORE", "TAG OK x"}, without: true, exists: 8,
			changed: []string{"* VANISHED 1:8"}, gaps: []stretch{from10}, there: 8},
		{name: "more goes than there is", exists: 8, changed: []string{"* VANISHED 1:9"}, lost: true},
		{name: "everything goes, and more", exists: 8, changed: []string{"* VANISHED 1:4294967295"}, lost: true},
		{name: "nobody knows what goes", exists: 8, changed: []string{"* VANISHED"}, lost: true},
		{name: "an end that is none", exists: 8, changed: []string{"* VANISHED 5:*"}, lost: true},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			cfg := serve(t, func(p *peer) {
				p.greet("CONDSTORE QRESYNC ESEARCH")
				if test.enabled == nil {
					test.enabled = []string{"* ENABLED condstore QResync", "TAG OK x"}
				}
				p.answer("ENABLE QRESYNC", test.enabled...)
				p.answer("LIST", `* LIST () "/" INBOX`, "TAG OK x")
				p.answer("LSUB", "TAG OK x")
				vanished := " VANISHED"
				if test.without {
					vanished = ""
				}
				var tags []string
				for _, command := range []string{`EXAMINE "INBOX" (CONDSTORE)`, "UID FETCH 1:9 " + allItems + " (CHANGEDSINCE 50" + vanished + ")", "UID FETCH 10:* " + allItems} {
					tag, rest := p.expect(command)
					if tags = append(tags, tag); rest != "" {
						t.Errorf("%s, and %q", command, rest)
					}
				}
				p.say(test.before...)
				p.say(fmt.Sprintf("* %d EXISTS", test.exists), "* OK [UIDVALIDITY 77]", "* OK [UIDNEXT 13]", "* OK [HIGHESTMODSEQ 61]", tags[0]+" OK x")
				if slices.Equal(test.changed, []string{"BAD"}) {
					p.say(tags[1] + " BAD unknown modifier")
				} else {
					p.say(append(test.changed, tags[1]+" OK x")...)
				}
				p.say(append(test.new, tags[2]+" OK x")...)
				if test.more != nil {
					test.more(p)
				}
				p.bye()
			})
			s := open(t, cfg, true)
			if _, err := s.Mailboxes(t.Context()); err != nil {
				t.Fatal(err)
			}
			got, err := readChanges(s, "INBOX", since)
			if test.lost {
				if !errors.Is(err, errVanished) || !migrate.IsTemporary(err) || len(got.messages)+len(got.gaps) > 0 {
					t.Errorf("%+v, %v", got, err)
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(test.messages, got.uids()) + cmp.Diff(test.gaps, got.gaps, cmp.AllowUnexported(stretch{})); diff != "" {
				t.Error(diff)
			}
			if got.there != test.there {
				t.Errorf("%d messages, want %d", got.there, test.there)
			}
		})
	}
}

// A session that may write, or that has a mailbox open, is not asked to tell of what goes by UID.
func TestOnlyReadersEnableQRESYNC(t *testing.T) {
	for _, readOnly := range []bool{true, false} {
		cfg := serve(t, func(p *peer) {
			p.greet("CONDSTORE QRESYNC")
			if readOnly {
				p.examine("EXAMINE", 1)
			}
			p.answer("LIST", `* LIST () "/" INBOX`, "TAG OK x")
			p.answer("LSUB", "TAG OK x")
			p.bye()
		})
		s := open(t, cfg, readOnly)
		if readOnly {
			if err := s.open(t.Context(), "INBOX"); err != nil {
				t.Fatal(err)
			}
		}
		if _, err := s.Mailboxes(t.Context()); err != nil {
			t.Error(err)
		}
	}
}

// A listing keeps its place when messages go that a server names by their UIDs, whatever it says: none is passed by.
func TestMessagesWalkWhileMessagesVanish(t *testing.T) {
	const count = 2*stretchSize + 500
	uid := func(number int) uint32 { return uint32(number) * 900 }
	tests := []struct {
		name string
		gone []int // numbers of messages that go, while the first stretch is being read
		tell []string
		lost bool
	}{
		{name: "earlier ones", gone: []int{1, 2, 5}, tell: []string{"* VANISHED 900,1800", "* VANISHED 4500"}},
		{name: "later ones", gone: []int{3000, 3001}, tell: []string{"* VANISHED 2700000,2700900"}},
		{name: "the last that was listed and the one behind it", gone: []int{stretchSize, stretchSize + 1}, tell: []string{"* VANISHED 1800000,1800900"}},
		{name: "on both sides, by number and by UID", gone: []int{1, 7, 4000}, tell: []string{"* 1 EXPUNGE", "* VANISHED 3600000,6300"}},
		{name: "a stretch of UIDs most of which never were", gone: []int{1, 2}, tell: []string{"* VANISHED 900:1800", "* 4498 EXISTS"}},
		{name: "told of as long gone", tell: []string{"* VANISHED (EARLIER) 1:4294967295"}},
		{name: "all of them and more", tell: []string{"* VANISHED 1:4294967295"}, lost: true},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			c := &crowd{validity: 77, capabilities: "QRESYNC"}
			for i := range count {
				c.uids = append(c.uids, uid(i+1))
			}
			want := slices.Clone(c.uids)
			s := open(t, serve(t, c.play), true)
			if _, err := s.Mailboxes(t.Context()); err != nil {
				t.Fatal(err)
			}
			got, err := readListing(t, s, func(m migrate.Message) {
				if m.Key.UID != uid(9) {
					return
				}
				for _, number := range slices.Backward(test.gone) {
					c.uids = slices.DeleteFunc(c.uids, func(u uint32) bool { return u == uid(number) })
					if number > stretchSize {
						want = slices.DeleteFunc(want, func(u uint32) bool { return u == uid(number) })
					}
				}
				c.tell = test.tell
				_, err := fetched(t, s, []migrate.Message{m})
				if (err != nil) != test.lost {
					t.Error(err)
				}
			})
			if test.lost {
				if !migrate.IsTemporary(err) || !errors.Is(err, errVanished) {
					t.Error(err)
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			var uids []uint32
			for _, m := range got {
				uids = append(uids, m.Key.UID)
			}
			if !slices.Equal(uids, want) {
				t.Errorf("%d messages, not the %d that are there", len(uids), len(want))
			}
		})
	}
}

// Whatever goes, and whatever a server adds to it that never was, no message that is still to come lies before the place of a listing,
// and none that was listed behind it where the server names just what goes.
func TestNothingIsLeftBehindThePlaceOfAListing(t *testing.T) {
	seed := uint64(time.Now().UnixNano())
	random := rand.New(rand.NewPCG(seed, 0))
	for range 2000 {
		var uids []uint32
		for uid := uint32(1); len(uids) < 30; uid += 1 + random.Uint32N(4) {
			uids = append(uids, uid)
		}
		listed := 1 + random.IntN(len(uids))
		p := &place{next: uint32(listed + 1), reach: uids[listed-1]}
		exact := random.IntN(2) == 0
		var gone finding
		left, leftBefore := 0, 0
		for i, uid := range uids {
			switch {
			case random.IntN(3) == 0:
				end := uid
				if !exact { // and those behind it that never were
					for end+1 < math.MaxUint32 && random.IntN(2) == 0 && !slices.Contains(uids, end+1) {
						end++
					}
				}
				gone.set(fmt.Sprintf("%d:%d", end, uid))
			default:
				if left++; i < listed {
					leftBefore++
				}
			}
		}
		apart, _ := gone.all()
		p.vanish(apart)
		if n := int(p.next) - 1; n < 0 || n > leftBefore || exact && n != leftBefore {
			t.Fatalf("seed %d: %d of %v are left, %d of those that were listed, and the next is number %d", seed, left, uids, leftBefore, p.next)
		}
	}
}
