package migrate_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"postcask/migrate"
	"postcask/migrate/memory"
)

// TestLostAnswersForTwoMailboxesThatBecomeOne cuts the destination at step n, for every n, while the first of two
// mailboxes goes into one of the destination, and at step m, for every m, while the second does: what became of either
// is found among what became of both. Where a server changes what it takes and nothing names the messages, they may be
// there twice, and that is told; none is ever missing.
func TestLostAnswersForTwoMailboxesThatBecomeOne(t *testing.T) {
	for name, test := range map[string]struct {
		rewrite func([]byte) []byte // nil: none
		withID  bool
		lanes   int
	}{
		"as sent":                            {nil, true, 1},
		"as sent, without Message-ID":        {nil, false, 1},
		"as sent, three lanes":               {nil, true, 3},
		"changed":                            {changed["8-bit headers are encoded"], true, 1},
		"changed to the same size":           {changed["NUL becomes 0x80"], true, 1},
		"changed, without Message-ID":        {changed["a trace field is put on top"], false, 1},
		"changed, three lanes":               {changed["8-bit headers are encoded"], true, 3},
		"the same size, without Message-ID":  {changed["NUL becomes 0x80"], false, 1},
		"changed, no Message-ID, both ways ": {changed["the body is encoded anew too"], false, 3},
	} {
		t.Run(name, func(t *testing.T) {
			c := &twoIntoOne{rewrite: test.rewrite, withID: test.withID, lanes: test.lanes, exact: test.rewrite == nil}
			if c.exact {
				c.rewrite = asSent
			}
			for n := 1; ; n++ {
				for m := 1; ; m++ {
					first, second := c.cut(t, n, m)
					if t.Failed() {
						t.Fatalf("cut at step %d and step %d", n, m)
					}
					if !first {
						if n < 5 {
							t.Fatalf("only %d steps", n)
						}
						return
					}
					if !second {
						break
					}
				}
			}
		})
	}
}

type twoIntoOne struct {
	rewrite func([]byte) []byte
	withID  bool
	lanes   int
	exact   bool // the server keeps octets as they are
}

// cut tells which of the two cuts came about.
func (c *twoIntoOne) cut(t *testing.T, n, m int) (first, second bool) {
	from, to, ledger := memory.New(), memory.New(), &memory.Ledger{}
	to.Rewrite = c.rewrite
	to.Put("All", migrate.Message{}, c.rewrite([]byte("Subject: m\xe4il 0\r\n\r\nbody \x00 of neither\r\n")))
	var want []string
	for _, box := range []migrate.Path{"One", "Two"} {
		for i := range 3 {
			// The first is in both, to the octet; the others share no more than the Message-ID.
			octets := fmt.Sprintf("Subject: m\xe4il %d\r\n\r\nbody \x00%s\r\n", i, strings.Repeat(string(box), i))
			if c.withID {
				octets = fmt.Sprintf("Message-ID: <%d@example.org>\r\n", i) + octets
			}
			from.Put(box, migrate.Message{InternalDate: day}, []byte(octets))
			want = append(want, string(c.rewrite([]byte(octets))))
		}
	}
	j := job(from, to, ledger)
	j.Options.Mapping.Moves = []migrate.Move{{From: "One", To: "All"}, {From: "Two", To: "All"}}
	j.Options.Lanes = c.lanes
	unsure := int64(0)
	run := func(step int, boxes ...string) (broke bool) {
		j.Options.Filter = migrate.Filter{}
		for _, box := range boxes {
			j.Options.Filter.Rules = append(j.Options.Filter.Rules, migrate.NewRule(box, false))
		}
		var mu sync.Mutex
		count := 0
		to.Step = func(string) error {
			mu.Lock()
			defer mu.Unlock()
			if count++; count >= step {
				broke = true
				return errors.New("dead")
			}
			return nil
		}
		summary, err := migrate.Run(t.Context(), j)
		unsure += summary.Unsure
		if (err != nil) != broke {
			t.Errorf("%v: %+v, %v", boxes, summary, err)
		}
		return broke
	}
	const never = 1 << 30
	first, second = run(n, "One"), run(m, "Two")
	run(never, "One", "Two")
	j.Options.Filter = migrate.Filter{}
	if again := mustRun(t, j); again.Copied != 0 || again.Unsure != 0 {
		t.Errorf("the run after: %+v", again)
	}
	got := octetsIn(to, "All")
	got = slices.DeleteFunc(got, func(octets string) bool { return strings.Contains(octets, "of neither") })
	slices.Sort(want)
	twice := 0
	for _, octets := range want {
		i := slices.Index(got, octets)
		if i < 0 {
			t.Errorf("missing: %q, of %q", octets, got)
			return
		}
		got = slices.Delete(got, i, i+1)
	}
	if twice = len(got); twice > 0 && (c.exact || unsure < int64(twice)) {
		t.Errorf("there twice: %q; %d were told", got, unsure)
	}
	return first, second
}

// slowRetirer takes its time before anything is retired.
type slowRetirer struct {
	*memory.Ledger
	pause time.Duration
}

func (l *slowRetirer) Retire(ctx context.Context, mbox migrate.Path, keys []migrate.Key) error {
	time.Sleep(l.pause)
	return l.Ledger.Retire(ctx, mbox, keys)
}

// A mailbox is numbered anew while lanes move another one to the same place: its messages are found there, however long it
// takes to note that the old numbers are worth nothing.
func TestARenumberedMailboxBesideAnotherIntoOne(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		from, to, ledger := memory.New(), memory.New(), &slowRetirer{Ledger: &memory.Ledger{}}
		for i := range 10 {
			from.Put("Z", migrate.Message{InternalDate: day}, letter(i))
		}
		from.Put("A", migrate.Message{InternalDate: day}, letter(100))
		j := job(from, to, ledger)
		j.Options.Mapping.Moves = []migrate.Move{{From: "A", To: "X"}, {From: "Z", To: "X"}}
		j.Options.Lanes = 3
		mustRun(t, j)
		from.Renumber("Z")
		for i := range 6000 {
			from.Put("A", migrate.Message{InternalDate: day}, fmt.Appendf(nil, "Subject: more %d\r\n\r\nbody\r\n", i))
		}
		ledger.pause = time.Minute
		mustRun(t, j)
		if got := len(to.Messages("X")); got != 6011 {
			t.Errorf("%d messages arrived, not 6011", got)
		}
	})
}

// A server gives UIDs anew in a mailbox that goes where another one's messages were just looked up.
func TestARecountedMailboxBesideAnotherIntoOne(t *testing.T) {
	from, to, ledger := memory.New(), memory.New(), &memory.Ledger{}
	for i := range 10 {
		from.Put("Z", migrate.Message{InternalDate: day}, letter(i))
	}
	from.Put("A", migrate.Message{InternalDate: day}, letter(100))
	j := job(from, to, ledger)
	j.Options.Mapping.Moves = []migrate.Move{{From: "A", To: "X"}, {From: "Z", To: "X"}}
	mustRun(t, j)
	keys := keysOf(from, "Z")
	from.Remove("Z", keys[0], keys[1])
	from.CountFrom("Z", 1)
	from.Put("A", migrate.Message{InternalDate: day}, letter(101))
	summary := mustRun(t, j)
	if got := len(to.Messages("X")); got != 12 {
		t.Errorf("%d messages are there, not 12: %+v", got, summary.Counts)
	}
}
