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
	stretchSize = 2000   // messages that are listed at once, to begin with
	stretchMost = 16_000 // and at most: each stretch costs a round trip
	untoldLimit = 100    // messages of a stretch that the server need not tell of
	allItems    = "(UID FLAGS INTERNALDATE RFC822.SIZE)"
)

// Messages lists what is in a mailbox without its bodies, in the order of UIDs (RFC 9051, section 6.4.5). It walks by
// sequence numbers, so that gaps among the UIDs cost nothing; while it yields, the connection is idle and may be used
// for a Fetch, and what other sessions expunge meanwhile moves the walk along.
func (s *Session) Messages(ctx context.Context, mbox migrate.Path) iter.Seq2[migrate.Message, error] {
	return func(yield func(migrate.Message, error) bool) {
		if err := s.walk(ctx, mbox, yield); err != nil {
			yield(migrate.Message{}, err)
		}
	}
}

func (s *Session) walk(ctx context.Context, mbox migrate.Path, yield func(migrate.Message, error) bool) error {
	if rows, ok := s.foretoldRows(mbox); ok {
		for _, m := range rows {
			if !yield(m, nil) {
				break
			}
		}
		return nil
	}
	rows, err := s.openListed(ctx, mbox)
	if err != nil {
		return err
	}
	v := s.view
	validity, last, next, most := v.validity, uint32(0), uint32(len(rows)+1), uint32(stretchSize)
	stop := v.watch(&next)
	defer func() { stop() }()
	for {
		for _, m := range tidy(rows) {
			if m.Key.UID <= last {
				continue // told twice
			}
			last = m.Key.UID
			m.Key.Validity = validity
			if !yield(m, nil) {
				return nil
			}
		}
		if s.view != v { // somebody has opened another mailbox, or this one anew: numbers start over
			if err := s.verify(ctx, mbox, validity, 0); err != nil {
				return err
			}
			stop()
			v = s.view
			place, err := s.placeAfter(ctx, last)
			if err != nil {
				return at(mbox, err)
			}
			next = place
			stop = v.watch(&next)
		}
		if next > v.exists {
			return nil
		}
		if rows, err = s.stretch(ctx, &next, most); err != nil {
			return at(mbox, err)
		}
		most = min(2*most, stretchMost)
	}
}

// openListed opens a mailbox and lists its first stretch, in one round trip where it is known how many messages there
// are at least: of a number that is too high some servers want to hear nothing. Else the rows are none.
func (s *Session) openListed(ctx context.Context, mbox migrate.Path) ([]migrate.Message, error) {
	p := newPage(1, uint32(min(max(s.counts[mbox], 0), stretchSize)))
	delete(s.counts, mbox)
	if _, err := s.openWith(ctx, mbox, p.commands(), func(resp *response) error { return p.read(s.in, resp) }); err != nil {
		return nil, err
	}
	if s.view.expunged > 0 || int64(s.view.exists) < int64(len(p.rows)) {
		return nil, nil // the numbers were not those that were meant
	}
	return p.rows, at(mbox, s.complete(ctx, p))
}

// stretch lists at most so many messages from number *next on and moves *next behind them. A server that renumbers while it
// answers, which it must not (RFC 9051, section 7.5.1), is asked again: its numbers would mean two messages each.
func (s *Session) stretch(ctx context.Context, next *uint32, most uint32) ([]migrate.Message, error) {
	v := s.view
	for range 5 {
		before, from := v.expunged, *next
		if from > v.exists {
			return nil, nil
		}
		to := from + min(v.exists-from, most-1)
		p := newPage(from, to-from+1)
		if _, err := s.fetchPage(ctx, p, fmt.Sprintf("FETCH %d:%d %s", from, to, allItems)); err != nil {
			return nil, err
		}
		if err := s.complete(ctx, p); err != nil {
			return nil, err
		}
		if v.expunged == before {
			*next = to + 1
			return p.rows, nil
		}
	}
	return nil, migrate.Errorf(migrate.Unavailable, "the mailbox loses messages faster than it can be listed")
}

// A page is the rows of consecutive message numbers, as far as they were told.
type page struct {
	from uint32
	rows []migrate.Message // of from, from+1, and so on; without a UID where it was not told
}

func newPage(from, count uint32) *page {
	p := &page{from: from, rows: make([]migrate.Message, count)}
	for i := range p.rows {
		p.rows[i].Size = -1
	}
	return p
}

