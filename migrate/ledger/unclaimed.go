package ledger

import (
	"context"
	"database/sql"
	"fmt"
	"iter"

	"postcask/migrate"
)

const (
	// Where each message is in some entry's place, those that nobody claims are those of retired entries.
	placesQuery = `SELECT coalesce(sum(arrived), 0) + (SELECT count(DISTINCT place_name) FROM entries
			WHERE dest = ?1 AND retired IS NOT NULL AND state = ?2 AND place_name <> ''),
		coalesce((SELECT messages FROM mailboxes WHERE path = ?3), 0) FROM boxes WHERE id = ?1`
	retiredQuery = messagesOf + ` WHERE m.mailbox = (SELECT id FROM mailboxes WHERE path = ?) AND m.id > ?
		AND m.id IN (SELECT CAST(place_name AS INTEGER) FROM entries WHERE dest = ? AND retired IS NOT NULL AND state = ?)
		ORDER BY m.id LIMIT ?`
	unclaimedQuery = messagesOf + ` WHERE m.mailbox = (SELECT id FROM mailboxes WHERE path = ?) AND m.id > ?
		AND NOT EXISTS (SELECT 1 FROM entries e WHERE e.dest = ? AND e.place_validity = 0 AND e.place_uid = 0
			AND e.place_name = CAST(m.id AS TEXT) AND e.state = ? AND e.retired IS NULL)
		ORDER BY m.id LIMIT ?`
)

// Unclaimed yields the messages of the mailbox dest of this index whose ID is in no entry's Place but retired ones', in
// the order of their IDs: what Messages and Claims come to together. Where the index holds nothing but what came by this
// ledger, as is most common, that takes no longer than there are messages to yield. It reads in pages, as Messages does.
func (l *Ledger) Unclaimed(ctx context.Context, dest migrate.Path) iter.Seq2[Message, error] {
	doing := fmt.Sprintf("read what nobody claims in %q", dest)
	return func(yield func(Message, error) bool) {
		places, messages := int64(-1), int64(0)
		box, err := l.box(ctx, l.db.read, destinationSide, dest)
		if err == nil && l.db.version >= 3 { // before, nothing was counted
			err = l.db.read.QueryRowContext(ctx, placesQuery, box, migrate.Arrived, string(dest)).Scan(&places, &messages)
		}
		if err != nil {
			yield(Message{}, fault(ctx, doing, err))
			return
		}
		query := unclaimedQuery
		if places == messages {
			query = retiredQuery
		}
		var last int64
		stream(ctx, l.db.read, doing, yield, func(rows *sql.Rows) (Message, error) {
			m, err := scanMessage(rows)
			last = m.ID
			return m, err
		}, func() (string, []any) {
			return query, []any{string(dest), last, box, migrate.Arrived, pageRows}
		})
	}
}
