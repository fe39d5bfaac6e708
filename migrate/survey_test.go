package migrate_test

import (
	"context"
	"fmt"
	"iter"
	"slices"
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
		read := 0
		j := renumberingJob(from, to, func() {
			if read++; read == 3 {
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

// A changing session remembers what changed, as a server with CONDSTORE does.
type changing struct {
	*memory.Session
	store         *memory.Store
	log           *changes
	listed, asked *int
	cannotTell    bool
}

type changes struct {
	seq     uint64
	changed map[migrate.Key]uint64
	gone    []migrate.Key
}

func (c *changing) Status(ctx context.Context, path migrate.Path) (migrate.Status, error) {
	status, err := c.Session.Status(ctx, path)
	status.HighestModSeq = c.log.seq
	return status, err
}

func (c *changing) Messages(ctx context.Context, path migrate.Path) iter.Seq2[migrate.Message, error] {
	*c.listed++
	return c.Session.Messages(ctx, path)
}

func (c *changing) Changes(ctx context.Context, path migrate.Path, since migrate.Status) iter.Seq2[migrate.Change, error] {
	*c.asked++
	return func(yield func(migrate.Change, error) bool) {
		if c.cannotTell {
			yield(migrate.Change{}, migrate.ErrCannotTell)
			return
		}
		for _, key := range c.log.gone {
			if !yield(migrate.Change{First: key.UID, Last: key.UID}, nil) {
				return
			}
		}
		for m, err := range c.Session.Messages(ctx, path) {
			if (err != nil || m.Key.UID >= since.UIDNext || c.log.changed[m.Key] > since.HighestModSeq) && !yield(migrate.Change{Message: m}, err) {
				return
			}
		}
	}
}

func TestOnlyWhatHasChangedIsListedWhereTheSourceCanTell(t *testing.T) {
	for _, cannotTell := range []bool{false, true} {
		t.Run(fmt.Sprintf("cannot tell %v", cannotTell), func(t *testing.T) {
			from, to := memory.New(), memory.New()
			for i := range 9 {
				from.Put("INBOX", migrate.Message{InternalDate: day}, fmt.Appendf(nil, "Subject: %d\r\n\r\nbody\r\n", i))
			}
			log := &changes{seq: 5, changed: map[migrate.Key]uint64{}}
			listed, asked := 0, 0
			j := job(from, to, &memory.Ledger{})
			j.OpenSource = func(ctx context.Context) (migrate.Source, error) {
				session, err := from.Open(ctx)
				return &changing{Session: session, store: from, log: log, listed: &listed, asked: &asked, cannotTell: cannotTell}, err
			}
			mustRun(t, j)
			if mustRun(t, j); listed != 1 || asked != 0 {
				t.Errorf("with nothing new: listed %d times, changes asked for %d times; want 1 and 0", listed, asked)
			}
			keys := from.Messages("INBOX")
			from.Put("INBOX", migrate.Message{InternalDate: day}, []byte("Subject: new\r\n\r\nbody\r\n"))
			from.SetFlags("INBOX", keys[2].Key, migrate.NewFlags(`\Flagged`))
			from.Remove("INBOX", keys[4].Key)
			log.seq, log.changed[keys[2].Key], log.gone = 8, 7, []migrate.Key{keys[4].Key}
			summary := mustRun(t, j)
			if summary.Messages != 9 || summary.Copied != 1 || summary.Present != 8 || summary.FlagsUpdated != 1 {
				t.Errorf("%+v", summary)
			}
			if wantListed := 1 + asked*map[bool]int{true: 1}[cannotTell]; asked != 1 || listed != wantListed {
				t.Errorf("listed %d times, changes asked for %d times", listed, asked)
			}
			if got := len(to.Messages("INBOX")); got != 10 { // with the one that the source lost
				t.Errorf("%d messages at the destination, want 10", got)
			}
			before := asked
			if again := mustRun(t, j); again.Present != 9 || asked != before {
				t.Errorf("the run after: %+v, changes asked for %d times more", again, asked-before)
			}
			// Flags alone have changed: as many messages as before, none has gone.
			log.seq, log.changed[keys[6].Key], log.gone = 9, 9, nil
			from.SetFlags("INBOX", keys[6].Key, migrate.NewFlags(`\Seen`))
			if again := mustRun(t, j); again.Present != 9 || again.FlagsUpdated != 1 {
				t.Errorf("after a change of flags: %+v", again)
			}
		})
	}
}
