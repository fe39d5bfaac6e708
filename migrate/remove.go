package migrate

import (
	"context"
	"fmt"
	"time"
)

const (
	removeGroup = 200             // messages that are read back, deleted and noted together
	clockSlack  = 2 * time.Minute // by which a clock may be set back without a word

	fruitlessSessions = 3 // in a row, before a server that deletes nothing and refuses nothing is given up
)

// deleter is the deletion of one run. It comes after everything else: nothing is in any lane's hand, and the sessions
// that fetched are closed.
type deleter struct {
	*run
	*Deletion
	now      time.Time
	flagless bool // the source knows no flags
	source   Source
	made     int64 // messages whose only name is one that we made
	marked   int64
	damaged  int64 // messages that could not be read back
}

// condemned are the messages of one mailbox of the source that have been kept long enough.
type condemned struct {
	mbox    Path
	entries []Entry
}

// remove deletes at the source what is safe at the destination. For each message, in this order: its octets are read
// back and agree with the ledger, the source deletes it and says so, the ledger notes that.
func (r *run) remove(ctx context.Context) error {
	if r.Deletion == nil || r.isHalted() || ctx.Err() != nil {
		return nil
	}
	d := &deleter{run: r, Deletion: r.Deletion}
	defer func() { d.closeSource() }()
	if err := d.readClock(ctx); err != nil {
		return err
	}
	due, err := d.due(ctx)
	if err != nil {
		return err
	}
	var count int64
	for _, c := range due {
		count += int64(len(c.entries))
	}
	if d.Most >= 0 && count > d.Most {
		return &Error{Kind: Unsafe, Err: fmt.Errorf("%d messages would be deleted at the source, more than the %d allowed; none was deleted", count, d.Most),
			Hint: "look whether that is what you want, then allow more with --max-delete"}
	}
	for _, c := range due {
		for first := 0; first < len(c.entries) && !d.isHalted(); first += removeGroup {
			if err := d.group(ctx, c.mbox, c.entries[first:min(first+removeGroup, len(c.entries))]); err != nil {
				return err
			}
		}
	}
	return d.conclude()
}

// readClock refuses a clock that cannot be right: it would make mail look older than it is.
func (d *deleter) readClock(ctx context.Context) error {
	clock := d.Now
	if clock == nil {
		clock = time.Now
	}
	d.now = clock()
	newest, err := d.Keeper.Newest(ctx)
	if err == nil && newest.After(d.now.Add(clockSlack)) {
		err = clockError("the newest run of the archive was at %v, and now it is %v", newest, d.now)
	}
	return err
}

func clockError(format string, then, now time.Time) error {
	return &Error{Kind: Unsafe, Err: fmt.Errorf(format+"; nothing is deleted by a clock that jumps", then.UTC().Format(time.RFC3339), now.UTC().Format(time.RFC3339)),
		Hint: "set the clock of this machine right"}
}

// due lists the source once more, in a session of its own, against ledger and keeper. Each mailbox that is listed is a
// step of progress.
func (d *deleter) due(ctx context.Context) (due []condemned, err error) {
	defer d.control.closeSource()
	var mailboxes []Mailbox
	err = d.overSource(ctx, func(source Source) (err error) {
		_, d.flagless = source.(Flagless)
		mailboxes, err = source.Mailboxes(ctx)
		return err
	})
	if err != nil {
		return nil, err
	}
	for _, mbox := range mailboxes {
		if mbox.NoSelect || !d.Options.Filter.Mailbox(mbox) || d.isHalted() {
			continue
		}
		made := d.made
		var entries []Entry
		err := d.overSource(ctx, func(source Source) (err error) {
			d.made = made
			entries, err = d.dueIn(ctx, source, mbox.Path)
			return err
		})
		if err != nil && (!concernsMailbox(err) || isSpent(err)) { // one that cannot be listed has been told of by the survey
			return nil, err
		}
		if err == nil && len(entries) > 0 {
			due = append(due, condemned{mbox.Path, entries})
		}
	}
	return due, nil
}

// overSource asks the source something, over a new connection where one is lost.
func (d *deleter) overSource(ctx context.Context, ask func(Source) error) error {
	err := d.control.again(ctx, func() error {
		source, err := d.control.openSource(ctx)
		if err == nil {
			err = ask(source)
		}
		return atEnd(d.Source, err)
	})
	if err == nil {
		d.done.Add(1)
	}
	return err
}

// dueIn gives the entries of the messages of one mailbox that have arrived and been kept long enough.
func (d *deleter) dueIn(ctx context.Context, source Source, path Path) (due []Entry, err error) {
	batch := make([]Message, 0, lookupBatch)
	choose := func() error {
		known, err := d.lookup(ctx, path, batch)
		batch = batch[:0]
		if err != nil {
			return err
		}
		chosen, err := d.oldEnough(ctx, source, known)
		due = append(due, chosen...)
		return err
	}
	for m, err := range source.Messages(ctx, path) {
		if err != nil {
			return nil, err
		}
		if !d.Options.Filter.Message(m) {
			continue
		}
		if batch = append(batch, m); len(batch) == cap(batch) {
			if err := choose(); err != nil {
				return nil, err
			}
		}
	}
	return due, choose()
}

