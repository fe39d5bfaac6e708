package migrate

import (
	"context"
	"slices"
)

// candidates are messages at the destination that nobody claims, each perhaps one whose answer was lost.
type candidates struct {
	from    Path // of the source
	open    []Message
	there   []*heldMessage // in the order of their keys, less those that their Message-ID rules out
	intents map[Key]Entry
	all     bool                     // the server counts anew: every message may be one that was sent
	others  map[int64]bool           // sizes of further messages that may be among what is there, see lookBeside
	sent    map[string][]sentMessage // what may be among what is there by Message-ID, of others too
	unknown int                      // others whose Message-ID cannot be learnt
	crowded bool                     // others without a Message-ID, or with one nobody knows, may be there too
	tooMany bool                     // without a Message-ID are there: not all are in there
	unlike  map[string]bool          // by Message-ID: not all of those have arrived, and they are not the same
	theirs  map[Key]string           // Message-IDs; a key is missing where the header could not be read
	ours    map[Key]string
}

// candidates tells whether there is any, and gives nil where there is none.
func (l *lane) candidates(ctx context.Context, d *destination, w *work, open []Message, intents map[Key]Entry) (*candidates, error) {
	next, err := l.sink.(Numberer).Next(ctx, d.path)
	if err != nil {
		return nil, atEnd(l.Destination, err)
	}
	c := &candidates{from: w.mbox.Path, open: open, intents: intents}
	for _, m := range open {
		since := intents[m.Key].Place
		c.all = c.all || next.Validity == since.Validity && next.UID != 0 && next.UID < since.UID
	}
	for held, err := range d.held.all() {
		if err != nil {
			return nil, atEnd(l.Destination, err)
		}
		if c.nearAny(&held) {
			return c, nil
		}
	}
	return nil, nil
}

func (c *candidates) nearAny(held *heldMessage) bool {
	return slices.ContainsFunc(c.open, func(m Message) bool { return c.isNear(held, m) })
}

// isNear tells whether held can be what became of m, by its key and size: a server that changes a message, such as by
// encoding it otherwise, does so within bounds.
func (c *candidates) isNear(held *heldMessage, m Message) bool {
	since := c.intents[m.Key].Place
	if held.Key.Validity == since.Validity && held.Key.UID < since.UID && !c.all {
		return false
	}
	return m.Size < 0 || held.Size < 0 || max(m.Size, held.Size) <= 2*min(m.Size, held.Size)+16<<10
}

// mayBe tells whether held is likely to be what became of m, by its key and size.
func (c *candidates) mayBe(held *heldMessage, m Message) bool {
	if held.Size != m.Size && c.others[held.Size] { // rather another one, unchanged, that shares the Message-ID
		return false
	}
	return c.isNear(held, m)
}

// read learns the Message-IDs of both sides, as far as they tell them.
func (c *candidates) read(ctx context.Context, l *lane, d *destination, w *work) (err error) {
	c.ours, err = messageIDs(ctx, l.source, w.mbox.Path, c.open)
	if err != nil {
		return atEnd(l.Source, err)
	}
	for _, m := range c.open {
		if id := c.ours[m.Key]; id != "" {
			c.sent[id] = append(c.sent[id], sentMessage{c.from, m})
		}
	}
	if err := c.readThere(ctx, l, d); err != nil {
		return atEnd(l.Destination, err)
	}
	if err := c.passMeant(ctx, l, d); err != nil {
		return err
	}
	return c.compareTwins(ctx, l)
}

