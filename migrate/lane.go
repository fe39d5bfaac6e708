package migrate

import (
	"bufio"
	"context"
	"errors"
	"sync"
	"time"
)

// A lane is one connection to each end, opened when first needed and again when lost.
type lane struct {
	*run
	source   Source
	sink     Sink
	spare    Sink          // see safekeeper
	head     *bufio.Reader // to look for a date in
	patience patience
	before   []*group // that the source has not been told of

	answered   bool // all that was sent in the last try has been, though it failed
	touched    bool // messages are being read or sent: what breaks a connection now may be one of them
	worked     bool // had both ends once
	turnedAway int  // in a row
}

func (r *run) newLane() *lane { return &lane{run: r, patience: r.newPatience()} }

func (r *run) newPatience() patience {
	return patience{options: &r.Options, halted: r.halted, done: &r.done, tell: func(err error, wait time.Duration) {
		r.mu.Lock()
		defer r.mu.Unlock()
		r.summary.Retries++
		r.tell(Event{Type: EventRetry, Err: err, Delay: wait})
	}}
}

func (l *lane) openSource(ctx context.Context) (Source, error) {
	if l.source == nil {
		source, err := enter(ctx, l.sourceDoor, !l.worked, l.OpenSource)
		if err != nil {
			return nil, err
		}
		l.source = source
	}
	return l.source, nil
}

func (l *lane) closeSource() {
	if l.source != nil {
		l.source.Close() // what it read was checked as it came
		l.source = nil
	}
}

func (l *lane) closeSink() {
	for _, sink := range []Sink{l.sink, l.spare} {
		if sink != nil {
			sink.Close() // what counts was committed
		}
	}
	l.sink, l.spare = nil, nil
}

func (l *lane) close() {
	l.closeSource()
	l.closeSink()
}

// survey opens the sink and gives the mailboxes that the destination has, nil where it cannot tell. It may go on beside
// the work with the source, so its patience is its own.
func (l *lane) survey(ctx context.Context) (there []Mailbox, err error) {
	if l.OpenSink == nil {
		return nil, nil
	}
	patience := l.newPatience()
	err = patience.retry(ctx, l.closeSink, func() error {
		if err := l.openSink(ctx); err != nil {
			return err
		}
		if holder, ok := l.sink.(Source); ok {
			there, err = holder.Mailboxes(ctx)
			if there == nil {
				there = []Mailbox{}
			}
		}
		return atEnd(l.Destination, err)
	})
	return there, err
}

func (l *lane) openSink(ctx context.Context) (err error) {
	if l.sink == nil && l.OpenSink != nil {
		var sink Sink
		if sink, err = enter(ctx, l.sinkDoor, !l.worked, l.OpenSink); err == nil {
			l.sink = sink
		}
	}
	return atEnd(l.Destination, err)
}

// again tries until it works, with a new source each time, as long as that may help.
func (l *lane) again(ctx context.Context, try func() error) error {
	return l.retry(ctx, l.closeSource, try)
}

func (l *lane) retry(ctx context.Context, reset func(), try func() error) error {
	return l.patience.retry(ctx, reset, try)
}

// connect makes sure of both ends. A lane that the run can do without may give up instead, with errGaveUp.
func (l *lane) connect(ctx context.Context) error {
	sourceErr, sinkErr := l.openBoth(ctx)
	err := l.retry(ctx, l.closeSource, l.after(&sourceErr, func() error {
		_, err := l.openSource(ctx)
		return atEnd(l.Source, err)
	}))
	if err != nil {
		return err
	}
	err = l.retry(ctx, l.closeSink, l.after(&sinkErr, func() error { return l.openSink(ctx) }))
	if err == nil {
		l.worked, l.turnedAway = true, 0
	}
	return err
}

// openBoth tries once to open what is not open, both ends at once: each takes some round trips.
func (l *lane) openBoth(ctx context.Context) (sourceErr, sinkErr error) {
	var sink sync.WaitGroup
	sink.Go(func() { sinkErr = l.openSink(ctx) })
	_, sourceErr = l.openSource(ctx)
	sink.Wait()
	return atEnd(l.Source, sourceErr), sinkErr
}

// after gives a try whose first time has been already, with *first as its error.
func (l *lane) after(first *error, try func() error) func() error {
	return func() error {
		err := *first
		if *first = nil; err == nil {
			err = try()
		}
		return l.orGiveUp(err)
	}
}

// How often a lane beside the first is turned away before it leaves its work to the others: the connections that it
// lost may count for a while at the server, those that it never had will not come to be.
const (
	turnsOfALostLane = 5
	turnsOfANewLane  = 3
)

// errGaveUp ends a lane that the server has no place for. It is no trouble of the run's.
var errGaveUp = errors.New("no place for one more connection")

// orGiveUp gives errGaveUp in place of err where this lane has been turned away often enough.
func (l *lane) orGiveUp(err error) error {
	if l == l.control || !IsTemporary(err) {
		return err
	}
	advice, _ := AdviceOf(err)
	if l.worked && advice != Fewer {
		return err // the server may be gone for a while, and for all
	}
	most := turnsOfALostLane
	switch {
	case !l.worked && advice == Fewer:
		most = 1
	case !l.worked:
		most = turnsOfANewLane
	}
	if l.turnedAway++; l.turnedAway < most {
		return err
	}
	l.full.Store(true)
	return errGaveUp
}

// givesWay tells whether the server wants fewer connections in the middle of work, and the run can do without this lane:
// then nobody has to wait for anything.
func (l *lane) givesWay(err error) bool {
	if advice, _ := AdviceOf(err); advice != Fewer || l == l.control {
		return false
	}
	l.full.Store(true)
	return true
}
