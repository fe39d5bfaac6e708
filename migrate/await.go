package migrate

import (
	"context"
	"time"
)

// How long a destination is looked at that may still be storing what was sent to it.
const (
	stillLooks    = 2       // so many looks that show no change, in a row, mean that nothing more comes
	stillMessages = 64      // with more than so much unanswered
	stillOctets   = 1 << 20 // one look more
	mostLooks     = 100     // in all, at a mailbox that others fill meanwhile
	longestAwait  = time.Minute
)

// await gives the destination time where messages were sent and not answered for: a server goes on working on what a
// connection has brought, also when whoever sent it was killed, and what it stores after we have looked would be there
// twice. The mailbox is looked at until all have arrived, or until it has been still for a while, a longer one where
// there is more to store and where it was seen to be at work. Nothing is sent there meanwhile.
func (l *lane) await(ctx context.Context, d *destination) error {
	select {
	case d.turn <- struct{}{}:
		defer func() { <-d.turn }()
	case <-ctx.Done():
		return context.Cause(ctx)
	}
	open, over := d.unanswered()
	if len(open) == 0 || over || l.Options.DryRun {
		return nil
	}
	before, told, err := l.state(ctx, d.path)
	if err != nil {
		return err
	}
	needed, still, waited, stale := stillLooksFor(open), 0, time.Duration(0), true
	for looks := 0; looks < mostLooks && waited < longestAwait; looks++ {
		all, likely, err := d.holds(open)
		if err != nil {
			return atEnd(l.Destination, err)
		}
		if all || likely && still > 0 || still >= needed {
			break
		}
		pause := l.Options.Backoff(still + 1)
		if err := l.pause(ctx, pause); err != nil {
			return err
		}
		waited += pause
		now, _, err := l.state(ctx, d.path)
		if err != nil {
			return err
		}
		if still++; now != before {
			before, still, needed, stale = now, 0, stillLooksFor(open)+1, true
		}
		if stale || !told {
			if err := d.lookAgain(ctx, l); err != nil {
				return err
			}
			stale = false
		}
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	d.awaited = true
	return nil
}

// stillLooksFor tells for how many looks a mailbox has to be still.
func stillLooksFor(open []Entry) int {
	var octets int64
	for _, entry := range open {
		octets += entry.Identity.Size
	}
	if len(open) > stillMessages || octets > stillOctets {
		return stillLooks + 1
	}
	return stillLooks
}

// state gives the numbers that move when a message is stored in a mailbox of the destination. told is false where it
// does not give them.
func (l *lane) state(ctx context.Context, path Path) (state Status, told bool, err error) {
	statuser, ok := l.sink.(Statuser)
	if !ok {
		return Status{}, false, nil
	}
	if state, err = statuser.Status(ctx, path); err != nil {
		return Status{}, false, atEnd(l.Destination, err)
	}
	state.HighestModSeq = 0 // flags move it too
	return state, true, nil
}

// pause waits; it is over early where the run is.
func (l *lane) pause(ctx context.Context, pause time.Duration) error {
	timer := time.NewTimer(pause)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-l.halted:
		return errHalted
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

// unanswered gives what was sent and not answered for when the mailbox was listed, and whether it has had its time.
func (d *destination) unanswered() (open []Entry, awaited bool) {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.open, d.awaited
}

// lookAgain learns anew what the mailbox holds.
func (d *destination) lookAgain(ctx context.Context, l *lane) error {
	d.inHand.Lock()
	defer d.inHand.Unlock()
	d.mu.Lock()
	defer d.mu.Unlock()
	d.listed, d.doubted = false, true
	return d.lookOnce(ctx, l)
}

// holds tells whether what was sent lies unclaimed where it would have got its names: all of it, by the sizes, or likely
// so, by the number.
func (d *destination) holds(open []Entry) (all, likely bool, err error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	missing, arrived := map[int64]int{}, 0 // by size
	least := open[0].Place
	for _, entry := range open {
		missing[entry.Identity.Size]++
		if entry.Place.UID < least.UID {
			least = entry.Place
		}
	}
	if least.UID == 0 { // nothing is known of where it would be
		return false, false, nil
	}
	for m, err := range d.held.all() {
		if err != nil {
			return false, false, err
		}
		if m.Key.Validity == least.Validity && m.Key.UID < least.UID {
			continue
		}
		arrived++
		if missing[m.Size] > 0 {
			missing[m.Size]--
		}
	}
	all = true
	for _, n := range missing {
		all = all && n == 0
	}
	return all, arrived >= len(open), nil
}