// oldEnough chooses among entries those that have a lasting name here and a place there, and have been there for long
// enough. An entry whose message the keeper no longer has is among them: that it cannot be read back is then told.
func (d *deleter) oldEnough(ctx context.Context, source Source, known []Entry) (due []Entry, err error) {
	namer, _ := source.(Namer)
	places := map[Path][]Key{}
	arrived := known[:0]
	for _, e := range known {
		if e.State != Arrived || e.Retired || e.Place.IsZero() || e.Identity.IsZero() {
			continue
		}
		if namer != nil && !namer.NamedByStore(e.Key) {
			d.made++
			continue
		}
		arrived = append(arrived, e)
		places[e.Mailbox] = append(places[e.Mailbox], e.Place)
	}
	added := map[Path]map[Key]time.Time{}
	for mbox, keys := range places {
		if added[mbox], err = d.Keeper.Added(ctx, mbox, keys); err != nil {
			return nil, err
		}
	}
	for _, e := range arrived {
		since, there := added[e.Mailbox][e.Place]
		if there && since.After(d.now.Add(clockSlack)) {
			return nil, clockError("a message in the archive was added at %v, and now it is %v", since, d.now)
		}
		if !there || d.Age <= 0 || d.now.Sub(since) >= d.Age {
			due = append(due, e)
		}
	}
	return due, nil
}

// group reads back a few messages of one mailbox, has those deleted that are as they were, and notes what went.
func (d *deleter) group(ctx context.Context, mbox Path, entries []Entry) error {
	doomed, err := d.proven(ctx, mbox, entries)
	if err != nil || len(doomed) == 0 {
		return err
	}
	if d.Options.DryRun {
		d.update(func() { d.summary.Deleted += int64(len(doomed)) })
		return nil
	}
	before := make(map[Key]Flags, len(entries))
	for _, e := range entries {
		before[e.Key] = e.Flags
	}
	if err := d.intend(ctx, mbox, entries, doomed); err != nil {
		return err
	}
	asked := map[Key]bool{} // the answer to its deletion was lost
	size, tries, behind := len(doomed), 0, 0
	for fruitless := 0; len(doomed) > 0 && !d.isHalted(); {
		part := doomed[:min(size, len(doomed))]
		if err := d.control.retry(ctx, d.closeSource, func() error { return d.openSource(ctx) }); err != nil {
			return err
		}
		removal, err := d.try(ctx, mbox, part)
		if err != nil {
			for _, m := range part {
				asked[m.Key] = true
			}
			if err = atEnd(d.Source, err); !IsTemporary(err) || ctx.Err() != nil {
				return err
			}
			if !concernsSession(err) {
				tries++ // it may be one message that breaks the connection
			}
			switch {
			case len(part) == 1 && tries > attemptsAtOne && behind < leftBehindInARow:
				d.keep(mbox, part[0].Key, d.Source, err)
				doomed, size, tries, behind = doomed[1:], removeGroup, 0, behind+1
				continue
			case len(part) > 8 && tries >= attemptsAtOne: // look for it in an eighth
				size, tries = len(part)/8, attemptsAtOne-1
			case len(part) > 1 && tries >= attemptsAtOne: // from now on each is judged by what it does alone
				size, tries = 1, 0
			}
			if err := d.control.patience.bide(ctx, err); err != nil {
				return err
			}
			continue
		}
		left, err := d.settleAll(ctx, mbox, part, removal.Removed, asked, before)
		if err != nil {
			return err
		}
		tries, behind = 0, 0
		if fruitless++; len(left) < len(part) {
			fruitless = 0
		} else if fruitless == fruitlessSessions {
			return atEnd(d.Source, Errorf(Unavailable, "the server ends each session before anything is deleted in %q", mbox))
		}
		doomed = append(left, doomed[len(part):]...)
	}
	return nil
}

// openSource opens the session that deletes.
func (d *deleter) openSource(ctx context.Context) (err error) {
	if d.source == nil {
		if d.source, err = d.Open(ctx); err != nil {
			d.source = nil
		}
	}
	return atEnd(d.Source, err)
}

// try has a session delete messages.
func (d *deleter) try(ctx context.Context, mbox Path, doomed []Doomed) (removal Removal, err error) {
	remover, ok := d.source.(Remover)
	if !ok {
		return removal, Errorf(Misuse, "messages cannot be deleted there")
	}
	removal, err = remover.Remove(ctx, mbox, doomed)
	if err == nil && len(removal.Removed) != len(doomed) {
		err = Errorf(Failed, "internal error: %d of %d messages were answered for", len(removal.Removed), len(doomed))
	}
	if err != nil || removal.Spent {
		d.closeSource()
	}
	return removal, err
}

func (d *deleter) closeSource() {
	if d.source != nil {
		d.source.Close() // what counts was confirmed
		d.source = nil
	}
}
