package ledger

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"iter"
	"time"

	"postcask/migrate"
)

// Meta gives the value that SetMeta was told last for key, or "".
func (db *DB) Meta(ctx context.Context, key string) (value string, err error) {
	err = db.read.QueryRowContext(ctx, `SELECT value FROM meta WHERE key = ?`, key).Scan(&value)
	if errors.Is(err, sql.ErrNoRows) {
		return "", nil
	}
	return value, fault(ctx, fmt.Sprintf("read %q", key), err)
}

// SetMeta keeps a value under key, durably.
func (db *DB) SetMeta(ctx context.Context, key, value string) error {
	return db.update(ctx, fmt.Sprintf("keep %q", key), func(ctx context.Context, tx *sql.Tx) error {
		_, err := tx.ExecContext(ctx, `INSERT INTO meta VALUES (?, ?) ON CONFLICT (key) DO UPDATE SET value = excluded.value`, key, value)
		return err
	})
}

// StartRun notes that a command begins, and gives the number to end it by. Started, where zero, is now. The names of
// the ends must hold no secret.
func (db *DB) StartRun(ctx context.Context, r Run) (id int64, err error) {
	if r.Started.IsZero() {
		r.Started = db.now()
	}
	err = db.update(ctx, "note the start of the run", func(ctx context.Context, tx *sql.Tx) error {
		result, err := tx.ExecContext(ctx, `INSERT INTO runs (command, source, destination, started, "exit", summary) VALUES (?, ?, ?, ?, 0, '')`,
			r.Command, r.Source, r.Destination, r.Started.Unix())
		if err != nil {
			return err
		}
		id, err = result.LastInsertId()
		return err
	})
	return id, err
}

// EndRun notes how the run that StartRun numbered has ended: its exit status and its summary as JSON.
func (db *DB) EndRun(ctx context.Context, id int64, exit int, summary string) error {
	return db.update(ctx, "note the end of the run", func(ctx context.Context, tx *sql.Tx) error {
		_, err := tx.ExecContext(ctx, `UPDATE runs SET ended = ?, "exit" = ?, summary = ? WHERE id = ?`, db.now().Unix(), exit, summary, id)
		return err
	})
}

// Runs gives the last runs, at most limit of them, the newest first.
func (db *DB) Runs(ctx context.Context, limit int) ([]Run, error) {
	runs, err := fill(ctx, db.read, nil, func(rows *sql.Rows) (r Run, err error) {
		var started int64
		var ended sql.NullInt64
		err = rows.Scan(&r.ID, &r.Command, &r.Source, &r.Destination, &started, &ended, &r.Exit, &r.Summary)
		r.Started, r.Ended = time.Unix(started, 0).UTC(), decodeDate(ended, 0)
		return r, err
	}, `SELECT id, command, source, destination, started, ended, "exit", summary FROM runs ORDER BY id DESC LIMIT ?`, []any{limit})
	if err != nil {
		return nil, fault(ctx, "list runs", err)
	}
	return runs, nil
}

// AddEvent notes something worth knowing later, durably. Mailbox and key may be zero.
func (db *DB) AddEvent(ctx context.Context, kind string, mailbox migrate.Path, key migrate.Key, text string) error {
	return db.AddEvents(ctx, []Event{{Kind: kind, Mailbox: mailbox, Key: key, Text: text}})
}

// AddEvents is AddEvent for several, all or none. Their IDs and times are given here.
func (db *DB) AddEvents(ctx context.Context, events []Event) error {
	if len(events) == 0 {
		return ctx.Err()
	}
	now := db.now().Unix()
	return db.update(ctx, "note events", func(ctx context.Context, tx *sql.Tx) error {
		insert, err := tx.PrepareContext(ctx, `INSERT INTO events (time, kind, mailbox, validity, uid, name, text) VALUES (?, ?, ?, ?, ?, ?, ?)`)
		if err != nil {
			return err
		}
		defer insert.Close()
		for _, e := range events {
			if _, err := insert.ExecContext(ctx, now, e.Kind, string(e.Mailbox), e.Key.Validity, e.Key.UID, e.Key.Name, e.Text); err != nil {
				return err
			}
		}
		return nil
	})
}

// Events yields the events whose ID is greater than after, in the order they came.
func (db *DB) Events(ctx context.Context, after int64) iter.Seq2[Event, error] {
	return func(yield func(Event, error) bool) {
		last := after
		stream(ctx, db.read, "read events", yield, func(rows *sql.Rows) (e Event, err error) {
			var when, validity, uid int64
			var mailbox, name string
			if err := rows.Scan(&e.ID, &when, &e.Kind, &mailbox, &validity, &uid, &name, &e.Text); err != nil {
				return e, err
			}
			e.Time, e.Mailbox, last = time.Unix(when, 0).UTC(), migrate.Path(mailbox), e.ID
			e.Key, err = decodeKey(validity, uid, name)
			return e, err
		}, func() (string, []any) {
			return `SELECT id, time, kind, mailbox, validity, uid, name, text FROM events WHERE id > ? ORDER BY id LIMIT ?`, []any{last, pageRows}
		})
	}
}
