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
	write   *sql.DB // one connection; nil when read-only
	queue   queue   // of those who want to write
	// statements are kept, by their queries, for whoever's turn it is to write.
	statements map[string]*sql.Stmt
	now        func() time.Time
	indexed    atomic.Bool // by digest, until Close
}

// Open opens the database at path. With o.Create a missing one is made, with mode 0600, and its directory synced; its
// neighbours path-wal and path-shm take its mode. A link in its place is refused. An error is of kind Damaged where the
// file is missing, is no database or not one of postcask, is shorter than it says, or comes from a newer version; of
// kind Locked where another process kept it busy. Open does not read the whole file, whatever its size: what is damaged
// in it is told by whoever reads that, and by Check. To write, a file of an older version is brought to the present one.
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
	db := &DB{path: full, now: time.Now, queue: queue{turn: make(chan struct{}, 1)}}
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
	have, err := db.openWriter(ctx, busy)
	if err == nil && have > 0 && have < version {
		if err = db.write.Close(); err == nil {
			err = modernize(ctx, db.path, busy)
		}
		if err == nil {
			have, err = db.openWriter(ctx, busy)
		}
	}
	if err != nil {
		return err
	}
	if have == 0 {
		if !o.Create {
			return damaged("it holds no tables")
		}
		if err := db.update(ctx, "make the tables", upgrade); err != nil {
			return err
		}
	}
	db.version = version
	db.read, err = connect(db.path, busy, "mode=rw", "query_only(1)")
	return err
}

// openWriter goes before the readers: it makes the write-ahead log that they need.
func (db *DB) openWriter(ctx context.Context, busy time.Duration) (have int64, err error) {
	if db.write, err = connect(db.path, busy, "mode=rw&_txlock=immediate", "journal_mode(wal)", "synchronous(full)"); err != nil {
		return 0, err
	}
	db.write.SetMaxOpenConns(1)
	return inspect(ctx, db.write)
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
		return damaged("it holds no tables")
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
	if err := registerVFS(); err != nil {
		return nil, err
	}
	name := url.URL{Scheme: "file", Path: filepath.ToSlash(path), RawQuery: query + "&vfs=" + vfsName}
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
	var errs []error
	if db.indexed.Load() {
		_ = db.update(context.Background(), "drop the index of digests", func(ctx context.Context, tx *sql.Tx) error {
			_, err := tx.ExecContext(ctx, `DROP INDEX IF EXISTS messages_trimmed`)
			return err
		}) // one that stays costs time, nothing else
	}
	for _, pool := range []*sql.DB{db.read, db.write} { // the writer last: it folds the log into the file
		if pool != nil {
			errs = append(errs, pool.Close())
		}
	}
	if err := errors.Join(errs...); err != nil {
		return fmt.Errorf("close %q: %w", db.path, err)
	}
	return nil
}

// Check reads all that counts in the file and tells the first thing wrong with it, as an error of kind Damaged: a page
// that is not, to the bit, as it was written, a structure that makes no sense, a row that refers to none.
func (db *DB) Check(ctx context.Context) error {
	doing := fmt.Sprintf("check %q", db.path)
	var verdict string
	if err := db.read.QueryRowContext(ctx, `PRAGMA integrity_check(1)`).Scan(&verdict); err != nil {
		return fault(ctx, doing, err)
	}
	if verdict != "ok" {
		return fault(ctx, doing, damaged("%s", verdict))
	}
	for _, c := range checks {
		if db.version < c.since {
			continue
		}
		var found bool
		if err := db.read.QueryRowContext(ctx, `SELECT EXISTS (`+c.query+`)`).Scan(&found); err != nil {
			return fault(ctx, doing, err)
		}
		if found {
			return fault(ctx, doing, damaged("%s", c.means))
		}
	}
	return nil
}

// checks are queries that find nothing in a database that is sound.
var checks = []struct {
	query, means string
	since        int64
}{
	{query: `SELECT * FROM pragma_foreign_key_check`, means: "a row refers to another that is not there"},
	{query: `SELECT * FROM boxes b WHERE arrived <> (SELECT count(*) FROM entries WHERE (box = b.id OR dest = b.id) AND state = 1 AND retired IS NULL)`,
		means: "what has arrived is miscounted", since: 3},
	{query: `SELECT * FROM mailboxes b WHERE (messages, octets) <> (SELECT count(*), coalesce(sum(size), 0) FROM messages WHERE mailbox = b.id)`,
		means: "the messages of a mailbox are miscounted"},
}
