package migrate_test

import (
	"context"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"postcask/migrate"
	"postcask/migrate/memory"
)

// touchyRemover is a session that breaks when one of some messages is to be deleted, or every time after so many.
type touchyRemover struct {
	*memory.Session
	breaks func(doomed []migrate.Doomed) bool
}

func (s *touchyRemover) Remove(ctx context.Context, path migrate.Path, doomed []migrate.Doomed) (migrate.Removal, error) {
	if s.breaks(doomed) {
		return migrate.Removal{}, broken
	}
	return s.Session.Remove(ctx, path, doomed)
}

// A message whose deletion breaks each connection stays, and is told of; all others go.
func TestAMessageWhoseDeletionBreaksTheConnection(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		from, to := letters(200), memory.New()
		for _, m := range from.Messages("INBOX") {
			from.Put("Sent", m.Message, m.Octets)
		}
		j, keeper := deleting(from, to, &memory.Ledger{})
		j.Options.Backoff = nil
		bad := from.Messages("Sent")[0].Key
		j.Deletion.Open = func(ctx context.Context) (migrate.Source, error) {
			session, err := from.Open(ctx)
			return &touchyRemover{session, func(doomed []migrate.Doomed) bool {
				return slices.ContainsFunc(doomed, func(m migrate.Doomed) bool { return m.Key == bad })
			}}, err
		}
		summary := mustRun(t, j)
		if summary.Deleted != 399 || summary.NotDeleted != 1 || summary.Retries != 6 || len(keeper.Noted["Sent"]) != 199 {
			t.Errorf("%+v", summary)
		}
		if left := from.Messages("Sent"); len(left) != 1 || left[0].Key != bad {
			t.Errorf("left at the source: %v", left)
		}
	})
}

// A connection that breaks again and again, but never without something having been deleted or listed, ends nothing: each
// step of progress begins a new row of tries.
func TestProgressInDeletingGivesNewPatience(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		from, to, known := memory.New(), memory.New(), &memory.Ledger{}
		for i := range 40 {
			from.Put(migrate.Path(string(rune('A'+i%20))), migrate.Message{InternalDate: day}, []byte("Subject: "+string(rune('a'+i))+"\r\n\r\n"))
		}
		mustRun(t, job(from, to, known))
		j, _ := deleting(from, to, known)
		j.Options.Backoff, j.Options.MaxRetries = nil, 2
		opened, tries := 0, 0
		open := j.OpenSource
		j.OpenSource = func(ctx context.Context) (migrate.Source, error) { // every listing breaks at first
			session, err := open(ctx)
			return &touchy{Session: session.(*memory.Session), messages: func(migrate.Path) error {
				if opened++; opened%2 == 1 {
					return broken
				}
				return nil
			}}, err
		}
		j.Deletion.Open = func(ctx context.Context) (migrate.Source, error) {
			session, err := from.Open(ctx)
			return &touchyRemover{session, func([]migrate.Doomed) bool { tries++; return tries%2 == 1 }}, err
		}
		began := time.Now()
		summary := mustRun(t, j)
		if summary.Deleted != 40 || summary.Retries < 40 || time.Since(began) > 2*time.Minute {
			t.Errorf("after %v: %+v", time.Since(began), summary)
		}
	})
}
