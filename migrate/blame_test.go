package migrate_test

import (
	"context"
	"sync/atomic"
	"testing"

	"postcask/migrate"
	"postcask/migrate/memory"
)

// A line that breaks again and again while the destination is only looked at tells nothing against the message that
// is next: none is left behind, as long as the tries in a row are within the budget.
func TestNoMessageIsBlamedForALineThatBreaksBeforeItMoves(t *testing.T) {
	from, to := filled(), memory.New()
	to.Make(migrate.Mailbox{Path: migrate.Inbox})
	var looks atomic.Int64
	j := job(from, to, &memory.Ledger{})
	j.OpenSink = func(ctx context.Context) (migrate.Sink, error) {
		session, err := to.Open(ctx)
		return &touchy{Session: session, messages: func(path migrate.Path) error {
			if path == migrate.Inbox && looks.Add(1) < migrate.DefaultRetries {
				return broken
			}
			return nil
		}}, err
	}
	if summary := mustRun(t, j); summary.Failed != 0 {
		t.Errorf("%+v", summary)
	}
	if looks.Load() < migrate.DefaultRetries {
		t.Errorf("the destination was looked at %d times", looks.Load())
	}
	same(t, to, from)
}

// A message is suspected only of what it does alone: one whose group broke two lines, and that broke two more by itself
// as chance had it, moves in the end.
func TestAMessageIsJudgedByWhatItDoesAlone(t *testing.T) {
	from, to := filled(), memory.New()
	breaks := 4
	j := job(from, to, &memory.Ledger{})
	j.OpenSink = func(ctx context.Context) (migrate.Sink, error) {
		session, err := to.Open(ctx)
		return &shortLived{Session: session, breaks: &breaks}, err
	}
	if summary := mustRun(t, j); summary.Failed != 0 || summary.Retries != 4 {
		t.Errorf("%+v", summary)
	}
	same(t, to, from)
}

// shortLived is a session whose line breaks when a message is sent, as long as breaks are left.
type shortLived struct {
	*memory.Session
	breaks *int
	dead   bool
}

func (s *shortLived) Append(ctx context.Context, path migrate.Path, m migrate.Message, body migrate.Body) error {
	if !s.dead && *s.breaks > 0 {
		*s.breaks--
		s.dead = true
	}
	if s.dead {
		return broken
	}
	return s.Session.Append(ctx, path, m, body)
}
