package ledger

import (
	"context"
	"database/sql"
	"fmt"
	"iter"
	"slices"

	"postcask/migrate"
)

// pageRows is how many rows are read at a time: enough to make a query's cost small, few enough to hold.
const pageRows = 500

const (
	entriesQuery = `SELECT e.validity, e.uid, e.name, ` + entryColumns + ` FROM entries e LEFT JOIN boxes d ON d.id = e.dest
		WHERE e.box = ? AND (e.validity, e.uid, e.name) > (?, ?, ?) ORDER BY e.validity, e.uid, e.name LIMIT ?`
	claimsOrder = `e.place_validity, e.place_uid, e.place_name, e.box, e.validity, e.uid, e.name`
	claimsQuery = `SELECT e.validity, e.uid, e.name, ` + entryColumns + `, e.box FROM entries e JOIN boxes d ON d.id = e.dest
		WHERE e.dest = ? AND (e.state = ? AND e.retired IS NULL OR e.state = ?) AND (` + claimsOrder + `) > (?, ?, ?, ?, ?, ?, ?)
		ORDER BY ` + claimsOrder + ` LIMIT ?`
)

func scanKeyAndEntry(rows *sql.Rows, more ...any) (migrate.Entry, error) {
	var row entryRow
	var validity, uid int64
	var name string
	if err := rows.Scan(slices.Concat([]any{&validity, &uid, &name}, row.fields(), more)...); err != nil {
		return migrate.Entry{}, err
	}
	key, err := decodeKey(validity, uid, name)
	if err != nil {
		return migrate.Entry{}, err
	}
	return row.entry(key)
}

// Entries implements migrate.Ledger. It reads in pages: what is recorded while it is under way may be among them or not.
func (l *Ledger) Entries(ctx context.Context, mbox migrate.Path) iter.Seq2[migrate.Entry, error] {
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
			e, err := scanKeyAndEntry(rows)
			after = []any{e.Key.Validity, e.Key.UID, e.Key.Name}
			return e, err
		}, func() (string, []any) {
			return l.db.entryQuery(entriesQuery), append(append([]any{box}, after...), pageRows)
		})
	}
}

// Claims implements migrate.Ledger, in the order of places. It reads in pages, as Entries does.
func (l *Ledger) Claims(ctx context.Context, dest migrate.Path) iter.Seq2[migrate.Entry, error] {
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
			e, err := scanKeyAndEntry(rows, &box)
			after = []any{e.Place.Validity, e.Place.UID, e.Place.Name, box, e.Key.Validity, e.Key.UID, e.Key.Name}
			return e, err
		}, func() (string, []any) {
			return l.db.entryQuery(claimsQuery), append(append([]any{id, migrate.Arrived, migrate.Intended}, after...), pageRows)
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
	defer rows.Close()
	for rows.Next() {
		row, err := scan(rows)
		if err != nil {
			return page, err
		}
		page = append(page, row)
	}
	return page, rows.Err()
}
