package migrate_test

import (
	"context"
	"fmt"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"postcask/migrate"
	"postcask/migrate/memory"
)

// New lanes log in side by side once a log-in has worked: over a distant link that is most of a short run.
func TestLanesLogInSideBySide(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		from, to := memory.New(), memory.New()
		for i := range 2000 {
			from.Put("INBOX", migrate.Message{InternalDate: day}, letter(i))
		}
		var inside, most atomic.Int64
		j := job(from, to, &memory.Ledger{})
		j.Options.Lanes = 4
		j.OpenSource = func(ctx context.Context) (migrate.Source, error) {
			if n := inside.Add(1); n > most.Load() {
				most.Store(n)
			}
			defer inside.Add(-1)
			time.Sleep(20 * time.Millisecond)
			return from.Open(ctx)
		}
		mustRun(t, j)
		if most.Load() < 2 {
			t.Error("one connection was opened after the other")
		}
		same(t, to, from)
	})
}

// A run that has little to do opens no connection but its first.
func TestLittleWorkIsNotWorthAConnection(t *testing.T) {
	from, to := memory.New(), memory.New()
	for i := range 15 {
		from.Put("INBOX", migrate.Message{InternalDate: day}, fmt.Appendf(nil, "Subject: %d\r\n\r\nbody\r\n", i))
		from.Put("Sent", migrate.Message{InternalDate: day}, fmt.Appendf(nil, "Subject: %d\r\n\r\nbody\r\n", i))
	}
	opened := 0
	j := job(from, to, &memory.Ledger{})
	j.Options.Lanes = 4
	j.OpenSource = func(ctx context.Context) (migrate.Source, error) {
		opened++
		return from.Open(ctx)
	}
	mustRun(t, j)
	if opened != 1 {
		t.Errorf("%d connections were opened", opened)
	}
	same(t, to, from)
}
