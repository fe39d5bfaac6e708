package migrate

import (
	"context"
	"errors"
)

// deletedFlag is what marks a message for deletion (RFC 9051, section 2.3.2).
const deletedFlag = `\Deleted`

// errNotKept tells of an entry of the ledger that names a place where nothing is.
var errNotKept = errors.New("the destination no longer has it")

// proven reads messages back, and gives those whose octets are what the ledger recorded.
func (d *deleter) proven(ctx context.Context, mbox Path, entries []Entry) ([]Doomed, error) {
	places := map[Path][]Key{}
	for _, e := range entries {
		places[e.Mailbox] = append(places[e.Mailbox], e.Place)
	}
	type place struct {
		mbox Path
		key  Key
	}
	back := make(map[place]ReadBack, len(entries))
	for dest, keys := range places {
		for b, err := range d.Keeper.ReadBack(ctx, dest, keys) {
			if err != nil {
				return nil, atEnd(d.Destination, err)
			}
			back[place{dest, b.Key}] = b
		}
	}
	doomed := make([]Doomed, 0, len(entries))
	for _, e := range entries {
		at := place{e.Mailbox, e.Place}
		b, there := back[at]
		delete(back, at) // it speaks for one message: two that claim one place are not both safe
		err, unread := b.Err, e.Identity.Trimmed == Digest{}
		switch {
		case !there:
			err = errNotKept
		case err == nil && unread && b.Identity.Size != e.Identity.Size, err == nil && !unread && !b.Identity.Same(e.Identity):
			err = errors.New("its octets are not those that the ledger recorded")
		}
		if err != nil {
			d.damaged++
			d.keep(mbox, e.Key, d.Destination, err)
			continue
		}
		m := Doomed{Key: e.Key, Identity: b.Identity, Header: b.Header, Unread: unread}
		if unread {
			m.Header = Digest{}
		}
		doomed = append(doomed, m)
	}
	return doomed, nil
}

// intend writes down that \Deleted may soon be among the flags of these messages, and that it is ours: were it taken
// for a change of flags by the next run, the copies that are kept would be marked as well.
func (d *deleter) intend(ctx context.Context, mbox Path, entries []Entry, doomed []Doomed) error {
	if d.flagless {
		return nil
	}
	going := make(map[Key]bool, len(doomed))
	for _, m := range doomed {
		going[m.Key] = true
	}
	var intended []Entry
	for _, e := range entries {
		if going[e.Key] && !e.Flags.Has(deletedFlag) {
			e.Flags = NewFlags(append([]string{deletedFlag}, e.Flags...)...)
			intended = append(intended, e)
		}
	}
	if len(intended) == 0 {
		return nil
	}
	return d.Ledger.Record(ctx, mbox, intended)
}

// settleAll notes what became of messages, and gives those that were not reached. What the source has confirmed is
// noted even when the run is told to end.
func (d *deleter) settleAll(ctx context.Context, mbox Path, doomed []Doomed, removed []Removed, asked map[Key]bool, before map[Key]Flags) (left []Doomed, err error) {
	var gone []Key
	for i, r := range removed {
		switch {
		case r.Fate == Gone, r.Fate == Vanished && asked[r.Key]:
			gone = append(gone, r.Key)
		case r.Fate == Untried:
			left = append(left, doomed[i])
		case r.Fate == Kept:
			d.keep(mbox, r.Key, d.Source, r.Err)
		case r.Fate == Marked && !before[r.Key].Has(deletedFlag):
			d.marked++
			d.update(func() { d.summary.Marked++ })
		}
	}
	if len(left) < len(doomed) {
		d.done.Add(1) // what the server has answered for ends a row of failures
	}
	if len(gone) == 0 {
		return left, nil
	}
	ctx = context.WithoutCancel(ctx)
	if err := d.Keeper.NoteDeleted(ctx, mbox, gone); err != nil {
		return nil, atEnd(d.Destination, err)
	}
	if err := d.Ledger.Retire(ctx, mbox, gone); err != nil {
		return nil, err
	}
	d.update(func() {
		d.summary.Deleted += int64(len(gone))
		for _, key := range gone {
			d.tell(Event{Type: EventMessage, Mailbox: mbox, Message: Message{Key: key, Size: -1}, Outcome: Deleted})
		}
	})
	return left, nil
}

// keep tells of a message that was to be deleted and stays.
func (d *deleter) keep(mbox Path, key Key, end End, err error) {
	d.update(func() {
		d.summary.NotDeleted++
		err = &Error{Kind: KindOf(err), End: string(end), Mailbox: mbox, Key: key, Err: err}
		d.tell(Event{Type: EventWarning, Mailbox: mbox, Err: Errorf(KindOf(err), "%w; it stays at the source", err)})
	})
}

// conclude says what the user has to know besides the counts.
func (d *deleter) conclude() error {
	if d.made > 0 {
		d.update(func() {
			d.tell(Event{Type: EventWarning, Err: Errorf(Failed, "%s: messages that the server gives no lasting name are never deleted; %d of them stay", d.Source, d.made)})
		})
	}
	if d.marked > 0 {
		d.update(func() {
			d.tell(Event{Type: EventWarning, Err: Errorf(Failed, "%s: the server cannot remove single messages (no UIDPLUS): %d are flagged \\Deleted, and stay until a mail program expunges them", d.Source, d.marked)})
		})
	}
	if d.damaged > 0 {
		return &Error{Kind: Damaged, End: string(d.Destination), Err: errors.New("not all messages can be read back as they came; those stay at the source"),
			Hint: "run postcask verify, and back them up anew while the server has them"}
	}
	return nil
}
