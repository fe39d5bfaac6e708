package ledger

import (
	"context"
	"database/sql"
	"fmt"
	"slices"
	"strings"

	"postcask/migrate"
)

const (
	entryColumns = `e.state, e.retired IS NOT NULL, coalesce(d.path, ''),
	e.place_validity, e.place_uid, e.place_name, e.size, e.full, e.trimmed, e.flags, e.reason, ` + newColumns
	newColumns = `e.listed_size, e.listed_date, e.tried, coalesce(e.program, ''), coalesce(e."limit", 0)` // since version 2
)

// entryQuery makes a query that has entryColumns in it one that the file can answer: a file of version 1 that is only
// read has no newColumns, and tells what it would after its upgrade.
func (db *DB) entryQuery(query string) string {
	if db.version >= 2 {
		return query
	}
	return strings.Replace(query, newColumns, `NULL, NULL, NULL, '', 0`, 1)
}

// An entryRow takes what entryColumns name.
type entryRow struct {
	e                       migrate.Entry
	dest, placeName, flags  string
	placeValidity, placeUID int64
	full, trimmed           sql.RawBytes
	size, date, tried       sql.NullInt64
}

func (r *entryRow) fields() []any {
	return []any{
		&r.e.State, &r.e.Retired, &r.dest, &r.placeValidity, &r.placeUID, &r.placeName,
		&r.e.Identity.Size, &r.full, &r.trimmed, &r.flags, &r.e.Attempt.Reason,
		&r.size, &r.date, &r.tried, &r.e.Attempt.Program, &r.e.Attempt.Limit,
	}
}

// entry gives the entry of key that was scanned into fields.
func (r *entryRow) entry(key migrate.Key) (migrate.Entry, error) {
	e := r.e
	var err error
	if e.Place, err = decodeKey(r.placeValidity, r.placeUID, r.placeName); err != nil {
		return e, err
	}
	if err := decodeDigest(&e.Identity.Full, r.full); err != nil {
		return e, err
	}
	if err := decodeDigest(&e.Identity.Trimmed, r.trimmed); err != nil {
		return e, err
	}
	e.Listed = migrate.Listed{Size: r.size.Int64, Date: decodeDate(r.date, 0)}
	e.Attempt.Time = decodeDate(r.tried, 0)
	e.Key, e.Mailbox, e.Flags = key, migrate.Path(r.dest), decodeFlags(r.flags)
	return e, nil
}

// lookupKeys is how many keys one query asks for; a query for each key takes almost three times as long.
const lookupKeys = 100

// lookupQuery asks for n keys; the first column is which of them a row answers.
func lookupQuery(n int) string {
	var b strings.Builder
	b.WriteString(`WITH k (i, validity, uid, name) AS (VALUES `)
	for i := range n {
		if i > 0 {
			b.WriteByte(',')
		}
		fmt.Fprintf(&b, "(%d,?,?,?)", i)
	}
	b.WriteString(`) SELECT k.i, ` + entryColumns + ` FROM k
		CROSS JOIN entries e ON e.box = ? AND e.validity = k.validity AND e.uid = k.uid AND e.name = k.name
		LEFT JOIN boxes d ON d.id = e.dest`)
	return b.String()
}

// Lookup implements migrate.Ledger. It answers from one state of the ledger, however many keys there are.
func (l *Ledger) Lookup(ctx context.Context, mbox migrate.Path, keys []migrate.Key) ([]migrate.Entry, error) {
	entries := make([]migrate.Entry, len(keys))
	for i, key := range keys {
		entries[i].Key = key
	}
	if len(keys) == 0 {
		return entries, ctx.Err()
	}
	doing := fmt.Sprintf("look up messages of %q", mbox)
	tx, err := l.db.read.BeginTx(ctx, &sql.TxOptions{ReadOnly: true})
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
	var find *sql.Stmt
	for group := range slices.Chunk(entries, lookupKeys) {
		if find == nil || len(group) < lookupKeys {
			if find, err = tx.PrepareContext(ctx, l.db.entryQuery(lookupQuery(len(group)))); err != nil {
				return nil, fault(ctx, doing, err)
			}
			defer find.Close() // at most two: for whole groups, and for the rest
		}
		if err := lookupGroup(ctx, find, box, group); err != nil {
			return nil, fault(ctx, doing, err)
		}
	}
	return entries, nil
}

// lookupGroup replaces those entries of the group whose Key is known.
func lookupGroup(ctx context.Context, find *sql.Stmt, box int64, group []migrate.Entry) error {
	args := make([]any, 0, 3*len(group)+1)
	for _, e := range group {
		args = append(args, e.Key.Validity, e.Key.UID, e.Key.Name)
	}
	rows, err := find.QueryContext(ctx, append(args, box)...)
	if err != nil {
		return err
	}
	defer rows.Close()
	var row entryRow
	var i int
	fields := append([]any{&i}, row.fields()...)
	for rows.Next() {
		if err := rows.Scan(fields...); err != nil {
			return err
		}
		if group[i], err = row.entry(group[i].Key); err != nil {
			return err
		}
	}
	return rows.Err()
}
