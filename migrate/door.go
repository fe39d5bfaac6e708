package migrate

import (
	"context"
	"errors"
	"net"
	"time"
)

// A door is the way into one end, for all lanes of a run. They enter one by one: a server that comes back is not
// stormed, and a password that one lane saw refused is not shown again by the others.
type door struct {
	turn    chan struct{} // holds one
	entered bool          // at least once
	knocks  int           // in vain, before that
	doubted bool          // the last log-in was refused, though one was right before
	shut    error         // there is no more use in trying
}

// What a first connection may cost that meets nobody: it is most often a typing error.
const (
	firstKnocks = 3
	secondLogin = 5 * time.Second // a log-in that was right before is tried again after this time, once
)

func newDoor() *door { return &door{turn: make(chan struct{}, 1)} }

// enter opens one more connection. Its errors carry the advice that follows from how this door has behaved so far.
func enter[T any](ctx context.Context, d *door, open func(context.Context) (T, error)) (T, error) {
	var none T
	select {
	case d.turn <- struct{}{}:
		defer func() { <-d.turn }()
	case <-ctx.Done():
		return none, context.Cause(ctx)
	}
	if d.shut != nil {
		return none, d.shut
	}
	end, err := open(ctx)
	if err == nil {
		d.entered, d.doubted = true, false
		return end, nil
	}
	if ctx.Err() != nil {
		return none, err
	}
	return none, d.refused(err)
}

func (d *door) refused(err error) error {
	advice, _ := AdviceOf(err)
	switch {
	case KindOf(err) == Auth && d.entered && !d.doubted:
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
