package ledger

import (
	"context"
	"database/sql"
	"fmt"
	"strings"

	"postcask/migrate"
)

const (
	applicationID = 0x7063736b // "pcsk", so that file(1) and we know our own
	version       = 3          // in PRAGMA user_version; a higher one is refused
	sumsSince     = 3          // the first version whose pages have sums
)

// schema is version 1, on which upgrades build. Names that repeat (accounts, mailboxes) are rows of their own, so that an entry stays small.
// Times are seconds since 1970; digests are blobs of 32 octets or NULL where not known.
const schema = `
CREATE TABLE meta (
	key   TEXT PRIMARY KEY,
	value TEXT NOT NULL
) STRICT, WITHOUT ROWID;

CREATE TABLE accounts (
	id   INTEGER PRIMARY KEY,
	name TEXT NOT NULL UNIQUE
) STRICT;

CREATE TABLE pairs (
	id          INTEGER PRIMARY KEY,
	source      INTEGER NOT NULL REFERENCES accounts(id),
	destination INTEGER NOT NULL REFERENCES accounts(id),
	UNIQUE (source, destination)
) STRICT;

-- A mailbox of either end of a pair: side 0 is the source's, with its state when last dealt with, 1 the destination's.
CREATE TABLE boxes (
	id            INTEGER PRIMARY KEY,
	pair          INTEGER NOT NULL REFERENCES pairs(id),
	side          INTEGER NOT NULL,
	path          TEXT NOT NULL,
	seen_messages INTEGER,
	seen_validity INTEGER,
	seen_next     INTEGER,
	seen_modseq   INTEGER,
	UNIQUE (pair, side, path)
) STRICT;

CREATE TABLE entries (
	box            INTEGER NOT NULL REFERENCES boxes(id),
	validity       INTEGER NOT NULL,
	uid            INTEGER NOT NULL,
	name           TEXT NOT NULL,
	state          INTEGER NOT NULL,
	retired        INTEGER,
	dest           INTEGER REFERENCES boxes(id),
	place_validity INTEGER NOT NULL,
	place_uid      INTEGER NOT NULL,
	place_name     TEXT NOT NULL,
	size           INTEGER NOT NULL,
	full           BLOB,
	trimmed        BLOB,
	flags          TEXT NOT NULL,
	reason         TEXT NOT NULL,
	updated        INTEGER NOT NULL,
	PRIMARY KEY (box, validity, uid, name)
) STRICT, WITHOUT ROWID;

CREATE INDEX entries_place ON entries (dest, place_validity, place_uid, place_name) WHERE dest IS NOT NULL;
CREATE INDEX entries_retired ON entries (dest, place_validity, place_uid, place_name) WHERE retired IS NOT NULL;

CREATE TABLE mailboxes (
	id         INTEGER PRIMARY KEY,
	path       TEXT NOT NULL UNIQUE,
	role       TEXT NOT NULL,
	subscribed INTEGER NOT NULL,
	noselect   INTEGER NOT NULL,
	file       TEXT NOT NULL,
	"end"      INTEGER NOT NULL,
	messages   INTEGER NOT NULL,
	octets     INTEGER NOT NULL
) STRICT;

CREATE TABLE messages (
	id         INTEGER PRIMARY KEY AUTOINCREMENT,
	mailbox    INTEGER NOT NULL REFERENCES mailboxes(id),
	base       TEXT NOT NULL,
	"offset"   INTEGER NOT NULL,
	length     INTEGER NOT NULL,
	raw        INTEGER NOT NULL,
	no_newline INTEGER NOT NULL,
	date       INTEGER,
	zone       INTEGER NOT NULL,
	flags      TEXT NOT NULL,
	size       INTEGER NOT NULL,
	full       BLOB,
	trimmed    BLOB,
	message_id TEXT NOT NULL,
	added      INTEGER NOT NULL
) STRICT;

CREATE INDEX messages_mailbox ON messages (mailbox);
CREATE INDEX messages_trimmed ON messages (trimmed, mailbox);

CREATE TABLE runs (
	id          INTEGER PRIMARY KEY AUTOINCREMENT,
	command     TEXT NOT NULL,
	source      TEXT NOT NULL,
	destination TEXT NOT NULL,
	started     INTEGER NOT NULL,
	ended       INTEGER,
	"exit"      INTEGER NOT NULL,
	summary     TEXT NOT NULL
) STRICT;

CREATE TABLE events (
	id       INTEGER PRIMARY KEY AUTOINCREMENT,
	time     INTEGER NOT NULL,
	kind     TEXT NOT NULL,
	mailbox  TEXT NOT NULL,
	validity INTEGER NOT NULL,
	uid      INTEGER NOT NULL,
	name     TEXT NOT NULL,
	text     TEXT NOT NULL
) STRICT;
`

