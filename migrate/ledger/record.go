package ledger

import (
	"context"
	"database/sql"
	"fmt"
	"slices"

	"postcask/migrate"
)

const upsertEntry = `INSERT INTO entries (box, validity, uid, name, state, retired, dest, place_validity, place_uid, place_name,
		size, full, trimmed, flags, reason, updated, listed_size, listed_date, tried, program, "limit")
	VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)
	ON CONFLICT (box, validity, uid, name) DO UPDATE SET state = excluded.state,
		retired = CASE WHEN excluded.retired IS NULL THEN NULL ELSE coalesce(retired, excluded.retired) END,
		dest = excluded.dest, place_validity = excluded.place_validity, place_uid = excluded.place_uid,
		place_name = excluded.place_name, size = excluded.size, full = excluded.full, trimmed = excluded.trimmed,
		flags = excluded.flags, reason = excluded.reason, updated = excluded.updated, listed_size = excluded.listed_size,
		listed_date = excluded.listed_date, tried = excluded.tried, program = excluded.program, "limit" = excluded."limit"`

// Where nothing is retired, as in most runs, nothing has to be forgotten.
const hasRetired = `SELECT EXISTS (SELECT 1 FROM entries WHERE retired IS NOT NULL AND dest IS NOT NULL)`

// A place that a recorded entry takes over is no longer that of a retired one.
const forgetRetired = `DELETE FROM entries WHERE dest = ? AND place_validity = ? AND place_uid = ? AND place_name = ?
	AND retired IS NOT NULL AND NOT (box = ? AND validity = ? AND uid = ? AND name = ?)`

// Within one group a retired entry may come after the one that took its place.
const forgetOvertaken = `DELETE FROM entries WHERE dest = ?1 AND place_validity = ?2 AND place_uid = ?3 AND place_name = ?4
	AND retired IS NOT NULL AND EXISTS (SELECT 1 FROM entries WHERE dest = ?1 AND place_validity = ?2 AND place_uid = ?3
		AND place_name = ?4 AND retired IS NULL)`

// Record implements migrate.Ledger.
func (l *Ledger) Record(ctx context.Context, mbox migrate.Path, entries []migrate.Entry) error {
	if len(entries) == 0 {
		return ctx.Err()
	}
	return l.record(ctx, mbox, entries, false)
}

// Intend implements migrate.Ledger. From now on nobody can answer for what lies where the messages go.
func (l *Ledger) Intend(ctx context.Context, mbox migrate.Path, entries []migrate.Entry) error {
	intended := slices.Clone(entries)
	for i := range intended {
		intended[i].State, intended[i].Retired = migrate.Intended, false
	}
	if len(intended) == 0 {
		return ctx.Err()
	}
	return l.record(ctx, mbox, intended, true)
}

func (l *Ledger) record(ctx context.Context, mbox migrate.Path, entries []migrate.Entry, intended bool) error {
	return l.db.update(ctx, fmt.Sprintf("record messages of %q", mbox), func(ctx context.Context, tx *sql.Tx) error {
		box, err := l.makeBox(ctx, tx, sourceSide, mbox)
		if err != nil {
			return err
		}
		r := recorder{ledger: l, tx: tx, box: box, now: l.db.now().Unix(), dests: map[migrate.Path]int64{}}
		if err := r.record(ctx, entries); err != nil || !intended {
			return err
		}
		for _, dest := range r.dests {
			if _, err := tx.ExecContext(ctx, unaccounted, dest); err != nil {
				return err
			}
		}
		return nil
	}, upsertEntry)
}

// A recorder writes the entries of one transaction.
type recorder struct {
	ledger *Ledger
	tx     *sql.Tx
	box    int64
	now    int64
	dests  map[migrate.Path]int64 // boxes of the destination met so far
}

func (r *recorder) record(ctx context.Context, entries []migrate.Entry) error {
	upsert := r.ledger.db.statement(ctx, r.tx, upsertEntry)
	forget, err := r.forgetter(ctx, entries)
	if err != nil {
		return err
	}
	if forget != nil {
		defer forget.Close()
	}
	for _, e := range entries {
		dest, err := r.dest(ctx, e.Mailbox)
		if err != nil {
			return err
		}
		var gone any
		if e.Retired {
			gone = r.now
		}
		full, trimmed := encodeIdentity(e.Identity)
		if _, err := upsert.ExecContext(ctx, r.box, e.Key.Validity, e.Key.UID, e.Key.Name, e.State, gone,
			dest, e.Place.Validity, e.Place.UID, e.Place.Name,
			e.Identity.Size, full, trimmed, encodeFlags(e.Flags), e.Attempt.Reason, r.now, known(e.Listed.Size), unix(e.Listed.Date),
			unix(e.Attempt.Time), e.Attempt.Program, known(e.Attempt.Limit)); err != nil {
			return err
		}
		if forget == nil || dest == nil || e.Place.IsZero() || e.State != migrate.Arrived { // only what arrived takes a place over
			continue
		}
		if _, err := forget.ExecContext(ctx, dest, e.Place.Validity, e.Place.UID, e.Place.Name,
			r.box, e.Key.Validity, e.Key.UID, e.Key.Name); err != nil {
			return err
		}
	}
	return r.forgetAmong(ctx, entries)
}

// forgetter gives the statement that forgets those whose place was taken over, or nil where nobody's can be.
func (r *recorder) forgetter(ctx context.Context, entries []migrate.Entry) (*sql.Stmt, error) {
	if !slices.ContainsFunc(entries, isRetired) {
		var some bool
		if err := r.tx.QueryRowContext(ctx, hasRetired).Scan(&some); err != nil || !some {
			return nil, err
		}
	}
	return r.tx.PrepareContext(ctx, forgetRetired)
}

func isRetired(e migrate.Entry) bool { return e.Retired }

// forgetAmong forgets those of the group whose place was taken over before they came.
func (r *recorder) forgetAmong(ctx context.Context, entries []migrate.Entry) error {
	for _, e := range entries {
		if !e.Retired || e.Place.IsZero() {
			continue
		}
		dest, err := r.dest(ctx, e.Mailbox)
		if err != nil {
			return err
		}
		if dest == nil {
			continue
		}
		if _, err := r.tx.ExecContext(ctx, forgetOvertaken, dest, e.Place.Validity, e.Place.UID, e.Place.Name); err != nil {
			return err
		}
	}
	return nil
}

// dest gives the number of a mailbox of the destination, made if need be, or NULL for no mailbox.
func (r *recorder) dest(ctx context.Context, path migrate.Path) (any, error) {
	if path == "" {
		return nil, nil
	}
	id, ok := r.dests[path]
	if !ok {
		var err error
		if id, err = r.ledger.makeBox(ctx, r.tx, destinationSide, path); err != nil {
			return nil, err
		}
		r.dests[path] = id
	}
	return id, nil
}
