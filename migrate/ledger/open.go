package ledger

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"net/url"
	"os"
	"path/filepath"
	"sync/atomic"
	"time"

	sqlite3 "modernc.org/sqlite/lib"

	"postcask/migrate"
	"postcask/migrate/step"
)

// Options tell how to open a database. The zero value opens one that exists, to read and write.
type Options struct {
	ReadOnly bool // nothing is written; what would write gives an error
	Create   bool // make the file if it is missing; no use with ReadOnly
}

const (
	readers     = 4 // connections that read
	busyTimeout = 5 * time.Second
)

// DB is an open ledger or index. It is safe for use by several goroutines.
type DB struct {
	path    string
	version int64 // of the tables
	read    *sql.DB
	write   *sql.DB // one connection, so that writers queue here and not in SQLite; nil when read-only
	now     func() time.Time
	wrote   atomic.Bool // something has changed: the seal is to be made anew
}

// Open opens the database at path. With o.Create a missing one is made, with mode 0600, and its directory synced; its
// neighbours path-wal and path-shm take its mode. A link in its place is refused. An error is of kind Damaged where the
// file is missing, is no database or not one of postcask, is shorter than it says, or comes from a newer version; of
// kind Locked where another process kept it busy. Open to write also refuses, as Damaged, a file whose octets are not
// those that the last writer left; Open to read does not read the whole file: Check does.
func Open(ctx context.Context, path string, o Options) (*DB, error) {
	return open(ctx, path, o, busyTimeout)
}

func open(ctx context.Context, path string, o Options, busy time.Duration) (*DB, error) {
	doing := fmt.Sprintf("open %q", path)
	full, err := filepath.Abs(path)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", doing, err)
	}
	if err := prepare(full, o); err != nil {
		return nil, fmt.Errorf("%s: %w", doing, err)
	}
	db := &DB{path: full, now: time.Now}
	if o.ReadOnly {
		err = db.openReadOnly(ctx, busy)
	} else {
		err = db.openBoth(ctx, o, busy)
	}
	if err != nil {
		_ = db.Close() // the first error is the one to tell
		return nil, fault(ctx, doing, err)
	}
	return db, nil
}

func (db *DB) openBoth(ctx context.Context, o Options, busy time.Duration) (err error) {
	// The writer goes first: it makes the write-ahead log that the readers need.
	if db.write, err = connect(db.path, busy, "mode=rw&_txlock=immediate", "journal_mode(wal)", "synchronous(full)"); err != nil {
		return err
	}
	db.write.SetMaxOpenConns(1)
	if db.read, err = connect(db.path, busy, "mode=rw", "query_only(1)"); err != nil {
		return err
	}
	db.version = version
	have, err := inspect(ctx, db.write)
	if err == nil && have > 0 {
		err = db.checkSeal(ctx) // before anything is built on what is there
	}
	switch {
	case err != nil || have == version:
		return err
	case have == 0 && !o.Create:
		return damaged("it is empty")
	}
	if err := db.update(ctx, "make the tables", func(tx *sql.Tx) error { return upgrade(ctx, tx) }); err != nil {
		return err
	}
	return syncDir(filepath.Dir(db.path))
}

func (db *DB) openReadOnly(ctx context.Context, busy time.Duration) (err error) {
	if db.read, err = connect(db.path, busy, "mode=ro"); err != nil {
		return err
	}
	db.version, err = inspect(ctx, db.read)
	if code := codeOf(err); (code == sqlite3.SQLITE_CANTOPEN || code == sqlite3.SQLITE_READONLY) && !hasLog(db.path) {
		// On a medium that cannot be written SQLite cannot make the files that readers share; where there is no
		// log, the file alone is the whole truth.
		if err := db.read.Close(); err != nil {
			return err
		}
		if db.read, err = connect(db.path, busy, "mode=ro&immutable=1"); err != nil {
			return err
		}
		db.version, err = inspect(ctx, db.read)
	}
	if err == nil && db.version == 0 {
		return damaged("it is empty")
	}
	return err
}

func hasLog(path string) bool {
	info, err := os.Lstat(path + "-wal")
	return err == nil && info.Size() > 0
}

// connect makes a pool; nothing is opened before its first use.
func connect(path string, busy time.Duration, query string, pragmas ...string) (*sql.DB, error) {
	pragmas = append(pragmas,
		fmt.Sprintf("busy_timeout(%d)", busy.Milliseconds()),
		"foreign_keys(1)",
		"trusted_schema(0)", "cell_size_check(1)", // a file that was tampered with runs nothing and crashes nothing
		"fullfsync(1)", "checkpoint_fullfsync(1)", // on macOS a plain fsync does not reach the disk
	)
	for _, pragma := range pragmas {
		query += "&_pragma=" + url.QueryEscape(pragma)
	}
	name := url.URL{Scheme: "file", Path: filepath.ToSlash(path), RawQuery: query}
	pool, err := sql.Open("sqlite", name.String())
	if err != nil {
		return nil, err
	}
	pool.SetMaxOpenConns(readers)
	pool.SetMaxIdleConns(readers)
	return pool, nil
}

// Close ends the use. Everything that was written is safe already.
func (db *DB) Close() error {
	seal := ""
	if db.wrote.Load() {
		seal, _ = db.sealOf(context.Background()) // what cannot be read has no seal
	}
	var errs []error
	for _, pool := range []*sql.DB{db.read, db.write} { // the writer last: it folds the log into the file
		if pool != nil {
			errs = append(errs, pool.Close())
		}
	}
	if err := errors.Join(errs...); err != nil {
		return fmt.Errorf("close %q: %w", db.path, err)
	}
	if seal != "" {
		writeSeal(db.path+sealSuffix, seal)
	}
	return nil
}

// Check reads the whole file and tells the first thing wrong with its structure, or that it is not, to the bit, as its
// last writer left it, as an error of kind Damaged.
func (db *DB) Check(ctx context.Context) error {
	doing := fmt.Sprintf("check %q", db.path)
	var verdict string
	if err := db.read.QueryRowContext(ctx, `PRAGMA integrity_check(1)`).Scan(&verdict); err != nil {
		return fault(ctx, doing, err)
	}
	if verdict != "ok" {
		return fault(ctx, doing, damaged("%s", verdict))
	}
	rows, err := db.read.QueryContext(ctx, `PRAGMA foreign_key_check`)
	if err != nil {
		return fault(ctx, doing, err)
	}
	defer rows.Close()
	if rows.Next() {
		return fault(ctx, doing, damaged("a row refers to another that is not there"))
	}
	if err := rows.Err(); err != nil {
		return fault(ctx, doing, err)
	}
	return fault(ctx, doing, db.checkSeal(ctx))
}

// update runs do in one transaction that is durable when update returns nil; otherwise nothing of it has happened.
func (db *DB) update(ctx context.Context, doing string, do func(tx *sql.Tx) error) error {
	if db.write == nil {
		return migrate.Errorf(migrate.Failed, "%s: %q was opened to be read only", doing, db.path)
	}
	tx, err := db.write.BeginTx(ctx, nil)
	if err != nil {
		return fault(ctx, doing, err)
	}
	err = do(tx)
	if err == nil && !db.wrote.Load() {
		err = unseal(ctx, tx)
	}
	if err != nil {
		_ = tx.Rollback() // the first error is the one to tell
		return fault(ctx, doing, err)
	}
	if err = tx.Commit(); err == nil { // one that fails is rolled back by the driver
		db.wrote.Store(true)
	}
	step.Done("committed: " + doing)
	return fault(ctx, doing, err)
}
