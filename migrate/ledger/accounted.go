package ledger

import (
	"context"
	"database/sql"
	"errors"
	"fmt"

	"postcask/migrate"
)

// A mailbox of the destination has its mark where one of the source has what was seen of it.
const (
	accountedQuery = `SELECT coalesce(seen_validity, 0), coalesce(seen_next, 0) FROM boxes WHERE id = ?`
	setAccounted   = `UPDATE boxes SET seen_validity = ?, seen_next = ? WHERE id = ?`
	unaccounted    = `UPDATE boxes SET seen_validity = NULL, seen_next = NULL WHERE id = ? AND seen_validity IS NOT NULL`
	retiredEntries = `SELECT e.validity, e.uid, e.name, ` + entryColumns + ` FROM entries e JOIN boxes d ON d.id = e.dest
		WHERE e.dest = ? AND e.retired IS NOT NULL AND e.state = ?`
)

// Accounted implements migrate.Accountant.
func (l *Ledger) Accounted(ctx context.Context, dest migrate.Path) (next migrate.Key, err error) {
	box, err := l.box(ctx, l.db.read, destinationSide, dest)
	if err == nil && box != 0 {
		err = l.db.read.QueryRowContext(ctx, accountedQuery, box).Scan(&next.Validity, &next.UID)
	}
	if errors.Is(err, sql.ErrNoRows) {
		err = nil
	}
	return next, fault(ctx, fmt.Sprintf("look up what lies in %q", dest), err)
}

// SetAccounted implements migrate.Accountant.
func (l *Ledger) SetAccounted(ctx context.Context, next map[migrate.Path]migrate.Key) error {
	return l.db.update(ctx, "note what lies in mailboxes", func(ctx context.Context, tx *sql.Tx) error {
		for dest, key := range next {
			box, err := l.makeBox(ctx, tx, destinationSide, dest)
			if err != nil {
				return err
			}
			if key.IsZero() {
				_, err = tx.ExecContext(ctx, unaccounted, box)
			} else {
				_, err = tx.ExecContext(ctx, setAccounted, key.Validity, key.UID, box)
			}
			if err != nil {
				return err
			}
		}
		return nil
	})
}

// Lying implements migrate.Accountant.
func (l *Ledger) Lying(ctx context.Context, dest migrate.Path) (arrived int64, retired []migrate.Entry, err error) {
	doing := fmt.Sprintf("count what lies in %q", dest)
	if l.db.version < 3 { // before, nothing was counted
		return 0, nil, fault(ctx, doing, errors.New("the file is from before this was counted"))
	}
	box, err := l.box(ctx, l.db.read, destinationSide, dest)
	if err != nil || box == 0 {
		return 0, nil, fault(ctx, doing, err)
	}
	err = l.db.read.QueryRowContext(ctx, `SELECT arrived FROM boxes WHERE id = ?`, box).Scan(&arrived)
	if err == nil {
		retired, err = fill(ctx, l.db.read, nil, func(rows *sql.Rows) (migrate.Entry, error) { return scanKeyAndEntry(rows) },
			retiredEntries, []any{box, migrate.Arrived})
	}
	return arrived, retired, fault(ctx, doing, err)
}

var _ migrate.Accountant = (*Ledger)(nil)
