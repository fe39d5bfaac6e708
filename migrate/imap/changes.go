package imap

import (
	"cmp"
	"context"
	"fmt"
	"iter"
	"slices"

	"postcask/migrate"
)

const (
	changesLimit  = 20_000  // messages that may have changed: they are held in memory, and listing all is no dearer then
	changesWindow = 100_000 // UIDs of one question, so that its answer is bounded
	changesAtOnce = 50      // questions
)

// Changes implements migrate.Changer by CONDSTORE (RFC 7162, section 3.1.4.1): one round trip opens the mailbox and
// brings what is new and what has other flags. Where the numbers of messages do not add up, a compact list of UIDs
// tells which are gone. QRESYNC would tell that too, but for the rest of the session it takes away the EXPUNGE responses
// by which a listing keeps its place. A server without CONDSTORE cannot tell.
func (s *Session) Changes(ctx context.Context, mbox migrate.Path, since migrate.Status) iter.Seq2[migrate.Change, error] {
	return func(yield func(migrate.Change, error) bool) {
		if err := s.changes(ctx, mbox, since, func(c migrate.Change) bool { return yield(c, nil) }); err != nil {
			yield(migrate.Change{}, err)
		}
	}
}

func (s *Session) changes(ctx context.Context, mbox migrate.Path, since migrate.Status, yield func(migrate.Change) bool) error {
	if !s.has("CONDSTORE") || since.UIDValidity == 0 || since.UIDNext == 0 || since.HighestModSeq == 0 ||
		since.UIDNext > changesWindow*changesAtOnce {
		return migrate.ErrCannotTell
	}
	rows, err := s.changedRows(ctx, mbox, since)
	if err != nil {
		return err
	}
	var there []stretch // of the messages that have come
	for _, m := range rows {
		if m.Key.UID >= since.UIDNext {
			there = append(there, stretch{m.Key.UID, m.Key.UID})
		}
	}
	from := since.UIDNext
	if since.Messages < 0 || since.Messages+int64(len(there)) != int64(s.view.exists) { // some are gone
		from = 1
		if there, err = s.present(ctx); err != nil {
			return at(mbox, err)
		}
	}
	for _, m := range rows {
		if !yield(migrate.Change{Message: m}) {
			return nil
		}
	}
	for _, gap := range gaps(from, there) {
		if !yield(migrate.Change{First: gap.first, Last: gap.last}) {
			return nil
		}
	}
	return nil
}

// changedRows opens the mailbox anew and lists what has come or may have changed, in the order of UIDs.
func (s *Session) changedRows(ctx context.Context, mbox migrate.Path, since migrate.Status) ([]migrate.Message, error) {
	var commands []string
	for first := uint32(1); first < since.UIDNext; first += changesWindow {
		last := min(since.UIDNext-1, first+changesWindow-1)
		commands = append(commands, fmt.Sprintf("UID FETCH %d:%d %s (CHANGEDSINCE %d)", first, last, allItems, since.HighestModSeq))
	}
	commands = append(commands, fmt.Sprintf("UID FETCH %d:* %s", since.UIDNext, allItems))
	rows := map[uint32]migrate.Message{}
	many := false
	verdicts, err := s.openWith(ctx, mbox, commands, func(resp *response) error {
		if resp.word != "FETCH" || many {
			return nil
		}
		m := migrate.Message{Size: -1}
		if err := readItems(s.in, &m); err != nil {
			return err
		}
		uid := m.Key.UID
		if known, twice := rows[uid]; twice && m.Size < 0 { // told in passing, of its flags alone
			known.Flags, m = m.Flags, known
		}
		m.Key.Validity = since.UIDValidity
		rows[uid] = m
		many = len(rows) > changesLimit
		return nil
	})
	if err != nil {
		return nil, err
	}
	v := s.view
	refused := slices.ContainsFunc(verdicts, func(st status) bool { return !st.ok() })
	if refused || many || v.validity != since.UIDValidity || v.modSeq < since.HighestModSeq || v.next != 0 && v.next < since.UIDNext {
		return nil, migrate.ErrCannotTell
	}
	delete(rows, 0) // told without a UID: its flags have changed just now, which the next run will see
	changed := make([]migrate.Message, 0, len(rows))
	for _, m := range rows {
		if m.Key.UID >= since.UIDNext && m.Size < 0 && m.InternalDate.IsZero() {
			return nil, migrate.ErrCannotTell // a listing knows how to ask for what is not told
		}
		changed = append(changed, m)
	}
	slices.SortFunc(changed, func(a, b migrate.Message) int { return cmp.Compare(a.Key.UID, b.Key.UID) })
	return changed, nil
}

var _ migrate.Changer = (*Session)(nil)
