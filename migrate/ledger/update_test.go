package ledger

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"testing"
	"time"

	"postcask/migrate"
)

// Writers who wait share one commit; one among them who fails, or gives up, spoils nothing for the others.
func TestAWriterWhoFailsSpoilsNoOther(t *testing.T) {
	db := openNew(t)
	db.queue.turn <- struct{}{} // as if a commit were under way
	broken := errors.New("broken")
	ctx, giveUp := context.WithCancel(t.Context())
	const writers = 5
	results := make([]chan error, writers)
	for i := range results {
		results[i] = make(chan error, 1)
		go func() {
			switch i {
			case 1:
				results[i] <- db.update(t.Context(), "break", func(ctx context.Context, tx *sql.Tx) error {
					_, err := tx.ExecContext(ctx, `INSERT INTO meta VALUES ('broken', 'half')`)
					return errors.Join(err, broken)
				})
			case 3:
				results[i] <- ledgerOf(t, db).Record(ctx, "3", []migrate.Entry{arrived(1, "A")})
			default:
				results[i] <- ledgerOf(t, db).Record(t.Context(), migrate.Path(fmt.Sprint(i)), []migrate.Entry{arrived(1, "A")})
			}
		}()
	}
	waiting := func() int {
		db.queue.mu.Lock()
		defer db.queue.mu.Unlock()
		return len(db.queue.waiting)
	}
	for waiting() < writers {
		time.Sleep(time.Millisecond)
	}
	giveUp()
	if err := <-results[3]; !errors.Is(err, context.Canceled) {
		t.Errorf("the one who gave up: %v", err)
	}
	<-db.queue.turn
	for i, result := range results {
		if i == 3 {
			continue
		}
		if err := <-result; (i == 1) != errors.Is(err, broken) || i != 1 && err != nil {
			t.Errorf("writer %d: %v", i, err)
		}
	}
	for i := range writers {
		n, err := ledgerOf(t, db).Count(t.Context(), migrate.Path(fmt.Sprint(i)))
		must(t, err)
		want := int64(1)
		if i == 1 || i == 3 {
			want = 0
		}
		same(t, fmt.Sprint("arrived of writer ", i), n, want)
	}
	if value, err := db.Meta(t.Context(), "broken"); value != "" || err != nil {
		t.Errorf("half of what failed is there: %q, %v", value, err)
	}
}

// The index by digest is there for those who put an archive right, and gone when they are done.
func TestTheIndexOfDigestsIsMadeWhenItIsAskedFor(t *testing.T) {
	path := filled(t)
	count := func() (n int) {
		db := openAt(t, path)
		defer closeDB(t, db)
		must(t, db.read.QueryRowContext(t.Context(), `SELECT count(*) FROM sqlite_schema WHERE name = 'messages_trimmed'`).Scan(&n))
		return n
	}
	same(t, "before", count(), 0)
	db := openAt(t, path)
	put(t, db, "INBOX")
	must(t, db.AddMessages(t.Context(), "INBOX", []Message{{Identity: identity("a")}, {Identity: identity("b")}, {Identity: identity("a")}}, -1))
	for range 2 {
		twins, err := db.ByIdentity(t.Context(), "INBOX", identity("a").Trimmed)
		must(t, err)
		same(t, "twins", len(twins), 2)
	}
	same(t, "meanwhile", count(), 1)
	must(t, db.Close())
	same(t, "after", count(), 0)
	must(t, opened(t, path, Options{}))
}
