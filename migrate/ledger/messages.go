package ledger

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"iter"
	"time"

	"postcask/migrate"
)

const insertMessage = `INSERT INTO messages (mailbox, base, "offset", length, raw, no_newline, date, zone,
	flags, size, full, trimmed, message_id, added) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)`

// AddMessages adds messages to a mailbox that PutMailbox has noted, all or none, durably; their octets must be so
// already. It fills in their ID and Mailbox, and Added where that is zero. With end >= 0 the mailbox's End becomes end.
func (db *DB) AddMessages(ctx context.Context, path migrate.Path, msgs []Message, end int64) error {
	if len(msgs) == 0 && end < 0 {
		return ctx.Err()
	}
	now := time.Unix(db.now().Unix(), 0).UTC()
	ids := make([]int64, len(msgs))
	err := db.update(ctx, fmt.Sprintf("add messages to %q", path), func(ctx context.Context, tx *sql.Tx) error {
		mailbox, err := mailboxID(ctx, tx, path)
		if err != nil {
			return err
		}
		insert := db.statement(ctx, tx, insertMessage)
		var octets int64
		for i, m := range msgs {
			date, zone := encodeDate(m.InternalDate)
			full, trimmed := encodeIdentity(m.Identity)
			added := now
			if !m.Added.IsZero() {
				added = m.Added
			}
			result, err := insert.ExecContext(ctx, mailbox, m.Base, m.Offset, m.Length, m.Raw, m.NoFinalNewline, date, zone,
				encodeFlags(m.Flags), m.Identity.Size, full, trimmed, m.MessageID, added.Unix())
			if err != nil {
				return err
			}
			if ids[i], err = result.LastInsertId(); err != nil {
				return err
			}
			octets += m.Identity.Size
		}
		_, err = tx.ExecContext(ctx, `UPDATE mailboxes SET messages = messages + ?, octets = octets + ?,
			"end" = iif(?3 < 0, "end", ?3) WHERE id = ?4`, len(msgs), octets, end, mailbox)
		return err
	}, insertMessage)
	if err != nil {
		return err
	}
	for i := range msgs {
		msgs[i].ID, msgs[i].Mailbox = ids[i], path
		if msgs[i].Added.IsZero() {
			msgs[i].Added = now
		}
	}
	return nil
}

func mailboxID(ctx context.Context, tx *sql.Tx, path migrate.Path) (id int64, err error) {
	err = tx.QueryRowContext(ctx, `SELECT id FROM mailboxes WHERE path = ?`, string(path)).Scan(&id)
	if errors.Is(err, sql.ErrNoRows) {
		return 0, errors.New("the index does not know this mailbox")
	}
	return id, err
}

const (
	messageColumns = `SELECT m.id, b.path, m.base, m."offset", m.length, m.raw, m.no_newline, m.date, m.zone,
	m.flags, m.size, m.full, m.trimmed, m.message_id, m.added `
	messagesOf = messageColumns + `FROM messages m JOIN mailboxes b ON b.id = m.mailbox`

	// The index on messages(mailbox) has the rows in the order of IDs; the subquery lets it be used so.
	messagesQuery = messagesOf + ` WHERE m.mailbox = (SELECT id FROM mailboxes WHERE path = ?) AND m.id > ? ORDER BY m.id LIMIT ?`
	twinsQuery    = messagesOf + ` WHERE m.trimmed = ? AND b.path = ? ORDER BY m.id`
	// To ask for each of many costs twice what it takes to find it.
	byIDQuery = messageColumns + `FROM json_each(?) asked CROSS JOIN messages m ON m.id = asked.value
		JOIN mailboxes b ON b.id = m.mailbox ORDER BY asked.key`
)

