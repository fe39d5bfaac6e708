package migrate

import (
	"context"
	"errors"
)

// move deals with a group to the end: each message is recorded as arrived, or counted as left behind, or has vanished.
// An error ends the run.
func (l *lane) move(ctx context.Context, g *group) error {
	defer l.finish(ctx, g.work)
	d := l.destination(g.dest)
	left, flags := g.messages, g.flags
	attempts, behind, single, prepared := 0, 0, false, false
	for len(left) > 0 || len(flags) > 0 || !prepared {
		if err := l.connect(ctx); errors.Is(err, errGaveUp) {
			l.handBack(&group{work: g.work, messages: left, flags: flags})
			return err
		} else if err != nil {
			g.fault.Store(true)
			return err
		}
		part := l.portion(left)
		if single {
			part = left[:min(1, len(left))]
		}
		l.foresee(ctx)
		var settled []Key
		l.touched, l.answered = false, false
		ok, err := d.prepare(ctx, l, g)
		if err == nil && !ok {
			return nil
		}
		if err == nil {
			prepared = true
			settled, flags, err = l.pass(ctx, d, g, part, flags)
		}
		if err == nil {
			for _, m := range without(part, settled) {
				l.leave(g.work, m, l.Source, errVanished)
			}
			left, attempts, behind = left[len(part):], 0, 0
			if len(left) > 0 && l.isHalted() {
				g.fault.Store(true)
				return errHalted
			}
			continue
		}
		if left = without(left, settled); len(settled) > 0 {
			attempts, behind = 0, 0
		}
		if errors.Is(err, ErrRenumbered) {
			l.close()
			l.renumber(g.work)
			return nil
		}
		if ctx.Err() == nil && l.lostMailbox(g.work, err) {
			for _, m := range left {
				l.leave(g.work, m, l.Source, err)
			}
			return nil
		}
		if !IsTemporary(err) || ctx.Err() != nil {
			g.fault.Store(true)
			return err
		}
		l.close()
		if !l.answered {
			d.doubt()
		}
		if l.touched && !concernsSession(err) {
			attempts++ // it may be one message that breaks the connection
		}
		if single && attempts > attemptsAtOne && len(left) > 0 {
			if behind++; behind > leftBehindInARow {
				return err
			}
			l.leave(g.work, left[0], "", err)
			left, attempts = left[1:], 0
			continue
		}
		if !single && attempts >= attemptsAtOne { // from now on each is judged by what it does alone
			single, attempts = true, 0
		}
		if l.givesWay(err) {
			l.handBack(&group{work: g.work, messages: left, flags: flags})
			return errGaveUp
		}
		if err := l.patience.bide(ctx, err); err != nil {
			g.fault.Store(true)
			return err
		}
	}
	return nil
}

// errVanished is why a message stays behind that was listed and then not given: somebody has deleted it meanwhile, or
// the server keeps it back. Only another look tells, so it is not passed over.
var errVanished = errors.New("the server listed this message and then did not give it; the source has changed meanwhile, or it holds the message back")

// portion gives the messages to deal with next. What goes to a server is made safe in one group with what was intended
// before; anything else is made safe on the way.
func (l *lane) portion(messages []Message) []Message {
	if _, ok := l.sink.(Numberer); !ok {
		return messages
	}
	n, _, _ := l.groupBound(1).prefix(messages)
	return messages[:n]
}

// lostMailbox tells whether the source does not let us into the mailbox any more, though it did when it was listed, and
// notes it the first time.
func (l *lane) lostMailbox(w *work, err error) bool {
	ofSource := concerns(err, func(e *Error) bool { return e.End == string(l.Source) })
	if !ofSource || KindOf(err) != Failed || !concernsMailbox(err) {
		return false
	}
	if !w.lost.Swap(true) {
		l.update(func() {
			l.summary.MailboxesFailed++
			l.tell(Event{Type: EventWarning, Mailbox: w.mbox.Path, Err: err})
		})
	}
	return true
}

// without gives the messages whose keys are not settled.
func without(messages []Message, settled []Key) []Message {
	done := make(map[Key]bool, len(settled))
	for _, key := range settled {
		done[key] = true
	}
	var left []Message
	for _, m := range messages {
		if !done[m.Key] {
			left = append(left, m)
		}
	}
	return left
}

