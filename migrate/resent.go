package migrate

import (
	"context"
	"sync"
	"time"
)

// sentAgain is the reason in the Attempt of an entry whose message was sent again in doubt. Later runs have to know of it too.
const sentAgain = "sent again in doubt"

// A resentMessage was sent, not answered for and then sent again, since nobody could tell whether it is among what is new at
// the destination. It may be: what is there must not be taken for another that was on its way too.
type resentMessage struct {
	sentMessage
	id     string
	unread bool // the Message-ID could not be learnt
}

// A resentSet is what was sent again into a mailbox of the destination, in this run and in those before. It is safe for use
// by several lanes.
type resentSet struct {
	mu       sync.Mutex
	recalled bool // what earlier runs sent is among it
	messages []resentMessage
	keys     map[Path]map[Key]bool
}

func (s *resentSet) add(sent resentMessage) {
	if s.keys == nil {
		s.keys = map[Path]map[Key]bool{}
	}
	if s.keys[sent.from] == nil {
		s.keys[sent.from] = map[Key]bool{}
	}
	s.keys[sent.from][sent.m.Key] = true
	s.messages = append(s.messages, sent)
}

// mark notes in the entry of a message of the source that it was sent again, where it was.
func (s *resentSet) mark(from Path, e *Entry) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.keys[from][e.Key] {
		e.Attempt = Attempt{Reason: sentAgain, Time: time.Now()}
	}
}

// recallResent learns what earlier runs sent again, once.
func (d *destination) recallResent(ctx context.Context, l *lane) error {
	s := &d.resent
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.recalled {
		return nil
	}
	for _, path := range l.Options.Mapping.into(d.path) {
		var ask []Message
		for entry, err := range l.Ledger.Entries(ctx, path) {
			if err != nil {
				return err
			}
			if entry.Attempt.Reason == sentAgain && entry.State != SetAside && entry.Mailbox == d.path {
				ask = append(ask, Message{Key: entry.Key, Size: entry.Identity.Size, Flags: entry.Flags})
			}
		}
		ids, err := messageIDs(ctx, l.source, path, ask)
		if err != nil && !concernsMailbox(err) {
			return atEnd(l.Source, err)
		}
		for _, m := range ask {
			id, read := ids[m.Key]
			s.add(resentMessage{sentMessage{path, m}, id, !read})
		}
	}
	s.recalled = true
	return nil
}

// noteResent remembers messages that nobody could decide on.
func (c *candidates) noteResent(d *destination, doubtful []Message) {
	d.resent.mu.Lock()
	defer d.resent.mu.Unlock()
	for _, m := range doubtful {
		id, read := c.ours[m.Key]
		d.resent.add(resentMessage{sentMessage{c.from, m}, id, !read})
	}
}

// lookAtResent counts messages that were sent a second time among what may be there.
func (c *candidates) lookAtResent(d *destination) {
	d.resent.mu.Lock()
	defer d.resent.mu.Unlock()
	for _, sent := range d.resent.messages {
		switch _, own := c.intents[sent.m.Key]; {
		case own && sent.from == c.from && c.isOldest(sent.m.Key): // lost once more: what is left of the first time has lower keys
		case sent.unread:
			c.unknown++
		case sent.id != "":
			c.sent[sent.id] = append(c.sent[sent.id], sent.sentMessage)
		default:
			c.crowded = true
		}
	}
}

// isOldest tells whether nothing of what is open was sent before the message of a key was sent last.
func (c *candidates) isOldest(key Key) bool {
	last := c.intents[key].Place
	for _, e := range c.intents {
		if c.all || e.Place.Validity != last.Validity || e.Place.UID < last.UID {
			return false
		}
	}
	return true
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
