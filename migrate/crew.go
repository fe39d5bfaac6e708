package migrate

import (
	"cmp"
	"context"
	"errors"
	"runtime/debug"
	"sync"
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

// costOf tells how much work messages are, as announced.
func costOf(messages ...Message) (octets int64) {
	for _, m := range messages {
		octets += max(m.Size, 0) + messageWorth
	}
	return octets
}

// dispatch gives a group to whichever lane is free. A further lane is opened only where enough work waits for it; the
// control lane takes its share when the survey is done, or when there is no other.
func (r *run) dispatch(ctx context.Context, g *group) error {
	if r.onlyControl() {
		return r.control.moveAlone(ctx, g)
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
	if r.opened.Load() == 0 { // rather than wait for connections
		r.waiting.Add(-g.cost())
		return r.control.moveAlone(ctx, g)
	}
	select {
	case r.jobs <- g:
		return nil
	case <-r.alone:
		r.waiting.Add(-g.cost())
		return r.control.moveAlone(ctx, g)
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

// onlyControl tells that no other lane takes work.
func (r *run) onlyControl() bool { return r.Options.Lanes == 1 || r.closing }

// startLane opens one more lane unless there are as many as there may be; the control lane is one of them. It takes
// no work before it has its connections: another may be ready sooner.
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
		if !l.ready(ctx) {
			r.gaveUp()
			return
		}
		r.opened.Add(1)
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

// ready opens a lane's connections, as long as there is work or may be. Trouble shows again when there is work; false
// means that the server has no place.
func (l *lane) ready(ctx context.Context) bool {
	ctx, cancel := context.WithCancel(ctx)
	var watching sync.WaitGroup
	watching.Go(func() {
		select {
		case <-l.workedOff:
			cancel()
		case <-ctx.Done():
		}
	})
	defer watching.Wait()
	defer cancel()
	sourceErr, sinkErr := l.openBoth(ctx)
	err := cmp.Or(sourceErr, sinkErr)
	return err == nil || ctx.Err() != nil || !errors.Is(l.orGiveUp(err), errGaveUp)
}

// work moves groups until there are no more. What is not begun when the run is halted is left for the next one.
func (l *lane) work(ctx context.Context) error {
	for g := range l.jobs {
		bundle := l.gather(g)
		l.before = bundle
		for i, g := range bundle {
			if l.isHalted() || ctx.Err() != nil {
				break
			}
			if err := l.move(ctx, g); err != nil && !errors.Is(err, errHalted) { // halted, the others finish what they have in hand
				l.putBack(bundle[i+1:])
				return err
			}
		}
	}
	return nil
}

// moveAlone moves a group that does not share its round trips with others.
func (l *lane) moveAlone(ctx context.Context, g *group) error {
	l.before = []*group{g}
	return l.move(ctx, g)
}

// gather takes what else waits, as long as all together is not worth a lane: small groups share a round trip. Where there
// is more than enough for all lanes it takes one group more: the source can bring that while the disk is busy with the one
// before. A server is what holds up the others too, so there it would only be the last to be done; and since each group costs
// a round trip or two there, a lane takes its share of what waits.
func (l *lane) gather(g *group) (bundle []*group) {
	_, toServer := l.sink.(Numberer)
	share := l.share()
	for cost, open := int64(0), true; open; {
		bundle = append(bundle, g)
		l.waiting.Add(-g.cost())
		cost += g.cost()
		plenty := !toServer && len(bundle) == 1 && len(l.jobs) >= l.Options.Lanes
		if cost >= worthALane && !plenty || toServer && len(bundle) >= share {
			break
		}
		select {
		case g, open = <-l.jobs:
		default:
			open = false
		}
	}
	return bundle
}

// share tells how many of the groups that wait, and one that was just taken, each lane would get.
func (r *run) share() int {
	r.mu.Lock()
	defer r.mu.Unlock()
	lanes := r.working + 1 // the control lane is one of them
	return (len(r.jobs) + lanes) / lanes
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
	l.putBack([]*group{g})
}

// putBack leaves groups to the control lane that nobody has begun with.
func (l *lane) putBack(groups []*group) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.handedBack = append(l.handedBack, groups...)
}

// rest moves what lanes that gave up have left: it is in no other's hands by now.
func (r *run) rest(ctx context.Context) error {
	for _, g := range r.handedBack {
		if r.isHalted() || ctx.Err() != nil {
			return nil // what is not begun is left for the next run
		}
		if err := r.control.moveAlone(ctx, g); err != nil {
			return err
		}
	}
	return nil
}
