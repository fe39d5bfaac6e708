package migrate

import (
	"context"
	"maps"
	"sync/atomic"
	"time"
)

// A Comparison tells what Compare came to.
type Comparison struct {
	Mailboxes int   `json:"mailboxes"`
	Messages  int64 `json:"messages"` // of the source
	Missing   int64 `json:"missing"`
	// MailboxesFailed counts those that could not be compared, on whichever side they did not open: of their messages
	// nothing is proven.
	MailboxesFailed int64 `json:"mailboxes_failed"`
}

// Missing is a message of the source that the destination lacks. Err says why it could not be told, where that is so.
// Without a message it is a whole mailbox that could not be compared.
type Missing struct {
	Mailbox Path
	Message Message
	Err     error
}

// Compare reports each message of the job's source that its destination does not hold, and changes neither. A message
// counts as held where the ledger knows its place and the destination still has it there, or where the destination
// holds one of the same octets that no other message claims; damaged, if not nil, tells places that do not count. A
// connection to the source that is lost is made again, as in Run, and the mailbox compared from its beginning. A mailbox
// that cannot be opened, or breaks every connection, is reported and the others go on. Of the job's options Filter, Mapping, MaxRetries, Backoff and Report (of EventRetry) count.
func Compare(ctx context.Context, job Job, damaged func(dest Path, place Key) bool, report func(Missing)) (Comparison, error) {
	c := &comparison{Job: job, damaged: damaged, report: report, holdings: map[Path]*holding{}, door: newDoor()}
	if c.Options.Backoff == nil {
		c.Options.Backoff = backoff
	}
	c.patience = patience{options: &c.Options, done: new(atomic.Int64), tell: func(err error, wait time.Duration) {
		if c.Options.Report != nil {
			c.Options.Report(Event{Type: EventRetry, Err: err, Delay: wait})
		}
	}}
	if c.damaged == nil {
		c.damaged = func(Path, Key) bool { return false }
	}
	err := c.all(ctx)
	return c.result, err
}

type comparison struct {
	Job
	damaged  func(Path, Key) bool
	report   func(Missing)
	source   Source
	holder   Source
	holdings map[Path]*holding
	result   Comparison
	passed   int // mailboxes in a row that broke every connection
	door     *door
	patience patience
}

// holding is what a mailbox of the destination has.
type holding struct {
	sound     keySet         // not damaged
	unclaimed map[Digest]int // sound, and no entry's place; by Trimmed
}

func (c *comparison) all(ctx context.Context) error {
	defer c.closeSource()
	sink, err := c.OpenSink(ctx)
	if err != nil {
		return atEnd(c.Destination, err)
	}
	defer sink.Close()
	holder, ok := sink.(Source)
	if !ok {
		return Errorf(Failed, "%s cannot tell what it holds", c.Destination)
	}
	c.holder = holder
	var mailboxes []Mailbox
	err = c.again(ctx, func() (err error) {
		mailboxes, err = c.source.Mailboxes(ctx)
		return atEnd(c.Source, err)
	})
	if err != nil {
		return err
	}
	there, err := holder.Mailboxes(ctx)
	if err != nil {
		return atEnd(c.Destination, err)
	}
	c.Options.Mapping.Bind(mailboxes, there)
	for _, err := range c.Options.Filter.unmatched(c.Source, mailboxes) {
		c.result.MailboxesFailed++
		c.report(Missing{Err: err})
	}
	for _, mbox := range mailboxes {
		if mbox.NoSelect || !c.Options.Filter.Mailbox(mbox) {
			continue
		}
		switch err := c.settle(ctx, mbox.Path); {
		case concernsMailbox(err) && !isSpent(err) && ctx.Err() == nil:
			c.result.MailboxesFailed++
			c.report(Missing{Mailbox: mbox.Path, Err: err})
		case err != nil:
			return err
		}
	}
	return nil
}

// again tries until it works, with a new source each time, as long as that may help.
func (c *comparison) again(ctx context.Context, try func() error) error {
	for {
		err := c.open(ctx)
		if err == nil {
			err = try()
		}
		if err == nil {
			c.patience.done.Add(1)
			return nil
		}
		if !IsTemporary(err) {
			return err
		}
		if err := c.patience.bide(ctx, err); err != nil {
			return err
		}
		c.closeSource()
	}
}

func (c *comparison) open(ctx context.Context) (err error) {
	if c.source != nil {
		return nil
	}
	source, err := enter(ctx, c.door, false, c.OpenSource)
	if err == nil {
		c.source = source
	}
	return atEnd(c.Source, err)
}

func (c *comparison) closeSource() {
	if c.source != nil {
		c.source.Close() // nothing was written
		c.source = nil
	}
}

