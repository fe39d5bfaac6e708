package migrate

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/time/rate"
)

// A Job is a pair of ends with what lies between them.
type Job struct {
	Source      End
	Destination End
	// OpenSource opens one more Source, one for each lane. The first lists before it moves messages.
	OpenSource func(ctx context.Context) (Source, error)
	// OpenSink opens one more Sink, one for each lane. It may be nil in a dry run, where the destination is not there yet.
	OpenSink func(ctx context.Context) (Sink, error)
	Ledger   Ledger // nil only where OpenSink is nil
	// Quarantine keeps what cannot move; without one it stays behind, and each run tries it again.
	Quarantine Quarantine
	Deletion   *Deletion // what is deleted at the source afterwards; nil for nothing
	Options    Options
}

// An End names an end to people, as in "source imap.example.org"; errors carry it.
type End string

// atEnd tells at which end an error arose.
func atEnd(end End, err error) error {
	if err == nil || end == "" || concerns(err, func(e *Error) bool { return e.End != "" }) {
		return err
	}
	return &Error{Kind: KindOf(err), End: string(end), Err: err}
}

// Options say how a run goes about it. The zero value is sensible.
type Options struct {
	Version     string // of this program; with another one, what was set aside is tried again
	DryRun      bool   // the same way, but it stops before the first write
	Filter      Filter
	Mapping     Mapping
	Lanes       int             // so many connections to each end at once, at most; 0 means 1
	LimitRate   int64           // octets a second over all lanes; 0 for no limit
	MaxOctets   int64           // stop, with kind Limit, once so many wire octets have moved; 0 for no limit
	MaxDuration time.Duration   // stop, with kind Limit, after this time; 0 for no limit
	Stop        <-chan struct{} // closed: finish what is in hand, record it, return ErrStopped
	Report      func(Event)     // is told of events, by one goroutine at a time; may be nil
	// MaxRetries is how often in a row, without any progress between, a lost connection is made again; 0 means
	// DefaultRetries, less than 0 never.
	MaxRetries int
	// Backoff says how long to wait before the attempt-th new connection in a row, from 1, where the server does not
	// ask for more. Nil: see backoff.
	Backoff func(attempt int) time.Duration
}

// ErrStopped is what Run returns when Options.Stop ended it: everything is in order, and another run goes on.
var ErrStopped = errors.New("stopped before the end")

// Run moves what the source has and the ledger does not know, one message exactly once, and returns what it came to,
// also beside an error. A message that cannot be read or is refused is counted as failed and the rest goes on; a lost
// connection is made again; an end that is lost for good, or refuses everything, ends the run. Whatever ended it,
// another Run with the same ledger goes on from there.
func Run(ctx context.Context, job Job) (Summary, error) {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	r := &run{Job: job, began: time.Now(), halted: make(chan struct{}), alone: make(chan struct{}), workedOff: make(chan struct{}), cancel: cancel,
		destinations: map[Path]*destination{}, sourceDoor: newDoor(), sinkDoor: newDoor()}
	r.Options.Lanes = max(1, job.Options.Lanes)
	if r.Options.Backoff == nil {
		r.Options.Backoff = backoff
	}
	if limit := job.Options.LimitRate; limit > 0 {
		r.limiter = rate.NewLimiter(rate.Limit(limit), int(min(limit, 1<<20)))
	}
	stop := r.watch(ctx)
	defer stop()

	err := r.all(ctx)
	if err == nil {
		err = r.balance(ctx)
	}
	if err == nil {
		err = r.remove(ctx)
	}
	if errors.Is(err, errHalted) {
		err = nil // haltReason tells why
	}
	r.forgetAll() // not where a lane has panicked: others may be at work then
	stop()
	r.summary.Elapsed = time.Since(r.began)
	return r.summary, cmp.Or(context.Cause(ctx), err, r.haltReason)
}

// A Panic is what Run panics with when one of its goroutines did.
type Panic struct {
	Value any
	Stack []byte // of that goroutine
}

func (p *Panic) String() string { return fmt.Sprint(p.Value) }

