package migrate

import (
	"context"
	"fmt"
)

// setFlags makes the flags at the destination those of the source, of all messages at once. Where that does not work
// it is done for each alone: one that is refused, or that breaks the connection, is told of and left to the next run.
// Several of them in a row mean that it is the mailbox, or the server.
func (l *lane) setFlags(ctx context.Context, w *work, flags []flagWork) error {
	alone, tries, behind := false, 0, 0
	for len(flags) > 0 {
		part := flags
		if alone {
			part = flags[:1]
		}
		if err := l.retry(ctx, l.closeSink, func() error { return l.openSink(ctx) }); err != nil {
			return err
		}
		err := l.trySetFlags(ctx, w, part)
		switch {
		case err == nil:
			flags, tries, behind = flags[len(part):], 0, 0
			continue
		case ctx.Err() != nil || concernsSession(err) || !IsTemporary(err) && !concernsMailbox(err):
			return err
		}
		if tries++; IsTemporary(err) && tries <= attemptsAtOne {
			l.closeSink()
			if err := l.patience.bide(ctx, err); err != nil {
				return err
			}
			continue
		}
		if !alone {
			alone, tries = true, 0
			continue
		}
		if IsTemporary(err) {
			l.closeSink()
		}
		if behind++; behind > leftBehindInARow {
			if IsTemporary(err) {
				return err
			}
			part = flags
		}
		l.leaveFlags(w, part, err)
		flags, tries = flags[len(part):], 0
	}
	return nil
}

// trySetFlags sets flags and records them.
func (l *lane) trySetFlags(ctx context.Context, w *work, flags []flagWork) error {
	changes := map[Path][]FlagChange{}
	entries := make([]Entry, len(flags))
	for i, change := range flags {
		entry := change.entry
		if !entry.Place.IsZero() && !entry.Flags.Equal(change.flags) {
			changes[entry.Mailbox] = append(changes[entry.Mailbox], FlagChange{Key: entry.Place, Flags: change.flags})
		}
		entry.Flags, entry.Retired = change.flags, false
		entries[i] = entry
	}
	if !l.Options.DryRun {
		flagger, ok := l.sink.(Flagger)
		for dest, changed := range changes {
			if !ok {
				break
			}
			if err := flagger.SetFlags(ctx, dest, changed); err != nil {
				return atEnd(l.Destination, err)
			}
		}
		if err := l.Ledger.Record(ctx, w.mbox.Path, entries); err != nil {
			return err
		}
		l.done.Add(1)
	}
	for _, change := range flags {
		if !change.entry.Flags.Equal(change.flags) {
			l.count(w, Event{Message: Message{Key: change.entry.Key, Flags: change.flags}, Outcome: FlagsUpdated})
		}
	}
	return nil
}

// leaveFlags tells of messages whose flags could not be set.
func (l *lane) leaveFlags(w *work, flags []flagWork, err error) {
	w.fault.Store(true)
	l.update(func() {
		l.summary.FlagsFailed += int64(len(flags))
		about := &Error{Kind: KindOf(err), End: string(l.Destination), Mailbox: w.mbox.Path, Key: flags[0].entry.Key, Err: err}
		what := "its flags could not be set"
		if len(flags) > 1 {
			about.Key, what = Key{}, fmt.Sprintf("the flags of %d messages could not be set", len(flags))
		}
		about.Err = fmt.Errorf("%s: %w", what, err)
		l.tell(Event{Type: EventWarning, Mailbox: w.mbox.Path, Destination: w.dest, Err: about})
	})
}
