package ledger

import (
	"context"
	"database/sql"
	"errors"
	"fmt"

	"postcask/migrate"
)

// PutMailbox notes a mailbox of the archive. Of one that is known already it renews role, subscription and NoSelect,
// and File unless that is empty; Messages, Octets and End of m are not looked at, but for End of a new one.
func (db *DB) PutMailbox(ctx context.Context, m Mailbox) error {
	return db.update(ctx, fmt.Sprintf("note mailbox %q", m.Path), func(ctx context.Context, tx *sql.Tx) error {
		_, err := tx.ExecContext(ctx, `INSERT INTO mailboxes (path, role, subscribed, noselect, file, "end", messages, octets)
			VALUES (?, ?, ?, ?, ?, ?, 0, 0)
			ON CONFLICT (path) DO UPDATE SET role = excluded.role, subscribed = excluded.subscribed,
				noselect = excluded.noselect, file = iif(excluded.file = '', file, excluded.file)`,
			string(m.Path), string(m.Role), m.Subscribed, m.NoSelect, m.File, m.End)
		return err
	})
}

const mailboxColumns = `SELECT path, role, subscribed, noselect, file, "end", messages, octets FROM mailboxes`

type scanner interface{ Scan(to ...any) error }

func scanMailbox(row scanner) (m Mailbox, err error) {
	var path, role string
	err = row.Scan(&path, &role, &m.Subscribed, &m.NoSelect, &m.File, &m.End, &m.Messages, &m.Octets)
	m.Path, m.Role = migrate.Path(path), migrate.Role(role)
	return m, err
}

// Mailboxes lists the mailboxes of the archive, in the order of their paths and so parents before children.
func (db *DB) Mailboxes(ctx context.Context) ([]Mailbox, error) {
	mailboxes, err := fill(ctx, db.read, nil, func(rows *sql.Rows) (Mailbox, error) { return scanMailbox(rows) },
		mailboxColumns+` ORDER BY path`, nil)
	if err != nil {
		return nil, fault(ctx, "list mailboxes", err)
	}
	return mailboxes, nil
}

// MailboxOf gives one mailbox of the archive, or false where the index has none of that path.
func (db *DB) MailboxOf(ctx context.Context, path migrate.Path) (Mailbox, bool, error) {
	m, err := scanMailbox(db.read.QueryRowContext(ctx, mailboxColumns+` WHERE path = ?`, string(path)))
	if errors.Is(err, sql.ErrNoRows) {
		return Mailbox{}, false, nil
	}
	if err != nil {
		return Mailbox{}, false, fault(ctx, fmt.Sprintf("look up mailbox %q", path), err)
	}
	return m, true, nil
}

// Totals tells how many messages of the mailbox the index holds, and the octets of their wire forms.
func (db *DB) Totals(ctx context.Context, path migrate.Path) (count, octets int64, err error) {
	m, _, err := db.MailboxOf(ctx, path)
	return m.Messages, m.Octets, err
}
