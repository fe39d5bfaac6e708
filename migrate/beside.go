package migrate

import (
	"context"
	"maps"
)

// A sentKey tells one message that was sent and not answered for from others, but for the mailbox it came from.
type sentKey struct {
	key, place Key
	size       int64
}

func sentKeyOf(e Entry) sentKey { return sentKey{e.Key, e.Place, e.Identity.Size} }

// A sentMessage is a message of a mailbox of the source that was sent and not answered for.
type sentMessage struct {
	from Path
	m    Message
}

// lookBeside learns what else was sent into this mailbox and not answered for, from whatever mailbox of the source: what
// is taken for the wrong message is lost. What other lanes have just begun to send is not among what is there.
func (c *candidates) lookBeside(ctx context.Context, l *lane, d *destination) error {
	c.others, c.sent = map[int64]bool{}, map[string][]sentMessage{}
	c.lookAtResent(d)
	beside, err := c.stillOpen(ctx, l, d)
	if err != nil || len(beside) == 0 {
		return err
	}
	for sent := range beside {
		c.others[sent.size] = true
	}
	for _, path := range l.Options.Mapping.into(d.path) {
		var ask []Message
		for entry, err := range l.Ledger.Entries(ctx, path) {
			if err != nil {
				return err
			}
			sent := sentKeyOf(entry)
			if _, own := c.intents[entry.Key]; own && path == c.from || entry.State != Intended || entry.Mailbox != d.path || beside[sent] == 0 {
				continue
			}
			beside[sent]--
			ask = append(ask, Message{Key: entry.Key, Size: sent.size, Flags: entry.Flags})
		}
		ids, err := messageIDs(ctx, l.source, path, ask)
		if err != nil && !concernsMailbox(err) {
			return atEnd(l.Source, err)
		}
		for _, m := range ask {
			if id, read := ids[m.Key]; !read {
				c.unknown++
			} else if id != "" {
				c.sent[id] = append(c.sent[id], sentMessage{path, m})
			}
		}
	}
	return c.countGone(ctx, l, d, beside)
}

// countGone adds up what is left of beside: it is of mailboxes that are gone, where no other lane has decided on it and
// sent it anew meanwhile.
func (c *candidates) countGone(ctx context.Context, l *lane, d *destination, beside map[sentKey]int) error {
	maps.DeleteFunc(beside, func(_ sentKey, n int) bool { return n == 0 })
	if len(beside) == 0 {
		return nil
	}
	open, err := c.stillOpen(ctx, l, d)
	if err != nil {
		return err
	}
	for sent, n := range beside {
		c.unknown += min(n, open[sent])
	}
	return nil
}

// stillOpen counts what was open when the mailbox was listed, is so now, and is not looked for here.
func (c *candidates) stillOpen(ctx context.Context, l *lane, d *destination) (map[sentKey]int, error) {
	listed := map[sentKey]int{}
	for _, entry := range d.open {
		listed[sentKeyOf(entry)]++
	}
	for _, entry := range c.intents {
		if sent := sentKeyOf(entry); listed[sent] > 1 {
			listed[sent]--
		} else {
			delete(listed, sent)
		}
	}
	beside := map[sentKey]int{}
	if len(listed) == 0 {
		return beside, nil
	}
	for entry, err := range l.Ledger.Claims(ctx, d.path) {
		if err != nil {
			return nil, err
		}
		if sent := sentKeyOf(entry); entry.State == Intended && listed[sent] > beside[sent] {
			beside[sent]++
		}
	}
	return beside, nil
}

// compareTwins finds the Message-IDs that do not tell which of several messages has arrived: fewer are there than were
// sent, and these are not the same, as a letter and the copy that a list sent of it.
func (c *candidates) compareTwins(ctx context.Context, l *lane) error {
	have := map[string]int{}
	for _, held := range c.there {
		have[c.theirs[held.Key]]++
	}
	c.unlike = map[string]bool{}
	for id, sent := range c.sent {
		if have[id] == 0 || have[id] >= len(sent)+c.unknown || len(sent)+c.unknown == 1 {
			continue
		}
		same := c.unknown == 0
		for i := 1; same && i < len(sent); i++ {
			var err error
			if same, err = l.alike(ctx, sent[0], sent[i]); err != nil {
				return err
			}
		}
		c.unlike[id] = !same
	}
	return nil
}

// alike reads two messages of the source and tells whether they are the same. Of one that cannot be read they are not.
func (l *lane) alike(ctx context.Context, a, b sentMessage) (bool, error) {
	if a.m.Size != b.m.Size && a.m.Size > 0 && b.m.Size > 0 {
		return false, nil
	}
	var ids []Identity
	for _, s := range []sentMessage{a, b} {
		for f, err := range l.source.Fetch(ctx, s.from, []Message{s.m}) {
			if err == nil && concernsSession(f.Err) {
				err = f.Err
			}
			if err != nil {
				return false, atEnd(l.Source, err)
			}
			id, err := f.identity()
			if err != nil {
				return false, atEnd(l.Source, err)
			}
			if f.Err == nil {
				ids = append(ids, id)
			}
		}
	}
	return len(ids) == 2 && ids[0].Same(ids[1]), nil
}
