package migrate_test

import (
	"context"
	"fmt"
	"sync/atomic"
	"testing"

	"github.com/google/go-cmp/cmp"

	"postcask/migrate"
	"postcask/migrate/memory"
)

// letter gives the octets of one message.
func letter(n int) []byte {
	return fmt.Appendf(nil, "Subject: %d\r\nMessage-ID: <%d@example.org>\r\n\r\nbody %d\r\n", n, n, n)
}

func putLetters(s *memory.Store, numbers ...int) {
	for _, n := range numbers {
		s.Put("INBOX", migrate.Message{InternalDate: day, Flags: migrate.NewFlags(`\Seen`)}, letter(n))
	}
}

func letterTexts(numbers ...int) *memory.Store {
	s := memory.New()
	putLetters(s, numbers...)
	return s
}

// The destination is listed only where it may hold something that did not come by the ledger; whatever has happened
// between two runs, each message is there once.
func TestADestinationThatNobodyElseFillsIsNotListed(t *testing.T) {
	drop := func(s *memory.Store, places ...int) {
		keys := keysOf(s, "INBOX")
		for _, i := range places {
			s.Remove("INBOX", keys[i])
		}
	}
	tests := []struct {
		name    string
		between func(from, to *memory.Store, ledger *memory.Ledger, run func())
		listed  bool
		again   bool  // by the run after as well, since more was not clear
		want    []int // in the end, beside what somebody else has put there
	}{
		{name: "new ones only", between: func(from, to *memory.Store, _ *memory.Ledger, _ func()) { putLetters(from, 4) }, want: []int{1, 2, 3, 4}},
		{name: "what somebody has put there is the new one", listed: true, want: []int{1, 2, 3, 4},
			between: func(from, to *memory.Store, _ *memory.Ledger, _ func()) { putLetters(from, 4); putLetters(to, 4) }},
		{name: "one put there and one deleted", listed: true, want: []int{2, 3, 4},
			between: func(from, to *memory.Store, _ *memory.Ledger, _ func()) {
				putLetters(from, 4)
				drop(to, 0)
				putLetters(to, 4)
			}},
		{name: "one deleted there", want: []int{2, 3, 4},
			between: func(from, to *memory.Store, _ *memory.Ledger, _ func()) { putLetters(from, 4); drop(to, 0) }},
		{name: "one comes back under another key", want: []int{1, 2, 3, 4},
			between: func(from, to *memory.Store, _ *memory.Ledger, _ func()) { drop(from, 1); putLetters(from, 2, 4) }},
		{name: "one comes back, and its copy is gone", listed: true, again: true, want: []int{1, 2, 3, 4},
			between: func(from, to *memory.Store, _ *memory.Ledger, _ func()) {
				drop(from, 1)
				drop(to, 1)
				putLetters(from, 2, 4)
			}},
		{name: "one comes back, and another copy is gone", listed: true, want: []int{2, 3, 4},
			between: func(from, to *memory.Store, _ *memory.Ledger, _ func()) {
				drop(from, 1)
				drop(to, 0)
				putLetters(from, 2, 4)
			}},
		{name: "the destination counts anew", listed: true, again: true, want: []int{1, 2, 3, 4},
			between: func(from, to *memory.Store, _ *memory.Ledger, _ func()) { to.Renumber("INBOX"); putLetters(from, 4) }},
		{name: "the source counts anew", want: []int{1, 2, 3, 4},
			between: func(from, to *memory.Store, _ *memory.Ledger, _ func()) { from.Renumber("INBOX"); putLetters(from, 4) }},
		{name: "UIDs of the source go down", listed: true, again: true, want: []int{1, 2, 3, 4},
			between: func(from, to *memory.Store, _ *memory.Ledger, _ func()) {
				drop(from, 0, 1)
				from.CountFrom("INBOX", 1)
				putLetters(from, 4)
			}},
		{name: "a key of the source names another message", listed: true, want: []int{1, 2, 3, 4, 5},
			between: func(from, to *memory.Store, _ *memory.Ledger, run func()) {
				from.Replace("INBOX", keysOf(from, "INBOX")[0], migrate.Message{InternalDate: day.AddDate(1, 0, 0)}, letter(5))
				run()
				putLetters(from, 1, 4)
			}},
		{name: "a message was sent and not answered for", listed: true, again: true, want: []int{1, 2, 3, 4},
			between: func(from, to *memory.Store, ledger *memory.Ledger, _ func()) {
				putLetters(from, 4)
				key := keysOf(from, "INBOX")[3]
				ledger.Intend(context.Background(), "INBOX", []migrate.Entry{{Key: key, Mailbox: "INBOX", Place: migrate.Key{Validity: keysOf(to, "INBOX")[0].Validity, UID: 4}}})
				putLetters(to, 4)
			}},
	}
	for _, test := range tests {
		for _, lanes := range []int{1, 3} {
			t.Run(fmt.Sprint(test.name, lanes), func(t *testing.T) {
				from, to, ledger := letterTexts(1, 2, 3), memory.New(), &memory.Ledger{}
				j := job(from, to, ledger)
				j.Options.Lanes = lanes
				mustRun(t, j)
				test.between(from, to, ledger, func() { mustRun(t, j) })
				var listings atomic.Int64
				to.Step = func(operation string) error {
					if operation == "messages" {
						listings.Add(1)
					}
					return nil
				}
				mustRun(t, j)
				if (listings.Load() > 0) != test.listed {
					t.Errorf("the destination was listed: %v", !test.listed)
				}
				if diff := cmp.Diff(octetsIn(letterTexts(test.want...), "INBOX"), octetsIn(to, "INBOX")); diff != "" {
					t.Error(diff)
				}
				putLetters(from, 9)
				before := listings.Load()
				if last := mustRun(t, j); last.Copied != 1 {
					t.Errorf("the run after: %+v", last)
				}
				if again := listings.Load() > before; again != test.again {
					t.Errorf("listed by the run after: %v", again)
				}
			})
		}
	}
}

// Nobody answers for a mailbox that holds what did not come by the ledger.
func TestADestinationWithMailOfItsOwnIsListed(t *testing.T) {
	from, to, ledger := letterTexts(1, 2), letterTexts(8), &memory.Ledger{}
	j := job(from, to, ledger)
	mustRun(t, j)
	putLetters(from, 8)
	if summary := mustRun(t, j); summary.Copied != 0 || summary.Present != 3 {
		t.Errorf("%+v", summary)
	}
	if diff := cmp.Diff(octetsIn(letterTexts(1, 2, 8), "INBOX"), octetsIn(to, "INBOX")); diff != "" {
		t.Error(diff)
	}
}
