package migrate_test

import (
	"context"
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"postcask/migrate"
	"postcask/migrate/memory"
)

// A few new messages in each of many folders go to a server that takes its time for each folder: no connection is left with
// most of them while the others have nothing to do.
func TestSmallFoldersAreSharedAmongConnections(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const folders, slow = 8, 100 * time.Millisecond
		from, to := memory.New(), memory.New()
		for i := range folders {
			from.Put(migrate.Path(fmt.Sprint("Folder ", i)), migrate.Message{InternalDate: day}, letter(i))
		}
		to.Step = func(op string) error {
			if op == "commit" {
				time.Sleep(slow)
			}
			return nil
		}
		j := job(from, to, &memory.Ledger{})
		j.Options.Lanes = 4
		open := j.OpenSink
		j.OpenSink = func(ctx context.Context) (migrate.Sink, error) {
			time.Sleep(3 * slow / 2) // by then all that is new is known
			return open(ctx)
		}
		began := time.Now()
		if summary := mustRun(t, j); summary.Copied != folders {
			t.Errorf("%+v", summary.Counts)
		}
		if took := time.Since(began); took > 6*slow {
			t.Errorf("it took %v", took)
		}
	})
}
