package migrate

import (
	"cmp"
	"context"
	"fmt"
	"slices"
)

// intend has the ledger remember which messages are about to be sent, where that cannot be told afterwards otherwise.
func (l *lane) intend(ctx context.Context, w *work, messages []Message) error {
	numberer, ok := l.sink.(Numberer)
	if !ok || len(messages) == 0 {
		return nil
	}
	next, err := numberer.Next(ctx, w.dest)
	if err != nil {
		return atEnd(l.Destination, err)
	}
	intents := make([]Entry, len(messages))
	for i, m := range messages {
		intents[i] = entryOf(m, w.dest, next)
		if m.Identity.IsZero() {
			intents[i].Identity.Size = max(m.Size, 0)
		}
	}
	return l.Ledger.Intend(ctx, w.mbox.Path, intents)
}

// intents gives those of messages that may have been sent already, by their keys.
func (l *lane) intents(ctx context.Context, w *work, messages []Message) (map[Key]Entry, error) {
	if _, ok := l.sink.(Numberer); !ok {
		return nil, nil
	}
	entries, err := l.lookup(ctx, w.mbox.Path, messages)
	if err != nil {
		return nil, err
	}
	var intents map[Key]Entry
	for _, entry := range entries {
		if entry.State == Intended && entry.Mailbox == w.dest {
			if intents == nil {
				intents = map[Key]Entry{}
			}
			intents[entry.Key] = entry
		}
	}
	return intents, nil
}

