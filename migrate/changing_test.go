package migrate_test

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"postcask/migrate"
	"postcask/migrate/memory"
)

// A source that counts its UIDs down, as when an older copy of the mailbox was put back, gives known UIDs to other
// messages, also where size and date are those of the message that had the UID before: octets decide, though the run
// is cut at step n of either end, for every n.
func TestASourceWhoseUIDNextGoesDown(t *testing.T) {
	for _, lanes := range []int{1, 3} {
		for n := 0; ; n++ {
			from, to, ledger := letters(5), memory.New(), &memory.Ledger{}
			var told []string
			j := job(from, to, ledger)
			j.Options.Lanes = lanes
			j.Options.Report = func(e migrate.Event) {
				if e.Type == migrate.EventWarning {
					told = append(told, e.Err.Error())
				}
			}
			mustRun(t, j)
			want := append(octetsIn(to, "INBOX"), string(letters(9).Messages("INBOX")[8].Octets))
			from.Remove("INBOX", keysOf(from, "INBOX")[:2]...)
			from.CountFrom("INBOX", 1)
			from.Put("INBOX", migrate.Message{InternalDate: day, Flags: migrate.NewFlags(`\Seen`)}, []byte(want[5]))
			var mu sync.Mutex
			step := 0
			from.Step = func(string) error {
				mu.Lock()
				defer mu.Unlock()
				if step++; step == n {
					return errors.New("dead")
				}
				return nil
			}
			to.Step = from.Step
			_, err := migrate.Run(t.Context(), j)
			over := n > 0 && step < n
			if (err != nil) != (n > 0 && !over) || len(told) == 0 && n == 0 {
				t.Errorf("%d lanes, cut at %d: %v, told %q", lanes, n, err, told)
			}
			from.Step, to.Step = nil, nil
			mustRun(t, j)
			if diff := cmp.Diff(want, octetsIn(to, "INBOX")); diff != "" {
				t.Fatalf("%d lanes, cut at %d: %s", lanes, n, diff)
			}
			told = nil
			if again := mustRun(t, j); again.Copied != 0 || again.Present != 4 || len(told) != 0 {
				t.Errorf("%d lanes, cut at %d: the run after: %+v, told %q", lanes, n, again, told)
			}
			if over {
				break
			}
		}
	}
}

// meddler does something at step n of an account's operations, as another client would.
func meddler(s *memory.Store, n int, meddle func()) (done func() bool) {
	var mu sync.Mutex
	step, over := 0, false
	s.Step = func(string) error {
		mu.Lock()
		defer mu.Unlock()
		if step++; step == n {
			over = true
			meddle()
		}
		return nil
	}
	return func() bool { mu.Lock(); defer mu.Unlock(); return over }
}

// TestAnotherClientAtEachStep has another client of the source put a message, take one away, change flags and make a
// mailbox at step n, for every n: nothing is half afterwards, and the next run completes it.
func TestAnotherClientAtEachStep(t *testing.T) {
	for _, lanes := range []int{1, 3} {
		for n := 1; ; n++ {
			from, to, ledger := filled(), memory.New(), &memory.Ledger{}
			gone := from.Messages("INBOX")[3]
			done := meddler(from, n, func() {
				from.Put("INBOX", migrate.Message{InternalDate: day}, []byte("Subject: new\r\n\r\n"))
				from.Remove("INBOX", gone.Key)
				from.SetFlags("Sent", from.Messages("Sent")[0].Key, migrate.NewFlags(`\Answered`))
				from.Put("New", migrate.Message{InternalDate: day}, []byte("Subject: in a new mailbox\r\n\r\n"))
			})
			j := job(from, to, ledger)
			j.Options.Lanes = lanes
			first := mustRun(t, j)
			if !done() {
				if n < 10 {
					t.Fatalf("only %d steps", n)
				}
				break
			}
			from.Step = nil
			second := mustRun(t, j)
			if second.Failed != 0 || second.Messages != 16 {
				t.Errorf("%d lanes, step %d: %+v", lanes, n, second)
			}
			to.Remove("INBOX", whose(to, "INBOX", gone.Octets)...) // it may have been copied before it went, or not
			from.Put("INBOX", gone.Message, gone.Octets)
			to.Put("INBOX", gone.Message, gone.Octets)
			for _, m := range from.Messages("INBOX") { // its twin was taken away above as well
				if string(m.Octets) == string(gone.Octets) && m.InternalDate != gone.InternalDate {
					to.Put("INBOX", m.Message, m.Octets)
				}
			}
			same(t, to, from)
			if t.Failed() {
				t.Fatalf("%d lanes, step %d: %+v, then %+v", lanes, n, first, second)
			}
		}
	}
}

// whose gives the keys of the messages of these octets.
func whose(s *memory.Store, path migrate.Path, octets []byte) (keys []migrate.Key) {
	for _, m := range s.Messages(path) {
		if string(m.Octets) == string(octets) {
			keys = append(keys, m.Key)
		}
	}
	return keys
}

// hiding is a session that does not show everything.
type hiding struct {
	*memory.Session
	lists  func(migrate.Mailbox) bool // whether a mailbox is listed
	empty  func(migrate.Path) bool    // whether it is shown without its messages
	refuse func(migrate.Path) error   // why it cannot be read
}