// readThere learns the Message-IDs of what is there and keeps what they make a candidate, as that may be few of very many.
func (c *candidates) readThere(ctx context.Context, l *lane, d *destination) error {
	c.theirs = map[Key]string{}
	var part []heldMessage
	nameless := 0
	learn := func() error {
		ask := make([]Message, len(part))
		for i, held := range part {
			ask[i] = held.Message
		}
		ids, err := messageIDs(ctx, l.sink, d.path, ask)
		for _, held := range part {
			id := ids[held.Key]
			if id == "" {
				nameless++
			}
			c.tooMany = nameless > len(c.open)+1
			if id == "" && !c.tooMany || c.sent[id] != nil { // beyond, they cannot be told from each other
				c.there = append(c.there, &held)
				c.theirs[held.Key] = id
			}
		}
		part = part[:0]
		return err
	}
	for held, err := range d.held.all() {
		if err != nil {
			return err
		}
		if c.nearAny(&held) {
			part = append(part, held)
		}
		if len(part) < lookupBatch {
			continue
		}
		if err := learn(); err != nil {
			return err
		}
	}
	if err := learn(); err != nil {
		return err
	}
	slices.SortFunc(c.there, func(a, b *heldMessage) int { return a.Key.Compare(b.Key) })
	return nil
}

func messageIDs(ctx context.Context, store any, mbox Path, messages []Message) (map[Key]string, error) {
	reader, ok := store.(HeaderReader)
	if !ok {
		return nil, nil
	}
	ids := make(map[Key]string, len(messages))
	for h, err := range reader.Headers(ctx, mbox, messages) {
		if err != nil {
			return nil, err
		}
		if h.Err == nil {
			ids[h.Message.Key] = messageID(h.Octets)
		}
	}
	return ids, nil
}

// match pairs messages with candidates, each at most once. doubtful are those of which nobody can tell, rest those that
// have not arrived.
func (c *candidates) match() (pairs []pair, doubtful, rest []Message) {
	taken := map[*heldMessage]bool{}
	var nameless []Message // without a Message-ID, or one that could not be learnt
	for _, m := range c.open {
		id := c.ours[m.Key]
		if id == "" {
			nameless = append(nameless, m)
			continue
		}
		var best *heldMessage
		for _, held := range c.there {
			if !taken[held] && c.theirs[held.Key] == id && c.mayBe(held, m) && (best == nil || apart(held, m) < apart(best, m)) {
				best = held
			}
		}
		if best == nil {
			rest = append(rest, m)
			continue
		}
		if c.unlike[id] { // what is there may be another, and this one missing
			doubtful = append(doubtful, m)
			continue
		}
		taken[best] = true
		pairs = append(pairs, pair{m: m, held: *best})
	}
	var left []*heldMessage
	for _, held := range c.there {
		if !taken[held] && c.theirs[held.Key] == "" {
			left = append(left, held)
		}
	}
	matched, ok := c.inOrder(nameless, left)
	if len(c.others) > 0 || c.crowded { // their number tells nothing, then
		matched, ok = nil, len(left) == 0 || len(nameless) == 0
	}
	switch {
	case ok:
		pairs = append(pairs, matched...)
		for _, m := range nameless {
			if !slices.ContainsFunc(matched, func(p pair) bool { return p.m.Key == m.Key }) {
				rest = append(rest, m)
			}
		}
	default:
		doubtful = append(doubtful, nameless...)
	}
	return pairs, doubtful, rest
}

// inOrder pairs messages with candidates one by one: with all of them where they are as many, else with those of the
// same size. Not ok means that some candidate cannot be accounted for.
func (c *candidates) inOrder(messages []Message, there []*heldMessage) (pairs []pair, ok bool) {
	if len(there) > len(messages) {
		return nil, len(messages) == 0
	}
	free := slices.Clone(messages)
	for i, held := range there {
		j := slices.IndexFunc(free, func(m Message) bool { return m.Size == held.Size && c.mayBe(held, m) })
		if j < 0 && len(free) == len(there)-i {
			j = slices.IndexFunc(free, func(m Message) bool { return c.mayBe(held, m) })
		}
		if j < 0 {
			return nil, false
		}
		pairs = append(pairs, pair{m: free[j], held: *held})
		free = slices.Delete(free, j, j+1)
	}
	return pairs, true
}

// apart tells by how many octets the sizes differ.
func apart(held *heldMessage, m Message) int64 {
	return max(held.Size-m.Size, m.Size-held.Size)
}
