package migrate_test

import (
	"context"
	"fmt"
	"iter"
	"slices"
	"strings"
	"sync/atomic"
	"testing"

	"postcask/migrate"
	"postcask/migrate/memory"
)

// A renumbering session tells, as IMAP does, when a message that is asked for was listed under another UIDVALIDITY.
type renumbering struct {
	*memory.Session
	store *memory.Store
	after func() // called when the first body was read
}

func (r *renumbering) Fetch(ctx context.Context, path migrate.Path, messages []migrate.Message) iter.Seq2[migrate.Fetched, error] {
	return func(yield func(migrate.Fetched, error) bool) {
		for i, m := range messages {
			if !slices.ContainsFunc(r.store.Messages(path), func(have memory.Stored) bool { return have.Key.Validity == m.Key.Validity }) {
				yield(migrate.Fetched{}, &migrate.Error{Kind: migrate.Unavailable, Mailbox: path, Err: migrate.ErrRenumbered})
				return
			}
			for f, err := range r.Session.Fetch(ctx, path, messages[i:i+1]) {
				if !yield(f, err) || err != nil {
					return
				}
			}
			r.after()
		}
	}
}

func renumberingJob(from, to *memory.Store, after func()) migrate.Job {
	j := job(from, to, &memory.Ledger{})
	j.OpenSource = func(ctx context.Context) (migrate.Source, error) {
		session, err := from.Open(ctx)
		return &renumbering{session, from, after}, err
	}
	return j
}

func TestAMailboxThatIsNumberedAnewWhileItMovesIsTakenAnewInTheSameRun(t *testing.T) {
	for _, lanes := range []int{1, 3} {
		from, to := filled(), memory.New()
		var read atomic.Int64 // by all lanes
		j := renumberingJob(from, to, func() {
			if read.Add(1) == 3 {
				from.Renumber("INBOX")
				from.Renumber("Sent")
			}
		})
		j.Options.Lanes = lanes
		summary := mustRun(t, j)
		if summary.Messages != 15 || summary.Copied+summary.Present != 15 || summary.MailboxesFailed != 0 {
			t.Errorf("%d lanes: %+v", lanes, summary)
		}
		same(t, to, from)
		if again := mustRun(t, j); again.Present != 15 {
			t.Errorf("the run after: %+v", again)
		}
	}
}

func TestAMailboxThatIsNumberedAnewAgainAndAgainIsLeftToTheNextRun(t *testing.T) {
	from, to := filled(), memory.New()
	j := renumberingJob(from, to, func() { from.Renumber("INBOX") })
	summary := mustRun(t, j)
	if summary.MailboxesFailed != 1 || summary.Copied != 10 {
		t.Errorf("%+v", summary)
	}
	j.OpenSource = func(ctx context.Context) (migrate.Source, error) { return from.Open(ctx) }
	if again := mustRun(t, j); again.Messages != 15 || again.MailboxesFailed != 0 {
		t.Errorf("the run after: %+v", again)
	}
	same(t, to, from)
}

// A message that was listed and then not given is told of by name, and the exit status says that the run is not whole.
func TestAMessageThatVanishesBetweenListAndFetchIsTold(t *testing.T) {
	from, to := filled(), memory.New()
	gone := from.Messages("INBOX")[1].Key
	from.Step = func(operation string) error {
		if operation == "fetch" {
			from.Remove("INBOX", gone)
		}
		return nil
	}
	j := job(from, to, &memory.Ledger{})
	var told []migrate.Key
	j.Options.Report = func(e migrate.Event) {
		if e.Outcome == migrate.Left {
			told = append(told, e.Message.Key)
		}
	}
	summary := mustRun(t, j)
	if summary.Copied != 14 || summary.Failed != 1 || len(told) != 1 || told[0] != gone {
		t.Errorf("%+v, told of %v", summary, told)
	}
	from.Step = nil
	same(t, to, from)
}

// Very many new messages are not held in memory until it is known which old ones have gone: they are listed once more.
// What has come back under a new key takes the old place over, wherever among the new ones it is.
func TestVeryManyNewMessagesAfterSomeHaveGone(t *testing.T) {
	for name, tells := range map[string]bool{"a source that lists all": false, "one that tells what has changed": true} {
		t.Run(name, func(t *testing.T) {
			const news = 10_500
			letter := func(i int) []byte {
				return fmt.Appendf(nil, "Subject: %d\r\n\r\n%s\r\n", i, strings.Repeat("x", 1000/(i+1)))
			}
			from, to := memory.New(), memory.New()
			var keys []migrate.Key
			for i := range 5 {
				keys = append(keys, from.Put("INBOX", migrate.Message{InternalDate: day}, letter(i)))
			}
			log := &changes{seq: 5}
			listed, asked := 0, 0
			j := job(from, to, &memory.Ledger{})
			j.OpenSource = func(ctx context.Context) (migrate.Source, error) {
				session, err := from.Open(ctx)
				return &changing{Session: session, store: from, log: log, listed: &listed, asked: &asked, cannotTell: !tells}, err
			}
			mustRun(t, j)
			from.Remove("INBOX", keys[1], keys[3])
			for i := range news {
				from.Put("INBOX", migrate.Message{InternalDate: day}, letter(100+i))
			}
			from.Put("INBOX", migrate.Message{InternalDate: day}, letter(3)) // once more
			log.seq, log.gone = 6, []migrate.Key{keys[1], keys[3]}
			listed = 0
			if summary := mustRun(t, j); summary.Messages != 3+news+1 || summary.Copied != news || summary.Present != 4 || summary.Mailboxes != 1 {
				t.Errorf("%+v", summary)
			}
			if listed != 2 {
				t.Errorf("listed %d times, not twice", listed)
			}
			if got := len(to.Messages("INBOX")); got != 5+news {
				t.Errorf("%d messages at the destination, not %d", got, 5+news)
			}
			if summary := mustRun(t, j); summary.Present != 3+news+1 || summary.Copied != 0 {
				t.Errorf("afterwards: %+v", summary)
			}
		})
	}
}