// upgrades[i] makes version i+2 of version i+1.
var upgrades = [...]string{
	// What the source told of a message, so that a key that is given to another is noticed, and what was tried with one
	// that was set aside.
	`ALTER TABLE entries ADD COLUMN listed_size INTEGER;
	ALTER TABLE entries ADD COLUMN listed_date INTEGER;
	ALTER TABLE entries ADD COLUMN tried INTEGER;
	ALTER TABLE entries ADD COLUMN program TEXT;
	ALTER TABLE entries ADD COLUMN "limit" INTEGER;`,
	// Pages have sums instead of the whole file. What arrived from a mailbox, or lies in one, is counted as it comes, since
	// to count it took as long as to read all. The index of digests is made when it is asked for: kept in no order of time, it cost each message a
	// page of the log and of the file.
	`DELETE FROM meta WHERE key = 'seal';
	DROP INDEX messages_trimmed;
	ALTER TABLE boxes ADD COLUMN arrived INTEGER NOT NULL DEFAULT 0;
	UPDATE boxes SET arrived = (SELECT count(*) FROM entries WHERE (box = boxes.id OR dest = boxes.id) AND state = 1 AND retired IS NULL);
	CREATE TRIGGER entries_insert AFTER INSERT ON entries WHEN new.state = 1 AND new.retired IS NULL BEGIN
		UPDATE boxes SET arrived = arrived + 1 WHERE id = new.box; -- two boxes, but never IN: that makes a table of them
		UPDATE boxes SET arrived = arrived + 1 WHERE id = new.dest;
	END;
	CREATE TRIGGER entries_delete AFTER DELETE ON entries WHEN old.state = 1 AND old.retired IS NULL BEGIN
		UPDATE boxes SET arrived = arrived - 1 WHERE id IN (old.box, old.dest);
	END;
	CREATE TRIGGER entries_update AFTER UPDATE OF state, retired, dest ON entries
	WHEN (new.state = 1 AND new.retired IS NULL) <> (old.state = 1 AND old.retired IS NULL) OR new.dest IS NOT old.dest BEGIN
		UPDATE boxes SET arrived = arrived - 1 WHERE old.state = 1 AND old.retired IS NULL AND id IN (old.box, old.dest);
		UPDATE boxes SET arrived = arrived + 1 WHERE new.state = 1 AND new.retired IS NULL AND id IN (new.box, new.dest);
	END;`,
}

type querier interface {
	QueryRowContext(ctx context.Context, query string, args ...any) *sql.Row
}

// inspect tells the version of the database, 0 for one that is empty, and refuses one that is not ours or newer.
func inspect(ctx context.Context, q querier) (have int64, err error) {
	var app, tables int64
	row := q.QueryRowContext(ctx, `SELECT (SELECT application_id FROM pragma_application_id),
		(SELECT user_version FROM pragma_user_version), (SELECT count(*) FROM sqlite_schema)`)
	if err := row.Scan(&app, &have, &tables); err != nil {
		return 0, err
	}
	switch {
	case app == 0 && have == 0 && tables == 0:
		return 0, nil
	case app != applicationID:
		return 0, damaged("a database, but not one of postcask")
	case have > version:
		return 0, &migrate.Error{
			Kind: migrate.Damaged, Hint: newerHint,
			Err: fmt.Errorf("its version is %d, this program knows %d", have, version),
		}
	case have < 1:
		return 0, damaged("its version is %d", have)
	}
	return have, nil
}

// upgrade makes the tables, or brings them to the present version, unless another process was faster.
func upgrade(ctx context.Context, tx *sql.Tx) error {
	have, err := inspect(ctx, tx)
	if err != nil || have == version {
		return err
	}
	var steps strings.Builder
	if have == 0 {
		fmt.Fprintf(&steps, "%sPRAGMA application_id=%d;", schema, applicationID)
		have = 1
	}
	for _, step := range upgrades[have-1:] {
		steps.WriteString(step)
	}
	fmt.Fprintf(&steps, "PRAGMA user_version=%d;", version)
	_, err = tx.ExecContext(ctx, steps.String())
	return err
}
