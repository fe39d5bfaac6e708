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
	if !s.tellsChanges(since) {
		return migrate.ErrCannotTell
	}
	rows, there, ok := s.foretoldChanges(mbox, since)
	if !ok {
		var err error
		if rows, there, err = s.askChanges(ctx, mbox, since); err != nil {
			return err
		}
	}
	from := since.UIDNext
	if there == nil { // some are gone
		from = 1
		var err error
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

// tellsChanges tells whether the server may know what has happened since then.
func (s *Session) tellsChanges(since migrate.Status) bool {
	return s.has("CONDSTORE") && since.UIDValidity != 0 && since.UIDNext != 0 && since.HighestModSeq != 0 &&
		since.UIDNext <= changesWindow*changesAtOnce
}

// askChanges opens the mailbox anew and lists what has come or may have changed, see changed.all.
func (s *Session) askChanges(ctx context.Context, mbox migrate.Path, since migrate.Status) ([]migrate.Message, []stretch, error) {
	c := newChanged(since)
	verdicts, err := s.openWith(ctx, mbox, c.commands(), func(resp *response) error { return c.read(s.in, resp) })
	if err != nil {
		return nil, nil, err
	}
	return c.all(s.view, verdicts)
}

// A changed collects what has come to a mailbox or may have changed.
type changed struct {
	since migrate.Status
	rows  map[uint32]migrate.Message
	many  bool
}

func newChanged(since migrate.Status) *changed {
	return &changed{since: since, rows: map[uint32]migrate.Message{}}
}

// commands asks, in the open mailbox.
func (c *changed) commands() (commands []string) {
	for first := uint32(1); first < c.since.UIDNext; first += changesWindow {
		last := min(c.since.UIDNext-1, first+changesWindow-1)
		commands = append(commands, fmt.Sprintf("UID FETCH %d:%d %s (CHANGEDSINCE %d)", first, last, allItems, c.since.HighestModSeq))
	}
	return append(commands, fmt.Sprintf("UID FETCH %d:* %s", c.since.UIDNext, allItems))
}

// read takes a response.
func (c *changed) read(in *reader, resp *response) error {
	if resp.word != "FETCH" || c.many {
		return nil
	}
	m := migrate.Message{Size: -1}
	if err := readItems(in, &m); err != nil {
		return err
	}
	uid := m.Key.UID
	if known, twice := c.rows[uid]; twice && m.Size < 0 { // told in passing, of its flags alone
		known.Flags, m = m.Flags, known
	}
	m.Key.Validity = c.since.UIDValidity
	c.rows[uid] = m
	c.many = len(c.rows) > changesLimit
	return nil
}

// all gives what was told, in the order of UIDs, and the UIDs of those that have come: nil where the number of messages
// says that others are gone.
func (c *changed) all(v *view, verdicts []status) (rows []migrate.Message, there []stretch, err error) {
	since := c.since
	refused := slices.ContainsFunc(verdicts, func(st status) bool { return !st.ok() })
	if refused || c.many || v.validity != since.UIDValidity || v.modSeq < since.HighestModSeq || v.next != 0 && v.next < since.UIDNext {
		return nil, nil, migrate.ErrCannotTell
	}
	delete(c.rows, 0) // told without a UID: its flags have changed just now, which the next run will see
	there = []stretch{}
	for _, m := range c.rows {
		if m.Key.UID >= since.UIDNext && m.Size < 0 && m.InternalDate.IsZero() {
			return nil, nil, migrate.ErrCannotTell // a listing knows how to ask for what is not told
		}
		rows = append(rows, m)
	}
	slices.SortFunc(rows, func(a, b migrate.Message) int { return cmp.Compare(a.Key.UID, b.Key.UID) })
	for _, m := range rows {
		if m.Key.UID >= since.UIDNext {
			there = append(there, stretch{m.Key.UID, m.Key.UID})
		}
	}
	if since.Messages < 0 || since.Messages+int64(len(there)) != int64(v.exists) {
		there = nil
	}
	return rows, there, nil
}

var _ migrate.Changer = (*Session)(nil)
