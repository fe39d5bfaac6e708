package main

import (
	"context"
	"os"
	"os/signal"
	"sync"
	"sync/atomic"
	"time"
)

// patience is how long a run may take to finish what it has in hand.
const patience = 10 * time.Second

// interrupts turn signals into an orderly end. The first asks a run to finish the group in hand; the second, or the
// end of patience, ends it now. A command with nothing in hand ends at the first.
type interrupts struct {
	stop     chan struct{} // closed by the first signal
	graceful atomic.Bool   // somebody listens to stop
	cancel   context.CancelFunc
	term     *terminal
	done     chan struct{}
	signals  chan os.Signal
	wait     sync.WaitGroup
}

// catchSignals begins to listen. The returned context ends when work has to end now. The caller calls release.
func catchSignals(ctx context.Context, term *terminal) (context.Context, *interrupts) {
	i := &interrupts{stop: make(chan struct{}), term: term, done: make(chan struct{}), signals: make(chan os.Signal, 4)}
	ctx, i.cancel = context.WithCancel(ctx)
	for _, sig := range endSignals {
		if !signal.Ignored(sig) { // as nohup leaves SIGHUP
			signal.Notify(i.signals, sig)
		}
	}
	signal.Notify(i.signals, askSignals...)
	ignoreBrokenPipes()
	i.wait.Go(i.listen)
	return ctx, i
}

// release ends the listening.
func (i *interrupts) release() {
	signal.Stop(i.signals)
	close(i.done)
	i.wait.Wait()
	i.cancel()
}

func (i *interrupts) listen() {
	var expired <-chan time.Time
	stopped := false
	for {
		select {
		case <-i.done:
			return
		case <-expired:
			i.cancel()
		case sig := <-i.signals:
			switch {
			case isAsking(sig):
				i.term.tellPlace()
			case stopped || !i.graceful.Load():
				if !stopped {
					close(i.stop)
					stopped = true
				}
				i.cancel()
			default:
				close(i.stop)
				stopped = true
				expired = time.After(patience)
				i.term.note("interrupted: finishing what is in hand; once more to leave now")
			}
		}
	}
}
