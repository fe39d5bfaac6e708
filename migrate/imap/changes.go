package imap

import (
	"cmp"
	"context"
	"fmt"
	"iter"
	"math"
	"slices"

	"postcask/migrate"
)

const (
	changesLimit  = 20_000  // messages that may have changed: they are held in memory, and listing all is no dearer then
	changesWindow = 100_000 // UIDs of one question, so that its answer is bounded
	changesAtOnce = 50      // questions
)

// Changes implements migrate.Changer. With CONDSTORE one round trip opens the mailbox and brings what is new and what has
// other flags (RFC 7162, section 3.1.4.1); with QRESYNC also which messages are gone (section 3.2.6). Without that, or
// where the numbers do not add up, since a server may forget what went, a compact list of UIDs tells which are left.
// Without CONDSTORE the flags of all messages are listed, and nothing else of those that are older than since.
func (s *Session) Changes(ctx context.Context, mbox migrate.Path, since migrate.Status) iter.Seq2[migrate.Change, error] {
	return func(yield func(migrate.Change, error) bool) {
		tell := func(c migrate.Change) bool { return yield(c, nil) }
		var err error
		switch {
		case s.tellsChanges(since):
			err = s.changes(ctx, mbox, since, tell)
		case s.tellsFlags(since):
			err = s.relist(ctx, mbox, since, tell)
		default:
			err = migrate.ErrCannotTell
		}
		if err != nil {
			yield(migrate.Change{}, err)
		}
	}
}

func (s *Session) changes(ctx context.Context, mbox migrate.Path, since migrate.Status, yield func(migrate.Change) bool) error {
	n, ok := s.foretoldChanges(mbox, since)
	if !ok {
		var err error
		if n, err = s.askChanges(ctx, mbox, since); err != nil {
			return err
		}
	}
	if n.free == nil {
		left, err := s.present(ctx)
		if err != nil {
			return at(mbox, err)
		}
		n.free, n.there = gaps(1, left), int64(s.view.exists)
	}
	for _, m := range n.rows {
		if !yield(migrate.Change{Message: m}) {
			return nil
		}
	}
	for _, gap := range n.free {
		if !yield(migrate.Change{First: gap.first, Last: gap.last}) {
			return nil
		}
	}
	yield(migrate.Change{Messages: n.there})
	return nil
}

// tellsChanges tells whether the server may know what has happened since then.
func (s *Session) tellsChanges(since migrate.Status) bool {
	return s.has("CONDSTORE") && s.tellsFlags(since) && since.HighestModSeq != 0 && since.UIDNext <= changesWindow*changesAtOnce
}

// tellsFlags tells whether messages that are older than since can be told from others.
func (s *Session) tellsFlags(since migrate.Status) bool {
	return since.UIDValidity != 0 && since.UIDNext != 0
}

// relist gives all messages as changes, those that are older than since with their flags alone.
func (s *Session) relist(ctx context.Context, mbox migrate.Path, since migrate.Status, yield func(migrate.Change) bool) (err error) {
	next, there, all := uint64(1), int64(0), true
	failed := s.walk(ctx, mbox, migrate.Key{Validity: since.UIDValidity, UID: since.UIDNext}, func(m migrate.Message, _ error) bool {
		uid := uint64(m.Key.UID)
		all = uid == next || yield(migrate.Change{First: uint32(next), Last: uint32(uid - 1)})
		all = all && yield(migrate.Change{Message: m})
		next = uid + 1
		there++
		return all
	})
	if failed != nil || !all {
		return failed
	}
	if next <= math.MaxUint32 && !yield(migrate.Change{First: uint32(next), Last: math.MaxUint32}) {
		return nil
	}
	yield(migrate.Change{Messages: there})
	return nil
}

// askChanges opens the mailbox anew and asks.
func (s *Session) askChanges(ctx context.Context, mbox migrate.Path, since migrate.Status) (news, error) {
	for {
		c := s.newChanged(since)
		verdicts, err := s.openWith(ctx, mbox, c.commands(), func(resp *response) error { return c.read(s.in, resp) })
		if err != nil {
			return news{}, err
		}
		if !c.gone || !slices.ContainsFunc(verdicts, refused) {
			return c.all(s.view, verdicts)
		}
		s.recalls = false // and without what is gone it may answer
	}
}

// news is what a server tells of what has happened.
type news struct {
	rows  []migrate.Message // that have come or may have changed, in the order of UIDs
	free  []stretch         // UIDs of those that are gone, and of others that are not there; nil where that is not clear
	there int64             // messages in the mailbox
}

// A changed collects what has come to a mailbox or may have changed.
type changed struct {
	since migrate.Status
	gone  bool // asked for too
	rows  map[uint32]migrate.Message
	many  bool
}

func (s *Session) newChanged(since migrate.Status) *changed {
	return &changed{since: since, gone: s.recalls, rows: map[uint32]migrate.Message{}}
}

// commands asks, in the open mailbox.
func (c *changed) commands() (commands []string) {
	vanished := ""
	if c.gone {
		vanished = " VANISHED"
	}
	for first := uint32(1); first < c.since.UIDNext; first += changesWindow {
		last := min(c.since.UIDNext-1, first+changesWindow-1)
		commands = append(commands, fmt.Sprintf("UID FETCH %d:%d %s (CHANGEDSINCE %d%s)", first, last, allItems, c.since.HighestModSeq, vanished))
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

// all gives what was told. What has vanished may be more than was ever there (RFC 7162, section 3.2.10.1), but not less.
func (c *changed) all(v *view, verdicts []status) (n news, err error) {
	since := c.since
	if slices.ContainsFunc(verdicts, refused) || c.many || v.validity != since.UIDValidity || v.modSeq < since.HighestModSeq || v.next != 0 && v.next < since.UIDNext {
		return news{}, migrate.ErrCannotTell
	}
	delete(c.rows, 0) // told without a UID: its flags have changed just now, which the next run will see
	for _, m := range c.rows {
		if m.Key.UID >= since.UIDNext && m.Size < 0 && m.InternalDate.IsZero() {
			return news{}, migrate.ErrCannotTell // a listing knows how to ask for what is not told
		}
		n.rows = append(n.rows, m)
	}
	slices.SortFunc(n.rows, func(a, b migrate.Message) int { return cmp.Compare(a.Key.UID, b.Key.UID) })
	var came []stretch
	for _, m := range n.rows {
		if m.Key.UID >= since.UIDNext {
			came = append(came, stretch{m.Key.UID, m.Key.UID})
		}
	}
	n.there = int64(v.exists)
	missing := since.Messages + int64(len(came)) - n.there
	known, _ := v.gone.all()
	gone, count := within(known, 1, since.UIDNext-1)
	if since.Messages < 0 || missing < 0 || missing > 0 && (v.gone.unclear || count < uint64(missing)) {
		return n, nil
	}
	if missing > 0 {
		n.free = gone
	}
	n.free = append(n.free, gaps(since.UIDNext, came)...)
	return n, nil
}

func refused(st status) bool { return !st.ok() }

var _ migrate.Changer = (*Session)(nil)
