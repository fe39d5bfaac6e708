package migrate

import "context"

// A resentMessage was sent, not answered for and then sent again, since nobody could tell whether it is among what is new at
// the destination. It may be: what is there must not be taken for another that was on its way too.
type resentMessage struct {
	sentMessage
	id     string
	unread bool // the Message-ID could not be learnt
}

// noteResent remembers messages that nobody could decide on, for as long as the run lasts.
func (c *candidates) noteResent(d *destination, doubtful []Message) {
	for _, m := range doubtful {
		id, read := c.ours[m.Key]
		d.resent = append(d.resent, resentMessage{sentMessage{c.from, m}, id, !read})
	}
}

// lookAtResent counts messages that were sent a second time among what may be there.
func (c *candidates) lookAtResent(d *destination) {
	for _, sent := range d.resent {
		switch _, own := c.intents[sent.m.Key]; {
		case own && sent.from == c.from: // lost once more: what is left of the first time has lower keys
		case sent.unread:
			c.unknown++
		case sent.id != "":
			c.sent[sent.id] = append(c.sent[sent.id], sent.sentMessage)
		default:
			c.crowded = true
		}
	}
}

// passMeant takes out of what is there what arrived entries mean without knowing its place. What these still mean then may
// be anything that is there.
func (c *candidates) passMeant(ctx context.Context, l *lane, d *destination) error {
	if d.held.expected == 0 {
		return nil
	}
	if !c.tooMany {
		if err := c.readMeant(ctx, l, d); err != nil {
			return atEnd(l.Destination, err)
		}
	}
	if d.held.expected == 0 {
		return nil
	}
	for _, path := range l.Options.Mapping.into(d.path) {
		if err := c.lookAtMeant(ctx, l, d, path); err != nil {
			return err
		}
	}
	return nil
}

// lookAtMeant counts what has arrived from a mailbox of the source, one does not know where, among what may be there.
func (c *candidates) lookAtMeant(ctx context.Context, l *lane, d *destination, path Path) error {
	var ask []Message
	learn := func() error {
		ids, err := messageIDs(ctx, l.source, path, ask)
		if err != nil && !concernsMailbox(err) {
			return atEnd(l.Source, err)
		}
		for _, m := range ask {
			switch id, read := ids[m.Key]; {
			case !read:
				c.unknown++
			case id == "":
				c.crowded = true
			case c.sent[id] != nil:
				c.sent[id] = append(c.sent[id], sentMessage{path, m})
			}
		}
		ask = ask[:0]
		return nil
	}
	for entry, err := range l.Ledger.Entries(ctx, path) {
		if err != nil {
			return err
		}
		if entry.State != Arrived || entry.Retired || entry.Mailbox != d.path || !entry.Place.IsZero() {
			continue
		}
		if ask = append(ask, Message{Key: entry.Key, Size: entry.Identity.Size, Flags: entry.Flags}); len(ask) == lookupBatch {
			if err := learn(); err != nil {
				return err
			}
		}
	}
	return learn()
}

func (c *candidates) readMeant(ctx context.Context, l *lane, d *destination) error {
	ask, byKey := make([]Message, len(c.there)), make(map[Key]*heldMessage, len(c.there))
	for i, held := range c.there {
		ask[i], byKey[held.Key] = held.Message, held
	}
	c.there = c.there[:0]
	for f, err := range l.sink.(Source).Fetch(ctx, d.path, ask) {
		if err != nil {
			return err
		}
		held := byKey[f.Message.Key]
		if f.Err == nil {
			id, err := f.identity()
			if err != nil {
				return err
			}
			meant, err := d.held.meet(id.Trimmed)
			if err != nil {
				return err
			}
			if meant {
				if err := d.held.remove(*held); err != nil {
					return err
				}
				continue
			}
		}
		c.there = append(c.there, held)
	}
	return nil
}
