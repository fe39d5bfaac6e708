package ledger

import (
	"context"
	"database/sql"
	"fmt"
	"strconv"

	"postcask/migrate"
)

// Forget takes messages whose octets are gone out of the index, durably and all or none: their rows, and what any ledger
// kept here knows of a copy there, so that the next run fetches them again from a source that still has them.
// destination is how the ledgers name the archive. IDs that the mailbox does not have are passed by.
func (db *DB) Forget(ctx context.Context, path migrate.Path, ids []int64, destination string) error {
	if len(ids) == 0 {
		return ctx.Err()
	}
	return db.update(ctx, fmt.Sprintf("forget messages of %q", path), func(ctx context.Context, tx *sql.Tx) error {
		mailbox, err := mailboxID(ctx, tx, path)
		if err != nil {
			return err
		}
		remove, err := tx.PrepareContext(ctx, `DELETE FROM messages WHERE id = ? AND mailbox = ? RETURNING size`)
		if err != nil {
			return err
		}
		defer remove.Close()
		disown, err := tx.PrepareContext(ctx, `DELETE FROM entries WHERE place_name = ? AND state = ? AND dest IN (SELECT b.id FROM boxes b
			JOIN pairs p ON p.id = b.pair JOIN accounts d ON d.id = p.destination
			WHERE b.side = ? AND b.path = ? AND d.name = ?)`)
		if err != nil {
			return err
		}
		defer disown.Close()
		var count, octets int64
		for _, id := range ids {
			var size int64
			switch err := remove.QueryRowContext(ctx, id, mailbox).Scan(&size); err {
			case nil:
				count, octets = count+1, octets+size
			case sql.ErrNoRows:
				continue
			default:
				return err
			}
			if _, err := disown.ExecContext(ctx, strconv.FormatInt(id, 10), migrate.Arrived, destinationSide, string(path), destination); err != nil {
				return err
			}
		}
		_, err = tx.ExecContext(ctx, `UPDATE mailboxes SET messages = messages - ?, octets = octets - ? WHERE id = ?`, count, octets, mailbox)
		return err
	})
}

// Destinations names the destinations of the ledgers that are kept here, in no order.
func (db *DB) Destinations(ctx context.Context) ([]string, error) {
	names, err := fill(ctx, db.read, nil, func(rows *sql.Rows) (name string, err error) {
		err = rows.Scan(&name)
		return name, err
	}, `SELECT DISTINCT d.name FROM pairs p JOIN accounts d ON d.id = p.destination`, nil)
	return names, fault(ctx, "list destinations", err)
}