// resolve decides on messages that were sent and not answered for, and that octets did not find: a server may have
// changed what it took. Among what nobody claims since the intent, one of the same Message-ID counts as the message;
// of those without one, as many as there are such messages. Whatever is decided so is told of as unsure. It gives the
// messages that are still to be sent.
func (l *lane) resolve(ctx context.Context, d *destination, w *work, messages []Message, intents map[Key]Entry) (fresh []Message, settled []Key, err error) {
	var open []Message
	for _, m := range messages {
		if _, ok := intents[m.Key]; ok {
			open = append(open, m)
		} else {
			fresh = append(fresh, m)
		}
	}
	if len(open) == 0 {
		return messages, nil, nil
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	c, err := l.candidates(ctx, d, open, intents)
	if err != nil {
		return nil, nil, err
	}
	if len(c.there) == 0 { // none has arrived, then
		return messages, nil, nil
	}
	if err := c.lookBeside(ctx, l, w, open); err != nil {
		return nil, nil, err
	}
	if err := c.read(ctx, l, d, w, open); err != nil {
		return nil, nil, err
	}
	pairs, doubtful, rest := c.match(open)
	for i, p := range pairs {
		pairs[i].unsure = fmt.Errorf("the answer to its APPEND was lost, and what is there now is not the same to the octet: %s in %q was taken for it", p.held.Key, w.dest)
		d.remove(p.held)
	}
	if settled, err = l.claim(ctx, w, pairs); err != nil {
		return nil, settled, err
	}
	for _, m := range doubtful {
		l.unsure(w, m, fmt.Errorf("the answer to its APPEND was lost, and what is new in %q cannot be told apart: it is sent again and may be there twice", w.dest))
	}
	return slices.Concat(fresh, doubtful, rest), settled, nil
}

// unsure tells that something about a message could not be made certain.
func (l *lane) unsure(w *work, m Message, err error) {
	err = &Error{End: string(l.Destination), Mailbox: w.mbox.Path, Key: m.Key, Err: err}
	l.update(func() {
		w.counts.Unsure++
		l.summary.Unsure++
		l.tell(Event{Type: EventWarning, Mailbox: w.mbox.Path, Destination: w.dest, Message: m, Err: err})
	})
}

// candidates are messages at the destination that nobody claims, each perhaps one whose answer was lost.
type candidates struct {
	there   []*Message // in the order of their keys
	intents map[Key]Entry
	all     bool           // the server counts anew: every message may be one that was sent
	others  map[int64]bool // sizes of further messages that may be among what is there: of another group, or left behind
	theirs  map[Key]string // Message-IDs; a key is missing where the header could not be read
	ours    map[Key]string
}

func (l *lane) candidates(ctx context.Context, d *destination, open []Message, intents map[Key]Entry) (*candidates, error) {
	next, err := l.sink.(Numberer).Next(ctx, d.path)
	if err != nil {
		return nil, atEnd(l.Destination, err)
	}
	c := &candidates{intents: intents}
	for _, m := range open {
		since := intents[m.Key].Place
		c.all = c.all || next.Validity == since.Validity && next.UID != 0 && next.UID < since.UID
	}
	for _, same := range d.held {
		for _, held := range same {
			if slices.ContainsFunc(open, func(m Message) bool { return c.mayBe(held, m) }) {
				c.there = append(c.there, held)
			}
		}
	}
	slices.SortFunc(c.there, func(a, b *Message) int { return a.Key.Compare(b.Key) })
	return c, nil
}

// lookBeside learns what else was sent and not answered for: what is taken for the wrong message is lost.
func (c *candidates) lookBeside(ctx context.Context, l *lane, w *work, open []Message) error {
	mine := make(map[Key]bool, len(open))
	for _, m := range open {
		mine[m.Key] = true
	}
	c.others = map[int64]bool{}
	for entry, err := range l.Ledger.Entries(ctx, w.mbox.Path) {
		if err != nil {
			return err
		}
		if entry.State == Intended && entry.Mailbox == w.dest && !mine[entry.Key] {
			c.others[entry.Identity.Size] = true
		}
	}
	return nil
}

// mayBe tells whether held can be what became of m, by its key and size: a server that changes a message, such as by
// encoding it otherwise, does so within bounds.
func (c *candidates) mayBe(held *Message, m Message) bool {
	since := c.intents[m.Key].Place
	if held.Key.Validity == since.Validity && held.Key.UID < since.UID && !c.all {
		return false
	}
	if held.Size != m.Size && c.others[held.Size] { // rather another one, unchanged, that shares the Message-ID
		return false
	}
	return m.Size < 0 || held.Size < 0 || max(m.Size, held.Size) <= 2*min(m.Size, held.Size)+16<<10
}

// read learns the Message-IDs of both sides, as far as they tell them.
func (c *candidates) read(ctx context.Context, l *lane, d *destination, w *work, open []Message) (err error) {
	ask := make([]Message, len(c.there))
	for i, held := range c.there {
		ask[i] = *held
	}
	if c.theirs, err = messageIDs(ctx, l.sink, d.path, ask); err != nil {
		return atEnd(l.Destination, err)
	}
	c.ours, err = messageIDs(ctx, l.source, w.mbox.Path, open)
	return atEnd(l.Source, err)
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
func (c *candidates) match(open []Message) (pairs []pair, doubtful, rest []Message) {
	taken := map[*Message]bool{}
	var nameless []Message // without a Message-ID, or one that could not be learnt
	for _, m := range open {
		id := c.ours[m.Key]
		if id == "" {
			nameless = append(nameless, m)
			continue
		}
		var best *Message
		for _, held := range c.there {
			if !taken[held] && c.theirs[held.Key] == id && c.mayBe(held, m) && (best == nil || apart(held, m) < apart(best, m)) {
				best = held
			}
		}
		if best == nil {
			rest = append(rest, m)
			continue
		}
		taken[best] = true
		pairs = append(pairs, pair{m: m, held: best})
	}
	var left []*Message
	for _, held := range c.there {
		if !taken[held] && c.theirs[held.Key] == "" {
			left = append(left, held)
		}
	}
	matched, ok := c.inOrder(nameless, left)
	if len(c.others) > 0 { // their number tells nothing, then
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
		doubtful = nameless
	}
	return pairs, doubtful, rest
}

// inOrder pairs messages with candidates one by one: with all of them where they are as many, else with those of the
// same size. Not ok means that some candidate cannot be accounted for.
func (c *candidates) inOrder(messages []Message, there []*Message) (pairs []pair, ok bool) {
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
		pairs = append(pairs, pair{m: free[j], held: held})
		free = slices.Delete(free, j, j+1)
	}
	return pairs, true
}

// apart tells by how many octets the sizes differ.
func apart(held *Message, m Message) int64 {
	return max(held.Size-m.Size, m.Size-held.Size)
}

// A pair is a message of the source and what the destination holds of it.
type pair struct {
	m      Message
	held   *Message
	unsure error // why it is not certain; nil where it is
	unread bool  // recognised by its header: the source's octets were not read
}

// claim records messages as arrived that the destination holds already, gives them their flags and counts them.
func (l *lane) claim(ctx context.Context, w *work, pairs []pair) (settled []Key, err error) {
	if len(pairs) == 0 {
		return nil, nil
	}
	var entries []Entry
	var flags []FlagChange
	for _, p := range pairs {
		entry := entryOf(p.m, w.dest, p.held.Key)
		if p.unread {
			entry.Identity = Identity{Size: entry.Identity.Size}
		}
		entries = append(entries, entry)
		if !p.held.Flags.Equal(p.m.Flags) && len(p.m.Flags)+len(p.held.Flags) > 0 && l.flagged() && !p.held.Key.IsZero() {
			flags = append(flags, FlagChange{Key: p.held.Key, Flags: p.m.Flags})
		}
	}
	if !l.Options.DryRun {
		if flagger, ok := l.sink.(Flagger); ok && len(flags) > 0 {
			if err := flagger.SetFlags(ctx, w.dest, flags); err != nil {
				return nil, atEnd(l.Destination, err)
			}
		}
		if err := l.Ledger.Record(ctx, w.mbox.Path, entries); err != nil {
			return nil, err
		}
	}
	for _, p := range pairs {
		settled = append(settled, p.m.Key)
		size := cmp.Or(p.m.Identity.Size, max(p.m.Size, 0))
		l.settle(w, Event{Message: Message{Key: p.m.Key, Size: size, Flags: p.m.Flags}, Outcome: Present})
		l.moved(size)
		if p.unsure != nil {
			l.unsure(w, p.m, p.unsure)
		}
	}
	return settled, nil
}