// pass tries once to deal with messages and flags. It tells which messages are settled and which flags are not, and
// that is true beside an error too.
func (l *lane) pass(ctx context.Context, d *destination, g *group, messages []Message, flags []flagWork) ([]Key, []flagWork, error) {
	if len(flags) > 0 {
		if err := l.setFlags(ctx, g.work, flags); err != nil {
			return nil, flags, err
		}
	}
	if len(messages) == 0 {
		return nil, nil, nil
	}
	if err := l.await(ctx, d); err != nil {
		return nil, nil, err
	}
	if err := d.lookAndHold(ctx, l); err != nil {
		return nil, nil, err
	}
	defer d.inHand.RUnlock()
	intents, err := l.intents(ctx, g.work, messages)
	if err != nil {
		return nil, nil, err
	}
	l.touched = true
	fresh, settled, err := l.recognise(ctx, d, g.work, messages)
	if err != nil || len(fresh) == 0 {
		return settled, nil, err
	}
	fresh, found, err := l.resolve(ctx, d, g.work, fresh, intents)
	if settled = append(settled, found...); err != nil || len(fresh) == 0 {
		return settled, nil, err
	}
	if l.Options.DryRun {
		for _, m := range fresh {
			l.settle(g.work, Event{Message: m, Outcome: Copied})
			settled = append(settled, m.Key)
		}
		return settled, nil, nil
	}
	l.touched = false
	if err := l.intend(ctx, g.work, fresh); err != nil {
		return settled, nil, err
	}
	l.touched = true
	carried, err := l.carry(ctx, g.work, fresh)
	return append(settled, carried...), nil, err
}

// recognise finds those messages that the destination holds already, from a run that was cut off or from before the
// first, and records them. It gives the others, and the keys of those that are settled.
func (l *lane) recognise(ctx context.Context, d *destination, w *work, messages []Message) (fresh []Message, settled []Key, err error) {
	var unread []Message
	fresh = make([]Message, 0, len(messages))
	for _, m := range messages {
		_, look := l.suspected(w, m.Key)
		if !look {
			if look, err = d.mayHold(m); err != nil {
				return nil, nil, atEnd(l.Destination, err)
			}
		}
		if look {
			unread = append(unread, m)
		} else {
			fresh = append(fresh, m)
		}
	}
	if len(unread) == 0 {
		return fresh, nil, nil
	}
	pairs, unread, err := l.sameByHeader(ctx, w, unread)
	if err != nil {
		return nil, nil, err
	}
	known, settled, err := l.identify(ctx, w, unread)
	if err != nil {
		return nil, settled, err
	}
	if err := d.readAbout(ctx, l, known); err != nil {
		return nil, settled, atEnd(l.Destination, err)
	}
	for _, m := range known {
		before, suspect := l.suspected(w, m.Key)
		if suspect && before.Identity.Same(m.Identity) { // told of otherwise, but the same
			pairs = append(pairs, pair{m: m, held: heldMessage{Message: Message{Key: before.Place, Flags: before.Flags}}})
			continue
		}
		held, ok, err := d.take(m)
		if err != nil {
			return nil, settled, atEnd(l.Destination, err)
		}
		if ok {
			pairs = append(pairs, pair{m: m, held: held})
		} else {
			fresh = append(fresh, m)
		}
		if suspect {
			l.report(Event{Type: EventWarning, Mailbox: w.mbox.Path, Destination: w.dest, Message: m,
				Err: &Error{End: string(l.Source), Mailbox: w.mbox.Path, Key: m.Key, Err: errReused}})
		}
	}
	claimed, err := l.claim(ctx, w, pairs)
	return fresh, append(settled, claimed...), err
}

// flagged tells whether the source knows flags at all.
func (l *lane) flagged() bool {
	_, flagless := l.source.(Flagless)
	return !flagless
}

// entryOf gives the entry of a message that is at the destination, or on its way there.
func (l *lane) entryOf(w *work, m Message, place Key) Entry {
	e := entryOf(m, w.dest, place)
	l.destination(w.dest).resent.mark(w.mbox.Path, &e)
	return e
}

func entryOf(m Message, dest Path, place Key) Entry {
	return Entry{Key: m.Key, State: Arrived, Mailbox: dest, Place: place, Identity: m.Identity, Flags: m.Flags, Listed: listedOf(m)}
}

// identify reads the messages whose identity the source does not tell. Those that vanished are left out; those that
// cannot be read are settled.
func (l *lane) identify(ctx context.Context, w *work, messages []Message) (known []Message, settled []Key, err error) {
	var unread []Message
	for _, m := range messages {
		if m.Identity.IsZero() {
			unread = append(unread, m)
		} else {
			known = append(known, m)
		}
	}
	if len(unread) == 0 {
		return known, nil, nil
	}
	for f, err := range l.source.Fetch(ctx, w.mbox.Path, unread) {
		if err != nil {
			return nil, settled, atEnd(l.Source, err)
		}
		if concernsSession(f.Err) {
			return nil, settled, atEnd(l.Source, f.Err)
		}
		if f.Err != nil {
			if err := l.unreadable(ctx, w, f.Message, f.Err); err != nil {
				return nil, settled, err
			}
			settled = append(settled, f.Message.Key)
			continue
		}
		f.Body.Reader = l.paced(ctx, f.Body.Reader)
		if f.Message.Identity, err = f.identity(); err != nil {
			return nil, settled, atEnd(l.Source, err)
		}
		known = append(known, f.Message)
	}
	return known, settled, nil
}
