package migrate

import (
	"bufio"
	"context"
	"math/rand/v2"
	"time"
)

// The bounds of patience. A server that cannot be reached is tried so often before the run ends; a message that breaks
// the connection each time it is touched is left behind, and so many of them in a row mean that it is not the messages.
const (
	attemptsToOpen   = 6
	attemptsAtOne    = 2
	leftBehindInARow = 3
)

// backoff is how long to wait before the attempt-th new connection: from about one second, doubling to a minute, with
// jitter so that many clients don't come back at once.
func backoff(attempt int) time.Duration {
	wait := min(time.Second<<min(attempt-1, 6), time.Minute)
	return wait/2 + rand.N(wait)
}

// A lane is one connection to each end, opened when first needed and again when lost.
type lane struct {
	*run
	source Source
	sink   Sink
	head   *bufio.Reader // to look for a date in
}

func (r *run) newLane() *lane { return &lane{run: r} }

func (l *lane) openSource(ctx context.Context) (Source, error) {
	if l.source == nil {
		source, err := l.OpenSource(ctx)
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
	if l.sink != nil {
		l.sink.Close() // what counts was committed
		l.sink = nil
	}
}

func (l *lane) close() {
	l.closeSource()
	l.closeSink()
}

// survey opens the sink and gives the mailboxes that the destination has, nil where it cannot tell.
func (l *lane) survey(ctx context.Context) (there []Mailbox, err error) {
	if l.OpenSink == nil {
		return nil, nil
	}
	err = l.retry(ctx, l.closeSink, func() error {
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
		l.sink, err = l.OpenSink(ctx)
	}
	return atEnd(l.Destination, err)
}

// again tries until it works, with a new source each time, as long as that may help.
func (l *lane) again(ctx context.Context, try func() error) error {
	return l.retry(ctx, l.closeSource, try)
}

func (l *lane) retry(ctx context.Context, reset func(), try func() error) error {
	for attempt := 1; ; attempt++ {
		err := try()
		if err == nil || !IsTemporary(err) || attempt == attemptsToOpen || !l.pause(ctx, attempt, err) {
			return err
		}
		reset()
	}
}

// pause tells of a lost connection and waits before the next attempt; false when there is to be none.
func (l *lane) pause(ctx context.Context, attempt int, err error) bool {
	if ctx.Err() != nil || l.isHalted() {
		return false
	}
	wait := l.Options.Backoff(attempt)
	l.mu.Lock()
	l.summary.Retries++
	l.tell(Event{Type: EventRetry, Err: err, Delay: wait})
	l.mu.Unlock()
	select {
	case <-time.After(wait):
		return true
	case <-l.halted:
	case <-ctx.Done():
	}
	return false
}

// connect makes sure of both ends.
func (l *lane) connect(ctx context.Context) error {
	err := l.retry(ctx, l.closeSource, func() error {
		_, err := l.openSource(ctx)
		return atEnd(l.Source, err)
	})
	if err != nil {
		return err
	}
	return l.retry(ctx, l.closeSink, func() error { return l.openSink(ctx) })
}
