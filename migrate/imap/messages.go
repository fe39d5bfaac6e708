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
	stretchSize = 2000 // messages that are listed at once
	untoldLimit = 100  // messages of a stretch that the server need not tell of
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
	if err := s.open(ctx, mbox); err != nil {
		return err
	}
	v := s.view
	validity, last, next := v.validity, uint32(0), uint32(1)
	stop := v.watch(&next)
	defer func() { stop() }()
	for {
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
		rows, err := s.stretch(ctx, &next)
		if err != nil {
			return at(mbox, err)
		}
		for _, m := range rows {
			if m.Key.UID <= last {
				continue // told twice
			}
			last = m.Key.UID
			m.Key.Validity = validity
			if !yield(m, nil) {
				return nil
			}
		}
	}
}

// stretch lists the messages from number *next on and moves *next behind them. A server that renumbers while it
// answers, which it must not (RFC 9051, section 7.5.1), is asked again: its numbers would mean two messages each.
func (s *Session) stretch(ctx context.Context, next *uint32) ([]migrate.Message, error) {
	v := s.view
	for range 5 {
		before, from := v.expunged, *next
		to := min(v.exists, from+stretchSize-1)
		if from > to {
			return nil, nil
		}
		rows, err := s.rows(ctx, from, to)
		if err != nil {
			return nil, err
		}
		if v.expunged == before {
			*next = to + 1
			return rows, nil
		}
	}
	return nil, migrate.Errorf(migrate.Unavailable, "the mailbox loses messages faster than it can be listed")
}

// rows reads one stretch of the listing, sorted by UID. Messages of which the answer tells no UID are asked for once more, one by
// one and for less and less: a date that a server cannot tell must not hide a message.
func (s *Session) rows(ctx context.Context, from, to uint32) ([]migrate.Message, error) {
	got := make(map[uint32]migrate.Message, to-from+1)
	st, err := s.fetchRows(ctx, fmt.Sprintf("FETCH %d:%d %s", from, to, allItems), got)
	if err != nil {
		return nil, err
	}
	untold := 0
	for number := from; number <= to; number++ {
		if got[number].Key.UID != 0 {
			continue
		}
		for _, items := range []string{allItems, "(UID FLAGS RFC822.SIZE)", "(UID)"} {
			if st, err = s.fetchRows(ctx, fmt.Sprintf("FETCH %d %s", number, items), got); err != nil {
				return nil, err
			}
			if st.ok() {
				break
			}
		}
		gone := st.code == "EXPUNGEISSUED" || number > s.view.exists
		if !st.ok() && !gone && got[number].Key.UID == 0 {
			return nil, st.refusal(fmt.Sprintf("list message number %d", number))
		}
		if got[number].Key.UID == 0 && !gone {
			if untold++; untold > untoldLimit {
				return nil, migrate.Errorf(migrate.Unavailable, "the server tells of %d messages and does not list them", s.view.exists)
			}
		}
	}
	rows := make([]migrate.Message, 0, len(got))
	for number, m := range got {
		if m.Key.UID != 0 && number >= from && number <= to { // not what is told of others' flags meanwhile
			rows = append(rows, m)
		}
	}
	slices.SortFunc(rows, func(a, b migrate.Message) int { return cmp.Compare(a.Key.UID, b.Key.UID) })
	return slices.CompactFunc(rows, func(a, b migrate.Message) bool { return a.Key.UID == b.Key.UID }), nil
}

// fetchRows runs one FETCH and merges what it tells into got, by sequence number.
func (s *Session) fetchRows(ctx context.Context, command string, got map[uint32]migrate.Message) (status, error) {
	return s.exchange(ctx, command, func(resp *response) error {
		if resp.word != "FETCH" {
			return nil
		}
		m, known := got[resp.number]
		if !known {
			if len(got) > 4*stretchSize {
				return fmt.Errorf("the server tells of messages that nobody asked for")
			}
			m.Size = -1
		}
		if err := readItems(s.in, &m); err != nil {
			return err
		}
		got[resp.number] = m
		return nil
	})
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
			var words []string
			if words, err = in.words(); err == nil {
				m.Flags = readFlags(words)
			}
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
		got := map[uint32]migrate.Message{}
		st, err := s.fetchRows(ctx, fmt.Sprintf("FETCH %d (UID)", middle), got)
		unwatch()
		if err != nil {
			return 0, err
		}
		uid := got[middle].Key.UID
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
