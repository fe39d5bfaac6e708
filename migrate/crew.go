package migrate

import (
	"context"
	"errors"
	"runtime/debug"
)

// A connection more has to be worth it: it costs some round trips, and the server something too.
const (
	worthALane   = 4 << 20  // of work that waits
	messageWorth = 16 << 10 // a message counts for so many octets more than it has
	groupWorth   = 1 << 20  // and a group too: it costs a round trip
)

// cost tells how much work a group is, in octets.
func (g *group) cost() int64 {
	return groupWorth + g.octets + messageWorth*int64(len(g.messages)+len(g.flags))
}

// dispatch gives a group to whichever lane is free. A further lane is opened only where enough work waits for it; the
// control lane takes its share when the survey is done, or when there is no other.
func (r *run) dispatch(ctx context.Context, g *group) error {
	if r.onlyControl() {
		return r.control.move(ctx, g)
	}
	if r.waiting.Add(g.cost()) >= worthALane {
		r.startLane(ctx)
	}
	select {
	case r.jobs <- g:
		return nil
	default:
		r.startLane(ctx)
	}
	select {
	case r.jobs <- g:
		return nil
	case <-r.alone:
		r.waiting.Add(-g.cost())
		return r.control.move(ctx, g)
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

// onlyControl tells that no other lane takes work.
func (r *run) onlyControl() bool { return r.Options.Lanes == 1 || r.closing }

// startLane opens one more lane unless there are as many as there may be; the control lane is one of them.
func (r *run) startLane(ctx context.Context) {
	if r.started+1 >= r.Options.Lanes || r.full.Load() {
		return
	}
	r.started++
	r.mu.Lock()
	r.working++
	r.mu.Unlock()
	r.lanes.Go(func() {
		l := r.newLane()
		defer l.close()
		defer r.rescue()
		switch err := l.work(ctx); {
		case errors.Is(err, errGaveUp):
			r.gaveUp()
		case err != nil:
			r.cancel(err)
		}
	})
}

// rescue, deferred by a goroutine, has a panic of it end the run.
func (r *run) rescue() {
	if value := recover(); value != nil {
		r.panics.Do(func() { r.panicked = &Panic{Value: value, Stack: debug.Stack()} })
		r.cancel(Errorf(Failed, "internal error: %v", value))
	}
}

// work moves groups until there are no more. What is not begun when the run is halted is left for the next one.
func (l *lane) work(ctx context.Context) error {
	for g := range l.jobs {
		l.waiting.Add(-g.cost())
		if l.isHalted() || ctx.Err() != nil {
			continue
		}
		if err := l.move(ctx, g); err != nil && !errors.Is(err, errHalted) { // halted, the others finish what they have in hand
			return err
		}
	}
	return nil
}

// gaveUp takes a lane off the number of those that work.
func (r *run) gaveUp() {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.working--; r.working > 0 {
		return
	}
	select {
	case <-r.alone: // before, and one more lane was just being started then
	default:
		close(r.alone)
	}
}

// handBack leaves what remains of a group to the control lane.
func (l *lane) handBack(g *group) {
	g.open.Add(1)
	l.mu.Lock()
	defer l.mu.Unlock()
	l.handedBack = append(l.handedBack, g)
}

// rest moves what lanes that gave up have left: it is in no other's hands by now.
func (r *run) rest(ctx context.Context) error {
	for _, g := range r.handedBack {
		if r.isHalted() || ctx.Err() != nil {
			return nil // what is not begun is left for the next run
		}
		if err := r.control.move(ctx, g); err != nil {
			return err
		}
	}
	return nil
}
