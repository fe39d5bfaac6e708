package migrate

import (
	"context"
	"errors"
	"net"
	"time"
)

// A door is the way into one end, for all lanes of a run. They enter one by one: a server that comes back is not
// stormed, and a password that one lane saw refused is not shown again by the others. Only new lanes, which come while
// all goes well, enter side by side.
type door struct {
	turn    chan struct{} // holds one
	entered bool          // at least once
	knocks  int           // in vain, before that
	doubted bool          // the last log-in was refused, though one was right before
	doubts  int           // how often that came about
	shut    error         // there is no more use in trying
}

// What a first connection may cost that meets nobody: it is most often a typing error.
const (
	firstKnocks = 3
	secondLogin = 5 * time.Second // a log-in that was right before is tried again after this time, once
)

func newDoor() *door { return &door{turn: make(chan struct{}, 1)} }

// enter opens one more connection, beside others where it is the first of a lane. Its errors carry the advice that follows
// from how this door has behaved so far.
func enter[T any](ctx context.Context, d *door, first bool, open func(context.Context) (T, error)) (T, error) {
	var none T
	if err := d.take(ctx); err != nil {
		return none, err
	}
	defer d.give()
	if d.shut != nil {
		return none, d.shut
	}
	doubts := d.doubts
	beside := first && d.entered && !d.doubted
	if beside {
		d.give()
	}
	end, err := open(ctx)
	if beside {
		d.turn <- struct{}{} // whoever has it will not ask for another
	}
	if err == nil {
		d.entered, d.doubted = true, d.doubted && beside
		return end, nil
	}
	if ctx.Err() != nil {
		return none, err
	}
	return none, d.refused(err, doubts)
}

func (d *door) take(ctx context.Context) error {
	select {
	case d.turn <- struct{}{}:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

func (d *door) give() { <-d.turn }

// refused tells what an error means that came of an attempt begun after so many doubts.
func (d *door) refused(err error, doubts int) error {
	advice, _ := AdviceOf(err)
	switch {
	case KindOf(err) == Auth && d.entered && (!d.doubted || doubts < d.doubts):
		if !d.doubted {
			d.doubts++
		}
		d.doubted = true
		return &Error{Kind: Auth, Advice: Later, RetryAfter: secondLogin, Err: err}
	case KindOf(err) == Auth:
		d.shut = err
	case d.entered && advice == Never && KindOf(err) == Unavailable:
		// A name that resolved before does so again when the network is back.
		return &Error{Kind: Unavailable, Advice: Later, Err: err}
	case !d.entered && nobodyThere(err):
		if d.knocks++; d.knocks >= firstKnocks || isTimeout(err) {
			return &Error{Kind: Unavailable, Advice: Never, Err: err}
		}
	}
	return err
}

// nobodyThere tells whether no connection came about at all.
func nobodyThere(err error) bool {
	dial, ok := errors.AsType[*net.OpError](err)
	return ok && dial.Op == "dial"
}

// isTimeout tells whether the user has waited for long already.
func isTimeout(err error) bool {
	network, ok := errors.AsType[net.Error](err)
	return ok && network.Timeout()
}
