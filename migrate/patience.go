package migrate

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"sync/atomic"
	"time"
)

// The bounds of patience. A message that breaks the connection each time it is touched is left behind, a mailbox that
// does so is passed by, and so many of them in a row mean that it is not they.
const (
	DefaultRetries   = 10
	attemptsAtOne    = 2
	leftBehindInARow = 3
	longestPause     = 30 * time.Minute // that a server may ask for; beyond it, to run again is better than to wait
)

// backoff is how long to wait before the attempt-th new connection: up to one second, then twice as long each time, up
// to a minute, with jitter so that many clients don't come back at once.
func backoff(attempt int) time.Duration {
	wait := min(time.Second<<min(attempt-1, 6), time.Minute)
	return wait/2 + rand.N(wait/2)
}

// patience is how one lane bears with failures: it waits longer with each one in a row, as long as the server asks for
// at least, and is at its end when a row is too long. Progress of the run, by whichever lane, ends a row.
type patience struct {
	options *Options
	halted  <-chan struct{} // closed: no waiting any more
	done    *atomic.Int64   // grows with each step of progress
	tell    func(err error, wait time.Duration)

	row  int
	seen int64 // of done, when the row began
}

// errHalted is what ends a lane's work when the run is halted while it waits; the run tells why.
var errHalted = errors.New("halted")

// spent marks the error at which patience came to its end.
type spent struct{ error }

func (s *spent) Unwrap() error { return s.error }

func isSpent(err error) bool {
	_, ok := errors.AsType[*spent](err)
	return ok
}

// bide tells of err and waits until another try makes sense. It returns nil then, and else the error to end with.
func (p *patience) bide(ctx context.Context, err error) error {
	if ctx.Err() != nil {
		return err
	}
	select {
	case <-p.halted:
		return errHalted
	default:
	}
	if done := p.done.Load(); done != p.seen {
		p.row, p.seen = 0, done
	}
	_, asked := AdviceOf(err)
	if asked > longestPause {
		return &Error{Kind: Limit, Advice: Never, Err: &spent{err},
			Hint: fmt.Sprintf("the server asks to be left alone for %v; run the same command again then, it goes on from here", asked.Round(time.Second))}
	}
	budget := p.options.retries()
	if p.row++; p.row > budget {
		return &Error{Kind: KindOf(err), Advice: Never, Err: &spent{err}, Hint: cmp.Or(HintOf(err), spentHint(budget))}
	}
	wait := p.options.Backoff(p.row)
	if asked > 0 {
		wait = max(wait, asked+rand.N(asked/10+1))
	}
	p.tell(err, wait)
	timer := time.NewTimer(wait)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-p.halted:
		return errHalted
	case <-ctx.Done():
		return err
	}
}

// retry tries until it works, after a reset each time, as long as that may help.
func (p *patience) retry(ctx context.Context, reset func(), try func() error) error {
	for {
		err := try()
		if err == nil || !IsTemporary(err) {
			return err
		}
		if err := p.bide(ctx, err); err != nil {
			return err
		}
		reset()
	}
}

func spentHint(budget int) string {
	if budget == 0 {
		return ""
	}
	return fmt.Sprintf("%d more tries in a row brought nothing; try later, or give it longer with --max-retries", budget)
}

// retries is how many there may be in a row.
func (o *Options) retries() int {
	switch {
	case o.MaxRetries < 0:
		return 0
	case o.MaxRetries == 0:
		return DefaultRetries
	}
	return o.MaxRetries
}
