package ledger

import (
	"context"
	"database/sql"
	"fmt"
	"iter"

	"postcask/migrate"
)

// unclaimedQuery leaves the work to the index on places: what a mailbox holds is most often claimed to the last message.
const unclaimedQuery = messageColumns + ` WHERE m.mailbox = (SELECT id FROM mailboxes WHERE path = ?) AND m.id > ?
	AND NOT EXISTS (SELECT 1 FROM entries e WHERE e.dest = ? AND e.place_validity = 0 AND e.place_uid = 0
		AND e.place_name = CAST(m.id AS TEXT) AND e.state = ? AND e.retired IS NULL)
	ORDER BY m.id LIMIT ?`

// Unclaimed yields the messages of the mailbox dest of this index whose ID is in no entry's Place, in the order of
// their IDs: what Messages and Claims come to together, without reading either to the end. It reads in pages, as
// Messages does.
func (l *Ledger) Unclaimed(ctx context.Context, dest migrate.Path) iter.Seq2[Message, error] {
	doing := fmt.Sprintf("read what nobody claims in %q", dest)
	return func(yield func(Message, error) bool) {
		box, err := l.box(ctx, l.db.read, destinationSide, dest)
		if err != nil {
			yield(Message{}, fault(ctx, doing, err))
			return
		}
		var last int64
		stream(ctx, l.db.read, doing, yield, func(rows *sql.Rows) (Message, error) {
			m, err := scanMessage(rows)
			last = m.ID
			return m, err
		}, func() (string, []any) {
			return unclaimedQuery, []any{string(dest), last, box, migrate.Arrived, pageRows}
		})
	}
}
