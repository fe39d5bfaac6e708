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
	stretchSize  = 2000   // messages that are listed at once, to begin with
	stretchMost  = 16_000 // and at most: each stretch costs a round trip
	untoldLimit  = 100    // messages of a stretch that the server need not tell of
	expungeTries = 5      // tries of a question about numbers that move meanwhile
	allItems     = "(UID FLAGS INTERNALDATE RFC822.SIZE)"
	fewItems     = "(UID FLAGS)"
)

// Messages lists what is in a mailbox without its bodies, in the order of UIDs (RFC 9051, section 6.4.5). It walks by
// sequence numbers, so that gaps among the UIDs cost nothing; while it yields, the connection is idle and may be used
// for a Fetch, and what other sessions expunge meanwhile moves the walk along.
func (s *Session) Messages(ctx context.Context, mbox migrate.Path) iter.Seq2[migrate.Message, error] {
	return func(yield func(migrate.Message, error) bool) {
		if err := s.walk(ctx, mbox, migrate.Key{}, yield); err != nil {
			yield(migrate.Message{}, err)
		}
	}
}

// walk lists messages. Of those below old it asks for flags alone, which is what may change; if they do not have its
// UIDVALIDITY, nobody can tell which they are. The zero Key asks for all of all.
func (s *Session) walk(ctx context.Context, mbox migrate.Path, old migrate.Key, yield func(migrate.Message, error) bool) error {
	if rows, ok := s.foretoldRows(mbox, old); ok {
		for _, m := range rows {
			if !yield(m, nil) {
				break
			}
		}
		return nil
	}
	rows, err := s.openListed(ctx, mbox, old.UID)
	if err != nil {
		return err
	}
	v, validity, last := s.view, s.view.validity, uint32(0)
	if old != (migrate.Key{}) && old.Validity != validity {
		return migrate.ErrCannotTell
	}
	here, most := placeBehind(1, rows), firstStretch(old.UID)
	stop := v.watch(here)
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
			next, err := s.placeAfter(ctx, last)
			if err != nil {
				return at(mbox, err)
			}
			here = &place{next: next, reach: last}
			stop = v.watch(here)
		}
		if here.next > v.exists {
			return nil
		}
		if last >= old.UID {
			old.UID = 0 // from here on all are new
		}
		if rows, err = s.stretch(ctx, here, most, old.UID); err != nil {
			return at(mbox, err)
		}
		most = min(2*most, stretchMost)
	}
}

// firstStretch tells how many messages are listed at once, to begin with: rows of flags alone are short.
func firstStretch(old uint32) uint32 {
	if old > 0 {
		return stretchMost
	}
	return stretchSize
}

// openListed opens a mailbox and lists its first stretch, in one round trip where it is known how many messages there
// are at least: of a number that is too high some servers want to hear nothing. Else the rows are none. Of UIDs below
// old it asks as walk does.
func (s *Session) openListed(ctx context.Context, mbox migrate.Path, old uint32) ([]migrate.Message, error) {
	most, count := int64(firstStretch(old)), max(s.counts[mbox], 0)
	p := newPage(1, uint32(min(count, most)), old)
	delete(s.counts, mbox)
	if _, err := s.openWith(ctx, mbox, p.commands(count <= most), func(resp *response) error { return p.read(s.in, resp) }); err != nil {
		return nil, err
	}
	if s.view.expunged > 0 || int64(s.view.exists) < int64(len(p.rows)) {
		return nil, nil // the numbers were not those that were meant
	}
	err := s.complete(ctx, p)
	if s.view.expunged > 0 {
		return nil, at(mbox, err)
	}
	return p.rows, at(mbox, err)
}

var errMoving = migrate.Errorf(migrate.Unavailable, "the mailbox loses messages faster than it can be listed")

// stretch lists at most so many messages from a place on and moves that behind them. A server that renumbers while it
// answers a question about numbers, which it must not (RFC 9051, section 7.5.1), is asked again: they would mean two messages each.
func (s *Session) stretch(ctx context.Context, here *place, most, old uint32) ([]migrate.Message, error) {
	v := s.view
	for range expungeTries {
		before, from := v.expunged, here.next
		if from > v.exists {
			return nil, nil
		}
		to := from + min(v.exists-from, most-1)
		p := newPage(from, to-from+1, old)
		if _, err := s.exchangeAll(ctx, p.commands(to == v.exists), func(resp *response) error { return p.read(s.in, resp) }); err != nil {
			return nil, err
		}
		if v.expunged != before {
			continue
		}
		if err := s.complete(ctx, p); err != nil {
			return nil, err
		}
		if v.expunged == before {
			*here = *placeBehind(from, p.rows)
			return p.rows, nil
		}
	}
	return nil, errMoving
}

// placeBehind gives the place behind rows whose numbers begin with from. What comes behind a row without a UID may go
// before it is known to.
func placeBehind(from uint32, rows []migrate.Message) *place {
	p := &place{next: from + uint32(len(rows))}
	if n := len(rows); n > 0 {
		p.reach = rows[n-1].Key.UID
		if p.reach == 0 {
			p.reach = math.MaxUint32
		}
	}
	return p
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
// messages takes twenty short questions. Where numbers move meanwhile it begins again.
func (s *Session) placeAfter(ctx context.Context, last uint32) (uint32, error) {
	v := s.view
	for range expungeTries {
		before := v.expunged
		low, high := uint32(1), v.exists+1 // the place is in low…high
		for low < high && v.expunged == before {
			middle := low + (high-low)/2
			p := newPage(middle, 1, 0)
			st, err := s.fetchPage(ctx, p, fmt.Sprintf("FETCH %d (UID)", middle))
			if err != nil {
				return 0, err
			}
			switch uid := p.rows[0].Key.UID; {
			case !st.ok() || uid == 0:
				high = low // gone, though not announced yet; from here on rather walk than guess
			case uid > last:
				high = middle
			default:
				low = middle + 1
			}
		}
		if v.expunged == before {
			return low, nil
		}
	}
	return 0, errMoving
}
