package migrate_test

import (
	"context"
	"fmt"
	"iter"
	"slices"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"postcask/migrate"
	"postcask/migrate/memory"
)

// foresight is what the Foreseers of a run were told, and how well that was.
type foresight struct {
	listed  atomic.Int64 // mailboxes told of
	fetched atomic.Int64 // fetches that were told of
	blind   atomic.Int64 // that were not
	wasted  atomic.Int64 // told of, and something else was asked for
	opened  atomic.Int64
	most    atomic.Int64 // fetches told of at a time
}

type foreseer struct {
	*memory.Session
	*foresight
	coming []string
}

func asked(mbox migrate.Path, messages []migrate.Message) string {
	return fmt.Sprint(mbox, messages[0].Key, len(messages))
}

func (f *foreseer) ListAhead(_ context.Context, next []migrate.Listing) {
	f.listed.Add(int64(len(next)))
}

func (f *foreseer) FetchAhead(_ context.Context, mbox migrate.Path, messages []migrate.Message) {
	f.coming = append(f.coming, asked(mbox, messages))
	if n := int64(len(f.coming)); n > f.most.Load() { // lanes may overtake each other, but not by much
		f.most.Store(n)
	}
}

func (f *foreseer) Fetch(ctx context.Context, mbox migrate.Path, messages []migrate.Message) iter.Seq2[migrate.Fetched, error] {
	switch {
	case len(f.coming) == 0:
		f.blind.Add(1)
	case f.coming[0] == asked(mbox, messages):
		f.fetched.Add(1)
		f.coming = f.coming[1:]
	default:
		f.wasted.Add(1)
		f.coming = nil
	}
	return f.Session.Fetch(ctx, mbox, messages)
}

func foreseen(from, to *memory.Store, ledger migrate.Ledger, told *foresight) migrate.Job {
	j := job(from, to, ledger)
	j.OpenSource = func(ctx context.Context) (migrate.Source, error) {
		told.opened.Add(1)
		session, err := from.Open(ctx)
		return &foreseer{Session: session, foresight: told}, err
	}
	return j
}

func manyFolders(folders int) *memory.Store { return fullFolders(folders, 3) }

func fullFolders(folders, each int) *memory.Store {
	s := memory.New()
	for i := range folders {
		for n := range each {
			s.Put(migrate.Path(fmt.Sprintf("Folder %02d", i)), migrate.Message{InternalDate: day}, fmt.Appendf(nil, "Subject: %d in %d\r\n\r\nx\r\n", n, i))
		}
	}
	return s
}

func TestTheSourceIsToldWhatComes(t *testing.T) {
	const folders = 40
	for _, lanes := range []int{1, 4} {
		from, to, told := manyFolders(folders), memory.New(), &foresight{}
		ledger := &memory.Ledger{}
		j := foreseen(from, to, ledger, told)
		j.Options.Lanes = lanes
		if summary := mustRun(t, j); summary.Copied != 3*folders {
			t.Errorf("%+v", summary)
		}
		same(t, to, from)
		if told.listed.Load() != folders+1 || // INBOX is there as well
			told.blind.Load() > 0 || told.wasted.Load() > 0 {
			t.Errorf("%d lanes: told of %d mailboxes; fetched %d groups told of, %d others, %d otherwise than told",
				lanes, told.listed.Load(), told.fetched.Load(), told.blind.Load(), told.wasted.Load())
		}
		if lanes > 1 && told.opened.Load() < 2 {
			t.Errorf("with so much to do there is one connection")
		}
		if again := mustRun(t, j); again.Present != 3*folders || again.Copied != 0 {
			t.Errorf("again: %+v", again)
		}
	}
}

// onDisk is a store as an archive is one: its sinks do not number what they take in.
type onDisk struct{ *memory.Session }

// Next hides that of the session.
func (onDisk) Next() {}

// Where there is enough for everybody, a server brings the next group while the disk is busy with the one before, however
// large they are; where a server is the destination, that would only keep it from the other lanes.
func TestTheNextGroupComesWhileTheDiskIsBusy(t *testing.T) {
	const folders, each = 8, 200 // each of them worth a lane
	for _, atOnce := range []int64{2, 1} {
		synctest.Test(t, func(t *testing.T) {
			from, to, told := fullFolders(folders, each), memory.New(), &foresight{}
			to.Step = func(operation string) error {
				if operation == "append" {
					time.Sleep(time.Millisecond) // so that all that there is to do waits for a lane
				}
				return nil
			}
			j := foreseen(from, to, &memory.Ledger{}, told)
			j.Options.Lanes = 2
			if atOnce == 2 {
				j.OpenSink = func(ctx context.Context) (migrate.Sink, error) {
					session, err := to.Open(ctx)
					return onDisk{Session: session}, err
				}
			}
			if summary := mustRun(t, j); summary.Copied != folders*each {
				t.Errorf("%+v", summary)
			}
			same(t, to, from)
			if n := told.most.Load(); n != atOnce || told.blind.Load() > 0 || told.wasted.Load() > 0 {
				t.Errorf("told of %d groups at a time, not %d; fetched %d others, %d otherwise than told",
					n, atOnce, told.blind.Load(), told.wasted.Load())
			}
		})
	}
}

// What may be at the destination already is not asked for ahead: most of it is never read.
func TestNothingIsAskedForAheadThatMayBeThere(t *testing.T) {
	from, to, told := manyFolders(5), manyFolders(5), &foresight{}
	if summary := mustRun(t, foreseen(from, to, &memory.Ledger{}, told)); summary.Copied != 0 || summary.Present != 15 {
		t.Errorf("%+v", summary)
	}
	if told.wasted.Load()+told.fetched.Load() > 0 {
		t.Errorf("asked for ahead: %d, and wasted: %d", told.fetched.Load(), told.wasted.Load())
	}
}

// A run that is done does not wait for a connection that it does not need, such as one that the server leaves hanging.
func TestNobodyWaitsForAConnectionThatIsNotNeeded(t *testing.T) {
	from, to, told := manyFolders(30), memory.New(), &foresight{}
	j := foreseen(from, to, &memory.Ledger{}, told)
	j.Options.Lanes = 4
	open := j.OpenSource
	j.OpenSource = func(ctx context.Context) (migrate.Source, error) {
		if told.opened.Load() > 0 {
			<-ctx.Done()
			return nil, context.Cause(ctx)
		}
		return open(ctx)
	}
	var retries []error
	j.Options.Report = func(e migrate.Event) {
		if e.Type == migrate.EventRetry {
			retries = append(retries, e.Err)
		}
	}
	if summary := mustRun(t, j); summary.Copied != 90 || len(retries) > 0 {
		t.Errorf("%+v, %v", summary, slices.Collect(slices.Values(retries)))
	}
}
