package ledger

import (
	"context"
	"database/sql"
	"slices"
	"sync"

	"postcask/migrate"
	"postcask/migrate/step"
)

// A change is what one caller of update wants done, and what came of it once done is closed.
type change struct {
	do   func(ctx context.Context, tx *sql.Tx) error
	uses []string // queries that statement gives it
	ctx  context.Context
	err  error
	done chan struct{}
}

// A queue holds the changes that wait. To commit costs a sync of the disk: those that come while another is under way
// wait for it, and then share one.
type queue struct {
	mu      sync.Mutex
	waiting []*change
	turn    chan struct{} // holds one while somebody commits
}

// update does what do wants in a transaction that is durable when update returns nil; otherwise nothing of it has
// happened. A transaction that has begun is seen through, whatever becomes of ctx; do may be called twice, and then the
// first time counts for nothing. Of the queries that do uses by statement, all have to be named.
func (db *DB) update(ctx context.Context, doing string, do func(ctx context.Context, tx *sql.Tx) error, uses ...string) error {
	if db.write == nil {
		return migrate.Errorf(migrate.Failed, "%s: %q was opened to be read only", doing, db.path)
	}
	if err := ctx.Err(); err != nil {
		return fault(ctx, doing, err)
	}
	c := &change{do: do, uses: uses, ctx: context.WithoutCancel(ctx), done: make(chan struct{})}
	db.queue.add(c)
	select {
	case <-c.done:
	case db.queue.turn <- struct{}{}:
		db.commit(db.queue.takeAll()) // c among them, unless it is done
		<-db.queue.turn
		<-c.done
	case <-ctx.Done():
		if db.queue.remove(c) {
			return fault(ctx, doing, ctx.Err())
		}
		<-c.done
	}
	if c.err == nil {
		step.Done("committed: " + doing)
	}
	return fault(ctx, doing, c.err)
}

func (q *queue) add(c *change) {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.waiting = append(q.waiting, c)
}

func (q *queue) takeAll() []*change {
	q.mu.Lock()
	defer q.mu.Unlock()
	all := q.waiting
	q.waiting = nil
	return all
}

// remove takes out a change that nobody has begun with; false tells that somebody has.
func (q *queue) remove(c *change) bool {
	q.mu.Lock()
	defer q.mu.Unlock()
	i := slices.Index(q.waiting, c)
	if i < 0 {
		return false
	}
	q.waiting = slices.Delete(q.waiting, i, i+1)
	return true
}

// commit does changes in one transaction; where that fails, each in one of its own, so that none spoils another.
func (db *DB) commit(changes []*change) {
	err := db.transact(changes...)
	for _, c := range changes {
		if c.err = err; err != nil && len(changes) > 1 {
			c.err = db.transact(c)
		}
		close(c.done)
	}
}

func (db *DB) transact(changes ...*change) error {
	if len(changes) == 0 {
		return nil
	}
	for _, c := range changes {
		if err := db.prepare(c.ctx, c.uses); err != nil {
			return err
		}
	}
	tx, err := db.write.BeginTx(changes[0].ctx, nil)
	if err != nil {
		return err
	}
	for _, c := range changes {
		if err := c.do(c.ctx, tx); err != nil {
			_ = tx.Rollback() // the first error is the one to tell
			return err
		}
	}
	return tx.Commit() // one that fails is rolled back by the driver
}

// prepare makes sure of statements that outlive a transaction: to read a long query takes as long as to write some rows.
// That has to be before a transaction begins, which takes the only connection.
func (db *DB) prepare(ctx context.Context, queries []string) error {
	for _, query := range queries {
		if db.statements[query] != nil {
			continue
		}
		statement, err := db.write.PrepareContext(ctx, query)
		if err != nil {
			return err
		}
		if db.statements == nil {
			db.statements = map[string]*sql.Stmt{}
		}
		db.statements[query] = statement
	}
	return nil
}

// statement gives a query that update was told of, ready for tx. It is closed with the database.
func (db *DB) statement(ctx context.Context, tx *sql.Tx, query string) *sql.Stmt {
	return tx.StmtContext(ctx, db.statements[query])
}