// commands asks for the rows, in the open mailbox.
func (p *page) commands() []string {
	if len(p.rows) == 0 {
		return nil
	}
	return []string{fmt.Sprintf("FETCH %d:%d %s", p.from, int(p.from)+len(p.rows)-1, allItems)}
}

// read takes a FETCH response; what is told of other messages' flags meanwhile is passed by.
func (p *page) read(in *reader, resp *response) error {
	if resp.word != "FETCH" || resp.number < p.from || uint64(resp.number) >= uint64(p.from)+uint64(len(p.rows)) {
		return nil
	}
	return readItems(in, &p.rows[resp.number-p.from])
}

func (s *Session) fetchPage(ctx context.Context, p *page, command string) (status, error) {
	return s.exchange(ctx, command, func(resp *response) error { return p.read(s.in, resp) })
}

// complete asks once more for messages of which no UID was told, one by one and for less and less: a date that a server
// cannot tell must not hide a message.
func (s *Session) complete(ctx context.Context, p *page) error {
	untold := 0
	for i := range p.rows {
		m, number := &p.rows[i], p.from+uint32(i)
		if m.Key.UID != 0 {
			continue
		}
		var st status
		for _, items := range []string{allItems, "(UID FLAGS RFC822.SIZE)", "(UID)"} {
			var err error
			if st, err = s.fetchPage(ctx, p, fmt.Sprintf("FETCH %d %s", number, items)); err != nil {
				return err
			}
			if st.ok() {
				break
			}
		}
		gone := st.code == "EXPUNGEISSUED" || number > s.view.exists
		if !st.ok() && !gone && m.Key.UID == 0 {
			return st.refusal(fmt.Sprintf("list message number %d", number))
		}
		if m.Key.UID == 0 && !gone {
			if untold++; untold > untoldLimit {
				return migrate.Errorf(migrate.Unavailable, "the server tells of %d messages and does not list them", s.view.exists)
			}
		}
	}
	return nil
}

// tidy gives the rows that have a UID, in the order of UIDs.
func tidy(rows []migrate.Message) []migrate.Message {
	rows = slices.DeleteFunc(rows, func(m migrate.Message) bool { return m.Key.UID == 0 })
	slices.SortFunc(rows, func(a, b migrate.Message) int { return cmp.Compare(a.Key.UID, b.Key.UID) })
	return rows
}

// readItems reads the items of a FETCH response into m (RFC 9051, section 7.5.2), in any order; others are passed by.
func readItems(in *reader, m *migrate.Message) error {
	for {
		t, err := in.next()
		if err != nil || t.kind == tokenEnd {
			return err
		}
		switch {
		case t.is("UID"):
			err = readNumber(in, 32, func(n uint64) { m.Key.UID = uint32(n) })
		case t.is("RFC822.SIZE"):
			err = readNumber(in, 63, func(n uint64) { m.Size = int64(n) })
		case t.is("INTERNALDATE"):
			var text string
			if text, _, err = in.str(1024); err == nil {
				m.InternalDate = parseDate(text)
			}
		case t.is("FLAGS"):
			m.Flags, err = in.flags()
		case t.kind == tokenAtom:
			err = in.skipValue()
		}
		if err != nil {
			return err
		}
	}
}

// readNumber reads a number and sets it if it is one.
func readNumber(in *reader, bits int, set func(uint64)) error {
	t, err := in.next()
	if err != nil {
		return err
	}
	if n, ok := t.number(bits); ok {
		set(n)
	}
	return nil
}

// placeAfter finds the first sequence number whose UID is greater than last, by halving: a mailbox of a million
// messages takes twenty short questions.
func (s *Session) placeAfter(ctx context.Context, last uint32) (uint32, error) {
	low, high := uint32(1), s.view.exists+1 // the place is in low…high
	defer s.view.watch(&low)()
	defer s.view.watch(&high)()
	for low < high {
		middle := low + (high-low)/2
		number := middle
		unwatch := s.view.watch(&number)
		p := newPage(middle, 1)
		st, err := s.fetchPage(ctx, p, fmt.Sprintf("FETCH %d (UID)", middle))
		unwatch()
		if err != nil {
			return 0, err
		}
		uid := p.rows[0].Key.UID
		if !st.ok() || uid == 0 {
			// Gone, though not announced yet; from here on rather walk than guess.
			return low, nil
		}
		if uid > last {
			high = number
		} else {
			low = number + 1
		}
	}
	return low, nil
}
