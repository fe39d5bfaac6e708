package migrate_test

import (
	"context"
	"fmt"
	"iter"
	"strings"
	"sync/atomic"
	"testing"

	"postcask/migrate"
	"postcask/migrate/memory"
)

// TestALostLedgerIsMadeUpForByFewQuestions has both ends hold the same messages and the ledger know nothing: they are
// found to be there by reading, and a distant destination is not asked for each alone.
func TestALostLedgerIsMadeUpForByFewQuestions(t *testing.T) {
	from, to := memory.New(), memory.New()
	for i := range 300 {
		from.Put("INBOX", migrate.Message{InternalDate: day}, fmt.Appendf(nil, "Subject: %d\r\n\r\n%s\r\n", i, strings.Repeat("x", i)))
	}
	j := job(from, to, &memory.Ledger{})
	if summary := mustRun(t, j); summary.Copied != 300 {
		t.Fatalf("%+v", summary)
	}
	var questions atomic.Int64
	j.Ledger = &memory.Ledger{}
	j.OpenSink = func(ctx context.Context) (migrate.Sink, error) {
		session, err := to.Open(ctx)
		return &questioned{session, &questions}, err
	}
	if summary := mustRun(t, j); summary.Copied != 0 || summary.Present != 300 {
		t.Errorf("%+v", summary)
	}
	if n := questions.Load(); n == 0 || n > 3 {
		t.Errorf("the destination was asked %d times for 300 messages", n)
	}
}

// questioned counts how often it is asked for messages.
type questioned struct {
	*memory.Session
	questions *atomic.Int64
}

func (a *questioned) Fetch(ctx context.Context, mbox migrate.Path, messages []migrate.Message) iter.Seq2[migrate.Fetched, error] {
	a.questions.Add(1)
	return a.Session.Fetch(ctx, mbox, messages)
}
