package ledger

import (
	"context"
	"database/sql"
	"errors"
	"fmt"

	"postcask/migrate"
)

// A Ledger is the ledger of one pair of ends. It is safe for use by several goroutines.
type Ledger struct {
	db                  *DB
	source, destination string
}

var _ migrate.Ledger = (*Ledger)(nil)

// Ledger gives the ledger between source and destination, whose names are opaque and must stay the same from run to
// run. Nothing is written before the first Record or SetSeen.
func (db *DB) Ledger(ctx context.Context, source, destination string) (*Ledger, error) {
	if err := ctx.Err(); err != nil {
		return nil, fmt.Errorf("open the ledger of %q and %q: %w", source, destination, err)
	}
	return &Ledger{db: db, source: source, destination: destination}, nil
}

// The two ends of a pair, in boxes.side.
const (
	sourceSide = iota
	destinationSide
)

// box gives the number of a mailbox of one end, or 0 where the ledger has not met it.
func (l *Ledger) box(ctx context.Context, q querier, side int, path migrate.Path) (id int64, err error) {
	err = q.QueryRowContext(ctx, `SELECT b.id FROM boxes b JOIN pairs p ON p.id = b.pair
		JOIN accounts s ON s.id = p.source JOIN accounts d ON d.id = p.destination
		WHERE s.name = ? AND d.name = ? AND b.side = ? AND b.path = ?`,
		l.source, l.destination, side, string(path)).Scan(&id)
	if errors.Is(err, sql.ErrNoRows) {
		return 0, nil
	}
	return id, err
}

// makeBox is box, and makes what is not there yet.
func (l *Ledger) makeBox(ctx context.Context, tx *sql.Tx, side int, path migrate.Path) (int64, error) {
	id, err := l.box(ctx, tx, side, path)
	if err != nil || id != 0 {
		return id, err
	}
	for _, name := range []string{l.source, l.destination} {
		if _, err := tx.ExecContext(ctx, `INSERT INTO accounts (name) VALUES (?) ON CONFLICT DO NOTHING`, name); err != nil {
			return 0, err
		}
	}
	const pair = `FROM accounts s, accounts d WHERE s.name = ? AND d.name = ?`
	if _, err := tx.ExecContext(ctx, `INSERT INTO pairs (source, destination) SELECT s.id, d.id `+pair+` ON CONFLICT DO NOTHING`,
		l.source, l.destination); err != nil {
		return 0, err
	}
	if _, err := tx.ExecContext(ctx, `INSERT INTO boxes (pair, side, path)
		SELECT p.id, ?, ? FROM pairs p WHERE (p.source, p.destination) = (SELECT s.id, d.id `+pair+`)`,
		side, string(path), l.source, l.destination); err != nil {
		return 0, err
	}
	return l.box(ctx, tx, side, path)
}

// Count implements migrate.Ledger.
func (l *Ledger) Count(ctx context.Context, mbox migrate.Path) (n int64, err error) {
	doing := fmt.Sprintf("count what arrived of %q", mbox)
	box, err := l.box(ctx, l.db.read, sourceSide, mbox)
	if err != nil || box == 0 {
		return 0, fault(ctx, doing, err)
	}
	query := `SELECT arrived FROM boxes WHERE id = ?`
	if l.db.version < 3 { // before it was counted
		query = `SELECT count(*) FROM entries WHERE box = ? AND state = 1 AND retired IS NULL`
	}
	err = l.db.read.QueryRowContext(ctx, query, box).Scan(&n)
	return n, fault(ctx, doing, err)
}

// Retire implements migrate.Ledger. Keys that are not known are passed by.
func (l *Ledger) Retire(ctx context.Context, mbox migrate.Path, keys []migrate.Key) error {
	if len(keys) == 0 {
		return ctx.Err()
	}
	now := l.db.now().Unix()
	return l.db.update(ctx, fmt.Sprintf("retire messages of %q", mbox), func(ctx context.Context, tx *sql.Tx) error {
		box, err := l.box(ctx, tx, sourceSide, mbox)
		if err != nil || box == 0 {
			return err
		}
		retire, err := tx.PrepareContext(ctx, `UPDATE entries SET retired = ?, updated = ?
			WHERE box = ? AND validity = ? AND uid = ? AND name = ? AND retired IS NULL`)
		if err != nil {
			return err
		}
		defer retire.Close()
		for _, key := range keys {
			if _, err := retire.ExecContext(ctx, now, now, box, key.Validity, key.UID, key.Name); err != nil {
				return err
			}
		}
		return nil
	})
}

// Seen implements migrate.Ledger.
func (l *Ledger) Seen(ctx context.Context, mbox migrate.Path) (status migrate.Status, ok bool, err error) {
	doing := fmt.Sprintf("look up the state of %q", mbox)
	box, err := l.box(ctx, l.db.read, sourceSide, mbox)
	if err != nil || box == 0 {
		return status, false, fault(ctx, doing, err)
	}
	var messages, validity, next, modseq sql.NullInt64
	err = l.db.read.QueryRowContext(ctx, `SELECT seen_messages, seen_validity, seen_next, seen_modseq FROM boxes WHERE id = ?`,
		box).Scan(&messages, &validity, &next, &modseq)
	if err != nil || !messages.Valid {
		return status, false, fault(ctx, doing, err)
	}
	key, err := decodeKey(validity.Int64, next.Int64, "")
	if err != nil {
		return status, false, fault(ctx, doing, err)
	}
	return migrate.Status{
		Messages: messages.Int64, UIDValidity: key.Validity, UIDNext: key.UID, HighestModSeq: uint64(modseq.Int64),
	}, true, nil
}

// SetSeen implements migrate.Ledger.
func (l *Ledger) SetSeen(ctx context.Context, mbox migrate.Path, status migrate.Status) error {
	return l.db.update(ctx, fmt.Sprintf("note the state of %q", mbox), func(ctx context.Context, tx *sql.Tx) error {
		box, err := l.makeBox(ctx, tx, sourceSide, mbox)
		if err != nil {
			return err
		}
		// A column holds 63 bits and a sign; a server may send all 64.
		_, err = tx.ExecContext(ctx, `UPDATE boxes SET seen_messages = ?, seen_validity = ?, seen_next = ?, seen_modseq = ? WHERE id = ?`,
			status.Messages, status.UIDValidity, status.UIDNext, int64(status.HighestModSeq), box)
		return err
	})
}