func scanMessage(rows *sql.Rows) (m Message, err error) {
	var path, flags string
	var date sql.NullInt64
	var zone int
	var added int64
	var full, trimmed sql.RawBytes
	if err := rows.Scan(&m.ID, &path, &m.Base, &m.Offset, &m.Length, &m.Raw, &m.NoFinalNewline, &date, &zone,
		&flags, &m.Identity.Size, &full, &trimmed, &m.MessageID, &added); err != nil {
		return m, err
	}
	if err := decodeDigest(&m.Identity.Full, full); err != nil {
		return m, err
	}
	if err := decodeDigest(&m.Identity.Trimmed, trimmed); err != nil {
		return m, err
	}
	m.Mailbox, m.Flags, m.InternalDate, m.Added = migrate.Path(path), decodeFlags(flags), decodeDate(date, zone), time.Unix(added, 0).UTC()
	return m, nil
}

// Messages yields the messages of a mailbox in the order of their IDs, which is that of their coming. It reads in
// pages: what is added while it is under way comes too, if it is reached before the end.
func (db *DB) Messages(ctx context.Context, path migrate.Path) iter.Seq2[Message, error] {
	return func(yield func(Message, error) bool) {
		var last int64
		stream(ctx, db.read, fmt.Sprintf("read the index of %q", path), yield, func(rows *sql.Rows) (Message, error) {
			m, err := scanMessage(rows)
			last = m.ID
			return m, err
		}, func() (string, []any) { return messagesQuery, []any{string(path), last, pageRows} })
	}
}

// ByID gives the messages of these IDs, in their order; those that the index does not know are left out.
func (db *DB) ByID(ctx context.Context, ids []int64) ([]Message, error) {
	asked, err := json.Marshal(ids)
	if err != nil {
		return nil, err
	}
	found, err := fill(ctx, db.read, make([]Message, 0, len(ids)), scanMessage, byIDQuery, []any{string(asked)})
	return found, fault(ctx, "look up messages by ID", err)
}

// ByIdentity gives the messages of a mailbox that have this digest of their trimmed form, in the order of their IDs:
// none, one, or twins. The first time takes as long as to read the whole index.
func (db *DB) ByIdentity(ctx context.Context, path migrate.Path, trimmed migrate.Digest) ([]Message, error) {
	if err := db.indexDigests(ctx); err != nil {
		return nil, err
	}
	messages, err := fill(ctx, db.read, nil, scanMessage, twinsQuery,
		[]any{trimmed[:], string(path)})
	if err != nil {
		return nil, fault(ctx, fmt.Sprintf("look up a message of %q by digest", path), err)
	}
	return messages, nil
}

// indexDigests makes the index by digest, which only those need who put right what a run left behind. Close drops it.
func (db *DB) indexDigests(ctx context.Context) error {
	if db.write == nil || db.indexed.Load() {
		return nil
	}
	err := db.update(ctx, "index digests", func(ctx context.Context, tx *sql.Tx) error {
		_, err := tx.ExecContext(ctx, `CREATE INDEX IF NOT EXISTS messages_trimmed ON messages (trimmed, mailbox)`)
		return err
	})
	if err == nil {
		db.indexed.Store(true)
	}
	return err
}

// SetFlags makes the flags of these messages those given, durably, all or none. An ID that is not in the mailbox is passed by.
func (db *DB) SetFlags(ctx context.Context, path migrate.Path, updates []FlagUpdate) error {
	if len(updates) == 0 {
		return ctx.Err()
	}
	return db.update(ctx, fmt.Sprintf("set flags in %q", path), func(ctx context.Context, tx *sql.Tx) error {
		set, err := tx.PrepareContext(ctx, `UPDATE messages SET flags = ? WHERE id = ? AND mailbox = (SELECT id FROM mailboxes WHERE path = ?)`)
		if err != nil {
			return err
		}
		defer set.Close()
		for _, u := range updates {
			if _, err := set.ExecContext(ctx, encodeFlags(u.Flags), u.ID, string(path)); err != nil {
				return err
			}
		}
		return nil
	})
}