// settle compares one mailbox to its end, and only then tells what it came to: an attempt that is cut off counts for
// nothing.
func (c *comparison) settle(ctx context.Context, path Path) error {
	h, err := c.holding(ctx, c.Options.Mapping.Destination(path))
	if err != nil {
		return atEnd(c.Destination, err)
	}
	before := maps.Clone(h.unclaimed)
	var found *comparedMailbox
	tries := 0
	err = c.again(ctx, func() error {
		h.unclaimed = maps.Clone(before)
		found = &comparedMailbox{path: path}
		err := c.mailbox(ctx, found, h)
		if tries++; tries > attemptsAtOne && IsTemporary(err) && !concernsSession(err) && c.passed < leftBehindInARow {
			c.passed++ // it is this mailbox that breaks the connection
			c.closeSource()
			err = &Error{Kind: KindOf(err), End: string(c.Source), Mailbox: path, Advice: Never, Err: err}
		}
		return err
	})
	if err != nil {
		h.unclaimed = before
		return err
	}
	c.passed = 0
	c.result.Mailboxes++
	c.result.Messages += found.messages
	c.result.Missing += int64(len(found.missing))
	for _, m := range found.missing {
		c.report(m)
	}
	return nil
}

// comparedMailbox is what one attempt has brought.
type comparedMailbox struct {
	path     Path
	messages int64
	missing  []Missing
}

func (m *comparedMailbox) miss(message Message, err error) {
	m.missing = append(m.missing, Missing{Mailbox: m.path, Message: message, Err: err})
}

// mailbox compares one mailbox: by the ledger as far as that goes, by octets beyond.
func (c *comparison) mailbox(ctx context.Context, found *comparedMailbox, h *holding) error {
	path := found.path
	var unsure []Message
	batch := make([]Message, 0, lookupBatch)
	classify := func() error {
		keys := make([]Key, len(batch))
		for i, m := range batch {
			keys[i] = m.Key
		}
		entries, err := c.Ledger.Lookup(ctx, path, keys)
		if err != nil {
			return err
		}
		for i, entry := range entries {
			if entry.State != Arrived || entry.Place.IsZero() || !h.sound.has(entry.Place) {
				unsure = append(unsure, batch[i])
			}
		}
		found.messages += int64(len(batch))
		batch = batch[:0]
		return nil
	}
	for m, err := range c.source.Messages(ctx, path) {
		if err != nil {
			return atEnd(c.Source, err)
		}
		if !c.Options.Filter.Message(m) {
			continue
		}
		if batch = append(batch, m); len(batch) == cap(batch) {
			if err := classify(); err != nil {
				return err
			}
		}
	}
	if err := classify(); err != nil {
		return err
	}
	return c.byOctets(ctx, found, h, unsure)
}

// byOctets looks for messages that the ledger does not lead to among those that nobody claims.
func (c *comparison) byOctets(ctx context.Context, found *comparedMailbox, h *holding, unsure []Message) error {
	if len(unsure) == 0 {
		return nil
	}
	if len(h.unclaimed) == 0 { // nothing could be found, so nothing need be read
		for _, m := range unsure {
			found.miss(m, nil)
		}
		return nil
	}
	for f, err := range c.source.Fetch(ctx, found.path, unsure) {
		if err == nil && concernsSession(f.Err) {
			err = f.Err
		}
		if err != nil {
			return atEnd(c.Source, err)
		}
		id, err := f.identity()
		switch {
		case f.Err != nil:
			found.miss(f.Message, f.Err)
		case err != nil:
			return atEnd(c.Source, err)
		case h.unclaimed[id.Trimmed] > 0:
			h.unclaimed[id.Trimmed]--
		default:
			found.miss(f.Message, nil)
		}
	}
	return nil
}

// holding lists what a mailbox of the destination has, once.
func (c *comparison) holding(ctx context.Context, dest Path) (*holding, error) {
	if h := c.holdings[dest]; h != nil {
		return h, nil
	}
	h := &holding{unclaimed: map[Digest]int{}}
	var claimed keySet
	for entry, err := range c.Ledger.Claims(ctx, dest) {
		if err != nil {
			return nil, err
		}
		if entry.State == Arrived {
			claimed.add(entry.Place)
		}
	}
	var unread []Message
	for m, err := range c.holder.Messages(ctx, dest) {
		if err != nil {
			return nil, err
		}
		if c.damaged(dest, m.Key) {
			continue
		}
		h.sound.add(m.Key)
		switch {
		case claimed.has(m.Key):
		case m.Identity.IsZero():
			unread = append(unread, m)
		default:
			h.unclaimed[m.Identity.Trimmed]++
		}
	}
	if len(unread) == 0 {
		c.holdings[dest] = h
		return h, nil
	}
	for f, err := range c.holder.Fetch(ctx, dest, unread) {
		if err != nil {
			return nil, err
		}
		if f.Err != nil {
			continue
		}
		id, err := f.identity()
		if err != nil {
			return nil, err
		}
		h.unclaimed[id.Trimmed]++
	}
	c.holdings[dest] = h
	return h, nil
}