func (h *hiding) Mailboxes(ctx context.Context) (shown []migrate.Mailbox, err error) {
	all, err := h.Session.Mailboxes(ctx)
	for _, mbox := range all {
		if h.lists(mbox) {
			shown = append(shown, mbox)
		}
	}
	return shown, err
}

func (h *hiding) Messages(ctx context.Context, path migrate.Path) iter.Seq2[migrate.Message, error] {
	return func(yield func(migrate.Message, error) bool) {
		if err := h.refuse(path); err != nil {
			yield(migrate.Message{}, err)
		} else if !h.empty(path) {
			h.Session.Messages(ctx, path)(yield)
		}
	}
}

func (h *hiding) Fetch(ctx context.Context, path migrate.Path, messages []migrate.Message) iter.Seq2[migrate.Fetched, error] {
	return func(yield func(migrate.Fetched, error) bool) {
		if err := h.refuse(path); err != nil {
			yield(migrate.Fetched{}, err)
			return
		}
		h.Session.Fetch(ctx, path, messages)(yield)
	}
}

// show makes a job read its source through a hiding session; nil functions hide nothing.
func show(j migrate.Job, from *memory.Store, h hiding) migrate.Job {
	if h.lists == nil {
		h.lists = func(migrate.Mailbox) bool { return true }
	}
	if h.empty == nil {
		h.empty = func(migrate.Path) bool { return false }
	}
	if h.refuse == nil {
		h.refuse = func(migrate.Path) error { return nil }
	}
	open := func(ctx context.Context) (migrate.Source, error) {
		session, err := from.Open(ctx)
		shown := h
		shown.Session = session
		return &shown, err
	}
	j.OpenSource = open
	if j.Deletion != nil {
		j.Deletion.Open = func(ctx context.Context) (migrate.Source, error) { return from.Open(ctx) }
	}
	return j
}

// A source that by mistake lists few mailboxes, or shows them empty, takes nothing away: the destination stays as it
// is, nothing is deleted anywhere, and what is shown again later is known.
func TestASourceThatIsShownEmptyByMistake(t *testing.T) {
	for name, h := range map[string]hiding{
		"no mailbox is listed":       {lists: func(migrate.Mailbox) bool { return false }},
		"INBOX alone is listed":      {lists: func(mbox migrate.Mailbox) bool { return mbox.Path == "INBOX" }},
		"all mailboxes are empty":    {empty: func(migrate.Path) bool { return true }},
		"one mailbox is shown empty": {empty: func(path migrate.Path) bool { return path == "Sent" }},
	} {
		t.Run(name, func(t *testing.T) {
			from, to, ledger := filled(), memory.New(), &memory.Ledger{}
			mustRun(t, job(from, to, ledger))
			kept, source := contents(to), contents(from)
			j, keeper := deleting(from, to, ledger)
			j.Deletion.Age = 24 * time.Hour
			summary := mustRun(t, show(j, from, h))
			if summary.Copied != 0 || summary.Deleted != 0 || len(keeper.Noted) != 0 {
				t.Errorf("%+v", summary)
			}
			if diff := cmp.Diff(kept, contents(to)) + cmp.Diff(source, contents(from)); diff != "" {
				t.Error(diff)
			}
			if again := mustRun(t, job(from, to, ledger)); again.Copied != 0 || again.Present != 15 || again.FlagsUpdated != 0 {
				t.Errorf("when it is shown again: %+v", again)
			}
			same(t, to, from)
		})
	}
}

// A mailbox that another client deletes or renames after n of its operations, for every n, costs the others nothing, and
// the destination keeps what came. Under its new name the next run finds it whole.
func TestAMailboxThatGoesAwayMeanwhile(t *testing.T) {
	gone := &migrate.Error{Mailbox: "Sent", Err: errors.New("open mailbox: NO [NONEXISTENT] Mailbox doesn't exist")}
	for _, renamed := range []bool{false, true} {
		for n := 0; ; n++ {
			from, to, ledger := filled(), memory.New(), &memory.Ledger{}
			var mu sync.Mutex
			asked := 0
			j := job(from, to, ledger)
			first := mustRun(t, show(j, from, hiding{refuse: func(path migrate.Path) error {
				mu.Lock()
				defer mu.Unlock()
				if path == "Sent" {
					if asked++; asked > n {
						return gone
					}
				}
				return nil
			}}))
			if asked <= n {
				if n < 2 {
					t.Fatalf("only %d operations", n)
				}
				break
			}
			if first.MailboxesFailed != 1 || first.Copied < 10 || first.Copied+first.Failed != first.Messages {
				t.Errorf("gone after %d: %+v", n, first)
			}
			kept := len(to.Messages("Sent"))
			h := hiding{lists: func(mbox migrate.Mailbox) bool { return mbox.Path != "Sent" }}
			if renamed {
				for _, m := range from.Messages("Sent") {
					from.Put("Old sent mail", m.Message, m.Octets)
				}
			}
			second := mustRun(t, show(j, from, h))
			if second.MailboxesFailed != 0 || len(to.Messages("Sent")) != kept {
				t.Errorf("gone after %d: %d kept, %d after the next run; %+v", n, kept, len(to.Messages("Sent")), second)
			}
			if diff := cmp.Diff(fmt.Sprint(contents(from)["Old sent mail"]), fmt.Sprint(contents(to)["Old sent mail"])); diff != "" {
				t.Errorf("gone after %d: under its new name: %s", n, diff)
			}
		}
	}
}
