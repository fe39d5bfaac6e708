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
	l.destination(w.dest).madeEmpty(l, next)
	intents := make([]Entry, len(messages))
	for i, m := range messages {
		intents[i] = l.entryOf(w, m, next)
		if m.Identity.IsZero() {
			intents[i].Identity.Size = max(m.Size, 0)
		}
	}
	return l.Ledger.Intend(ctx, w.mbox.Path, intents)
}

// intents gives those of messages that may have been sent already, by their keys.
func (l *lane) intents(ctx context.Context, w *work, messages []Message) (map[Key]Entry, error) {
	d := l.destination(w.dest)
	if open, _ := d.unanswered(); len(open) == 0 {
		return nil, nil
	}
	if err := d.recallResent(ctx, l); err != nil {
		return nil, err
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
	c, err := l.candidates(ctx, d, w, open, intents)
	if err != nil {
		return nil, nil, err
	}
	if c == nil { // none has arrived, then
		return messages, nil, nil
	}
	if err := c.lookBeside(ctx, l, d); err != nil {
		return nil, nil, err
	}
	if err := c.read(ctx, l, d, w); err != nil {
		return nil, nil, err
	}
	pairs, doubtful, rest := c.match()
	for i, p := range pairs {
		pairs[i].unsure = fmt.Errorf("the answer to its APPEND was lost, and what is there now is not the same to the octet: %s in %q was taken for it", p.held.Key, w.dest)
		if err := d.held.remove(p.held); err != nil {
			return nil, nil, atEnd(l.Destination, err)
		}
	}
	if settled, err = l.claim(ctx, w, pairs); err != nil {
		return nil, settled, err
	}
	c.noteResent(d, doubtful)
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

// A pair is a message of the source and what the destination holds of it.
type pair struct {
	m      Message
	held   heldMessage
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
		entry := l.entryOf(w, p.m, p.held.Key)
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
