package migrate

import (
	"context"
	"time"
)

// awaitLooks is how often a destination is looked at anew for messages that may still be on their way into it.
const awaitLooks = 3

// await gives the destination time where messages were sent and not answered for: a server goes on working on what a
// connection has brought, also when whoever sent it was killed, and what it stores after we have looked would be
// there twice. It is looked at again, a few times, until as many have arrived.
func (l *lane) await(ctx context.Context, d *destination, w *work, messages []Message) error {
	intents, err := l.intents(ctx, w, messages)
	if err != nil || len(intents) == 0 || l.Options.DryRun {
		return err
	}
	for attempt := 1; attempt <= awaitLooks && !d.holds(intents); attempt++ {
		select {
		case <-time.After(l.Options.Backoff(attempt)):
		case <-l.halted:
			return nil
		case <-ctx.Done():
			return context.Cause(ctx)
		}
		l.closeSink() // only a new session is sure to be told of all
		if err := l.openSink(ctx); err != nil {
			return err
		}
		d.doubt()
		if err := d.look(ctx, l); err != nil {
			return err
		}
	}
	return nil
}

// holds tells whether as many messages as are intended lie unclaimed where they would have got their names.
func (d *destination) holds(intents map[Key]Entry) bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	arrived := 0
	var least Key
	for _, entry := range intents {
		if place := entry.Place; least.IsZero() || place.UID < least.UID {
			least = place
		}
	}
	for _, same := range d.held {
		for _, m := range same {
			if m.Key.Validity != least.Validity || m.Key.UID >= least.UID {
				arrived++
			}
		}
	}
	return arrived >= len(intents)
}