// run is the state of one Run.
type run struct {
	Job
	began     time.Time
	limiter   *rate.Limiter     // nil without a limit
	existed   map[Path]*Mailbox // the destination's mailboxes when the run began; nil where it cannot tell
	control   *lane             // lists, then moves like the others
	jobs      chan *group       // what the lanes take from
	waiting   atomic.Int64      // cost of what is in jobs
	lanes     sync.WaitGroup    // the others
	started   int               // of them
	opened    atomic.Int64      // of them: they take work
	passed    int               // mailboxes in a row that broke every connection
	workedOff chan struct{}     // closed: nothing waits for a lane any more
	closing   bool              // the other lanes have ended: what comes now is rare, and for the control lane alone

	sourceDoor, sinkDoor *door
	done                 atomic.Int64  // steps of progress
	appended             atomic.Int64  // octets
	creating             sync.Mutex    // one mailbox at a time: some servers lose one of two subscriptions made at once
	full                 atomic.Bool   // a lane gave up: there is no place for more
	alone                chan struct{} // closed: no other lane is left

	panics   sync.Once
	panicked *Panic

	mu           sync.Mutex
	destinations map[Path]*destination
	summary      Summary
	progress     Progress
	working      int      // lanes that have not given up
	handedBack   []*group // by lanes that gave up
	putOff       []*work  // numbered anew meanwhile

	halted     chan struct{} // closed: nothing new is begun
	haltOnce   sync.Once
	haltReason error
	cancel     context.CancelCauseFunc // ends everything now
}

// watch halts the run when the user or a limit says so, until stop has been called; halts that came before can be read then.
func (r *run) watch(ctx context.Context) (stop func()) {
	done := make(chan struct{})
	var limit <-chan time.Time
	if r.Options.MaxDuration > 0 {
		limit = time.After(r.Options.MaxDuration)
	}
	var watching sync.WaitGroup
	watching.Go(func() {
		select {
		case <-r.Options.Stop:
			r.halt(ErrStopped)
		case <-limit:
			r.halt(Errorf(Limit, "stopped after %v as asked", r.Options.MaxDuration))
		case <-ctx.Done():
		case <-done:
		}
	})
	return sync.OnceFunc(func() { close(done); watching.Wait() })
}

// halt lets what is in hand be finished and nothing new be begun.
func (r *run) halt(reason error) {
	r.haltOnce.Do(func() {
		r.haltReason = reason
		close(r.halted)
	})
}

func (r *run) isHalted() bool {
	select {
	case <-r.halted:
		return true
	default:
		return false
	}
}

// all opens both ends, surveys one mailbox after the other and gives the work to the lanes.
func (r *run) all(ctx context.Context) error {
	r.control = r.newLane()
	defer func() { r.control.close() }()
	r.jobs = make(chan *group, 2*r.Options.Lanes)
	err := r.survey(ctx)
	close(r.jobs)
	if err == nil {
		if err = r.control.work(ctx); err != nil {
			r.cancel(err)
		}
	}
	close(r.workedOff)
	r.lanes.Wait()
	if r.panicked != nil {
		panic(r.panicked) // where the caller can recover from it
	}
	if err != nil {
		return err
	}
	r.closing = true
	if err := r.rest(ctx); err != nil {
		return err
	}
	return r.anew(ctx)
}

// survey lists the mailboxes and hands out their groups.
func (r *run) survey(ctx context.Context) error {
	mailboxes, err := r.open(ctx)
	if err != nil {
		return err
	}
	r.tellUnmatched(mailboxes)
	var selected []Mailbox
	for _, mbox := range mailboxes {
		if r.Options.Filter.Mailbox(mbox) {
			selected = append(selected, mbox)
		}
	}
	r.update(func() { r.progress.MailboxesTotal = len(selected) })
	return r.mailboxes(ctx, selected)
}

// open opens the first connection to each end, both at once, and learns what mailboxes they have.
func (r *run) open(ctx context.Context) ([]Mailbox, error) {
	var there []Mailbox
	var sinkErr error
	var sink sync.WaitGroup
	sink.Go(func() { there, sinkErr = r.control.survey(ctx) })
	var mailboxes []Mailbox
	err := r.control.again(ctx, func() (err error) {
		source, err := r.control.openSource(ctx)
		if err == nil {
			mailboxes, err = source.Mailboxes(ctx)
		}
		return atEnd(r.Source, err)
	})
	sink.Wait()
	if err := cmp.Or(err, sinkErr); err != nil {
		return nil, err
	}
	if there != nil {
		r.existed = map[Path]*Mailbox{}
		for _, mbox := range there {
			r.existed[mbox.Path] = &mbox
		}
	}
	r.Options.Mapping.Bind(mailboxes, there)
	return mailboxes, nil
}

// update changes what the run tells of itself.
func (r *run) update(change func()) {
	r.mu.Lock()
	defer r.mu.Unlock()
	change()
	r.tell(Event{Type: EventProgress, Progress: r.progress})
}

// report tells an event to whoever wants to know.
func (r *run) report(event Event) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.tell(event)
}

// tell is report for those who hold the lock: one goroutine reports at a time.
func (r *run) tell(event Event) {
	if r.Options.Report != nil {
		r.Options.Report(event)
	}
}
