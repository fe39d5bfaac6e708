package ledger

import (
	"context"
	"database/sql"
	"fmt"
	"iter"

	"postcask/migrate"
)

// pageRows is how many rows are read at a time: enough to make a query's cost small, few enough to hold.
const pageRows = 500

const entryColumns = `e.validity, e.uid, e.name, e.state, e.retired IS NOT NULL, coalesce(d.path, ''),
	e.place_validity, e.place_uid, e.place_name, e.size, e.full, e.trimmed, e.flags, e.reason`

// scanEntry reads a row of entryColumns, and behind them what is in more.
func scanEntry(rows *sql.Rows, more ...any) (e migrate.Entry, err error) {
	var validity, uid, placeValidity, placeUID int64
	var name, dest, placeName, flags string
	var full, trimmed sql.RawBytes
	if err := rows.Scan(append([]any{&validity, &uid, &name, &e.State, &e.Retired, &dest,
		&placeValidity, &placeUID, &placeName, &e.Identity.Size, &full, &trimmed, &flags, &e.Reason}, more...)...); err != nil {
		return e, err
	}
	if e.Key, err = decodeKey(validity, uid, name); err != nil {
		return e, err
	}
	if e.Place, err = decodeKey(placeValidity, placeUID, placeName); err != nil {
		return e, err
	}
	if err := decodeDigest(&e.Identity.Full, full); err != nil {
		return e, err
	}
	if err := decodeDigest(&e.Identity.Trimmed, trimmed); err != nil {
		return e, err
	}
	e.Mailbox, e.Flags = migrate.Path(dest), decodeFlags(flags)
	return e, nil
}

// Lookup implements migrate.Ledger.
func (l *Ledger) Lookup(ctx context.Context, mbox migrate.Path, keys []migrate.Key) ([]migrate.Entry, error) {
	entries := make([]migrate.Entry, len(keys))
	for i, key := range keys {
		entries[i].Key = key
	}
	if len(keys) == 0 {
		return entries, ctx.Err()
	}
	doing := fmt.Sprintf("look up messages of %q", mbox)
	tx, err := l.db.read.BeginTx(ctx, &sql.TxOptions{ReadOnly: true}) // one view for all keys
	if err != nil {
		return nil, fault(ctx, doing, err)
	}
	defer func() { _ = tx.Rollback() }() // nothing was written
	box, err := l.box(ctx, tx, sourceSide, mbox)
	if err != nil {
		return nil, fault(ctx, doing, err)
	}
	if box == 0 {
		return entries, nil
	}
	find, err := tx.PrepareContext(ctx, `SELECT `+entryColumns+` FROM entries e LEFT JOIN boxes d ON d.id = e.dest
		WHERE e.box = ? AND e.validity = ? AND e.uid = ? AND e.name = ?`)
	if err != nil {
		return nil, fault(ctx, doing, err)
	}
	defer find.Close()
	for i, key := range keys {
		rows, err := find.QueryContext(ctx, box, key.Validity, key.UID, key.Name)
		if err != nil {
			return nil, fault(ctx, doing, err)
		}
		if rows.Next() {
			if entries[i], err = scanEntry(rows); err != nil {
				_ = rows.Close()
				return nil, fault(ctx, doing, err)
			}
		}
		_ = rows.Close() // Err tells more
		if err := rows.Err(); err != nil {
			return nil, fault(ctx, doing, err)
		}
	}
	return entries, nil
}

// Entries implements migrate.Ledger. It reads in pages: what is recorded while it is under way may be among them or not.
func (l *Ledger) Entries(ctx context.Context, mbox migrate.Path) iter.Seq2[migrate.Entry, error] {
	const query = `SELECT ` + entryColumns + ` FROM entries e LEFT JOIN boxes d ON d.id = e.dest
		WHERE e.box = ? AND (e.validity, e.uid, e.name) > (?, ?, ?) ORDER BY e.validity, e.uid, e.name LIMIT ?`
	doing := fmt.Sprintf("read the ledger of %q", mbox)
	return func(yield func(migrate.Entry, error) bool) {
		box, err := l.box(ctx, l.db.read, sourceSide, mbox)
		if err != nil {
			yield(migrate.Entry{}, fault(ctx, doing, err))
			return
		}
		if box == 0 {
			return
		}
		after := []any{-1, 0, ""} // less than any key
		stream(ctx, l.db.read, doing, yield, func(rows *sql.Rows) (migrate.Entry, error) {
			e, err := scanEntry(rows)
			after = []any{e.Key.Validity, e.Key.UID, e.Key.Name}
			return e, err
		}, func() (string, []any) {
			return query, append(append([]any{box}, after...), pageRows)
		})
	}
}

// Claims implements migrate.Ledger, in the order of places. It reads in pages, as Entries does.
func (l *Ledger) Claims(ctx context.Context, dest migrate.Path) iter.Seq2[migrate.Entry, error] {
	const place = `e.place_validity, e.place_uid, e.place_name, e.box, e.validity, e.uid, e.name`
	const query = `SELECT ` + entryColumns + `, e.box FROM entries e JOIN boxes d ON d.id = e.dest
		WHERE e.dest = ? AND e.state = ? AND e.retired IS NULL AND (` + place + `) > (?, ?, ?, ?, ?, ?, ?)
		ORDER BY ` + place + ` LIMIT ?`
	doing := fmt.Sprintf("read what lies in %q", dest)
	return func(yield func(migrate.Entry, error) bool) {
		id, err := l.box(ctx, l.db.read, destinationSide, dest)
		if err != nil {
			yield(migrate.Entry{}, fault(ctx, doing, err))
			return
		}
		if id == 0 {
			return
		}
		after := []any{-1, 0, "", 0, 0, 0, ""}
		stream(ctx, l.db.read, doing, yield, func(rows *sql.Rows) (migrate.Entry, error) {
			var box int64
			e, err := scanEntry(rows, &box)
			after = []any{e.Place.Validity, e.Place.UID, e.Place.Name, box, e.Key.Validity, e.Key.UID, e.Key.Name}
			return e, err
		}, func() (string, []any) {
			return query, append(append([]any{id, migrate.Arrived}, after...), pageRows)
		})
	}
}

// stream yields row by row what next asks for, a page at a time, until a page is not full. No query is open while it
// yields, so that the caller may take its time and use the database.
func stream[T any](ctx context.Context, q *sql.DB, doing string, yield func(T, error) bool,
	scan func(*sql.Rows) (T, error), next func() (query string, args []any),
) {
	page := make([]T, 0, pageRows)
	for {
		var err error
		query, args := next()
		if page, err = fill(ctx, q, page[:0], scan, query, args); err != nil {
			var none T
			yield(none, fault(ctx, doing, err))
			return
		}
		for _, item := range page {
			if !yield(item, nil) {
				return
			}
		}
		if len(page) < pageRows {
			return
		}
	}
}

// fill appends the rows of a query to page.
func fill[T any](ctx context.Context, q *sql.DB, page []T, scan func(*sql.Rows) (T, error), query string, args []any) ([]T, error) {
	rows, err := q.QueryContext(ctx, query, args...)
	if err != nil {
		return page, err
	}
	return collect(rows, page, scan)
}

// collect appends what is left of rows to items, and closes rows.
func collect[T any](rows *sql.Rows, items []T, scan func(*sql.Rows) (T, error)) ([]T, error) {
	defer rows.Close()
	for rows.Next() {
		item, err := scan(rows)
		if err != nil {
			return items, err
		}
		items = append(items, item)
	}
	return items, rows.Err()
}
