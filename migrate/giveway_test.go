package migrate_test

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"postcask/migrate"
	"postcask/migrate/memory"
)

// crowded is a session of a server that lets everybody in, and turns to whoever is too many in the middle of work.
type crowded struct {
	*memory.Session
	tooMany func() error
	dead    error
	leave   func()
	once    sync.Once
}

func (c *crowded) Append(ctx context.Context, path migrate.Path, m migrate.Message, body migrate.Body) error {
	if c.dead == nil {
		c.dead = c.tooMany()
	}
	if c.dead != nil {
		return c.dead
	}
	time.Sleep(20 * time.Microsecond) // so that the lanes are at work together
	return c.Session.Append(ctx, path, m, body)
}

func (c *crowded) Close() error { c.once.Do(c.leave); return c.Session.Close() }

// A server that says in the middle of work that there are too many connections, or that one holds a lock which another
// wants, is given way to by all lanes but one, and none of them waits for anything.
func TestLanesGiveWayInTheMiddleOfWork(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		tooMany := &migrate.Error{Kind: migrate.Unavailable, Advice: migrate.Fewer, RetryAfter: 5 * time.Second, Err: errors.New("NO [INUSE] locked by another session")}
		from, to := memory.New(), memory.New()
		for i := range 1800 {
			from.Put(migrate.Path(fmt.Sprint("Box", i/200)), migrate.Message{InternalDate: day}, fmt.Appendf(nil, "message %d\r\n", i))
		}
		j := job(from, to, &memory.Ledger{})
		j.Options.Lanes = 4
		var mu sync.Mutex
		inside, turned := 0, 0
		j.OpenSink = func(ctx context.Context) (migrate.Sink, error) {
			mu.Lock()
			defer mu.Unlock()
			inside++
			session, err := to.Open(ctx)
			return &crowded{Session: session, leave: func() { mu.Lock(); inside--; mu.Unlock() }, tooMany: func() error {
				mu.Lock()
				defer mu.Unlock()
				if inside > 1 && turned < 3 {
					turned++
					return tooMany
				}
				return nil
			}}, err
		}
		summary := mustRun(t, j)
		same(t, to, from)
		if turned == 0 || summary.Failed != 0 || summary.Retries > 1 {
			t.Errorf("turned away %d times, %+v", turned, summary)
		}
	})
}
