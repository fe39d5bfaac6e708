package imap

import (
	"context"
	"fmt"
	"slices"

	"postcask/migrate"
)

// A page is the rows of consecutive message numbers, as far as they were told.
type page struct {
	from uint32
	old  uint32            // of UIDs below it only flags are asked for; 0 for none
	rows []migrate.Message // of from, from+1, and so on; without a UID where it was not told
}

func newPage(from, count, old uint32) *page {
	p := &page{from: from, old: old, rows: make([]migrate.Message, count)}
	for i := range p.rows {
		p.rows[i].Size = -1
	}
	return p
}

// commands asks for the rows, in the open mailbox. Where they are the last ones, those that are not old can be told apart.
func (p *page) commands(last bool) []string {
	switch {
	case len(p.rows) == 0:
		return nil
	case p.old == 0:
		return []string{p.command(0, allItems)}
	case last:
		return []string{p.command(0, fewItems), fmt.Sprintf("UID FETCH %d:* %s", p.old, allItems)}
	}
	return []string{p.command(0, fewItems)}
}

// command asks for the rows from the i-th on.
func (p *page) command(i int, items string) string {
	return fmt.Sprintf("FETCH %d:%d %s", int(p.from)+i, int(p.from)+len(p.rows)-1, items)
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

// complete asks for what of a page was not told. Messages without a UID are asked for one by one and for less and less: a
// date that a server cannot tell must not hide a message.
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
	if i := slices.IndexFunc(p.rows, p.lacks); i >= 0 {
		_, err := s.fetchPage(ctx, p, p.command(i, allItems))
		return err
	}
	return nil
}

// lacks tells that only flags are known of a message that is not old.
func (p *page) lacks(m migrate.Message) bool {
	return p.old > 0 && m.Key.UID >= p.old && m.Size < 0 && m.InternalDate.IsZero()
}
