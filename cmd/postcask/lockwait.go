package main

import (
	"context"
	"time"

	"github.com/spf13/pflag"

	"postcask/migrate"
)

// lockPause is the time between two looks at a lock: nobody waits long once it is free, and to look costs little.
const lockPause = 100 * time.Millisecond

// bindLockWait adds the flag of a command that takes a lock.
func bindLockWait(flags *pflag.FlagSet, wait *time.Duration) {
	flags.DurationVar(wait, "lock-wait", 0, "wait this `TIME` for another run that holds the archive or ledger (else exit 6)")
}

func checkLockWait(wait time.Duration) error {
	if wait < 0 {
		return misuse("0 means to leave at once where another run is at work", "--lock-wait %v is no time", wait)
	}
	return nil
}

// awaitLock opens something that another run may hold, again and again for as long as wait, and tells once that it
// waits. Any other trouble ends it at once, and so does ctx.
func (c *cli) awaitLock(ctx context.Context, wait time.Duration, open func() error) error {
	err := open()
	if wait <= 0 || migrate.KindOf(err) != migrate.Locked {
		return err
	}
	c.term.note("another run is at work here; waiting up to %v for it to end", wait)
	deadline := time.Now().Add(wait)
	for migrate.KindOf(err) == migrate.Locked {
		left := time.Until(deadline)
		if left <= 0 {
			return err
		}
		select {
		case <-time.After(min(left, lockPause)):
		case <-ctx.Done():
			return context.Cause(ctx)
		}
		err = open()
	}
	return err
}
