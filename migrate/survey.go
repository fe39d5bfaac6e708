package migrate

import (
	"context"
	"fmt"
	"sync/atomic"
	"time"
)

// The bounds of a group: what is moved, made safe and recorded together. Safety is cheap in groups, and little is done
// again after a crash.
const (
	groupMessages = 200
	groupOctets   = 8 << 20
	groupSeconds  = 5 // at the rate that the user allows
	lookupBatch   = 1000
)

// work is one mailbox of the source while it is dealt with.
type work struct {
	mbox   Mailbox
	dest   Path
	before Status       // of the mailbox, from before it was listed
	counts Counts       // guarded by run.mu
	open   atomic.Int64 // the survey and the groups that are not done
	// suspects are messages whose key the ledger knows, and whose listing does not fit what it knows.
	suspects map[Key]Entry
	fault    atomic.Bool // something was left behind: look at everything again next time
	lost     atomic.Bool // the source does not open it any more
}

// A group is a stretch of one mailbox's work: messages to move, or flags to set.
type group struct {
	*work
	messages []Message
	flags    []flagWork
}

// flagWork is a message at the destination whose flags at the source have changed.
type flagWork struct {
	entry Entry
	flags Flags
}

// mailbox surveys one mailbox and dispatches what is to be done.
func (r *run) mailbox(ctx context.Context, mbox Mailbox) error {
	w := &work{mbox: mbox, dest: r.Options.Mapping.Destination(mbox.Path)}
	r.update(func() { r.progress.Mailbox = mbox.Path })
	w.open.Store(1) // the survey itself
	defer r.finish(ctx, w)
	create := r.missing(w.dest, mbox)
	if mbox.NoSelect {
		if create {
			return r.dispatchWork(ctx, &group{work: w})
		}
		return nil
	}
	found, err := r.find(ctx, w)
	switch {
	case concernsMailbox(err) && !isSpent(err) && ctx.Err() == nil:
		// This mailbox cannot be read; the others can.
		w.fault.Store(true)
		r.update(func() { r.summary.MailboxesFailed++; r.tell(Event{Type: EventWarning, Mailbox: mbox.Path, Err: err}) })
		return nil
	case err != nil:
		return err
	}
	if found.fresh, err = r.settleByHeader(ctx, w, found.fresh); err != nil {
		return err
	}
	groups := r.cut(w, found)
	if create && len(groups) == 0 {
		groups = append(groups, &group{work: w})
	}
	for _, g := range groups {
		if r.isHalted() {
			w.fault.Store(true)
			return nil
		}
		if err := r.dispatchWork(ctx, g); err != nil {
			return err
		}
	}
	return nil
}

// missing tells whether the destination lacks what mbox is to become at path: the mailbox, or the subscription to it.
func (r *run) missing(path Path, mbox Mailbox) bool {
	there := r.existed[path]
	return there == nil || there.NoSelect && !mbox.NoSelect || mbox.Subscribed && !there.Subscribed
}

func (r *run) dispatchWork(ctx context.Context, g *group) error {
	g.open.Add(1)
	return r.dispatch(ctx, g)
}

// finish is called for the survey and for each group; the last one closes the mailbox's account.
func (r *run) finish(ctx context.Context, w *work) {
	if w.open.Add(-1) > 0 || ctx.Err() != nil {
		return
	}
	// What the filter held back, and what failed, has to be met again.
	if !w.fault.Load() && !r.Options.DryRun && r.Ledger != nil && w.counts.Filtered == 0 && w.before.UIDValidity != 0 {
		if err := r.Ledger.SetSeen(ctx, w.mbox.Path, w.before); err != nil {
			r.cancel(err)
			return
		}
	}
	r.update(func() {
		r.progress.Mailboxes++
		r.summary.Mailboxes++
		r.tell(Event{Type: EventMailbox, Mailbox: w.mbox.Path, Destination: w.dest, Counts: w.counts})
	})
}

// found is what a survey of a mailbox brings to light.
type found struct {
	fresh []Message  // to be moved
	flags []flagWork // to be set
}

// find lists the mailbox against the ledger, again from the start when the connection is lost on the way.
func (r *run) find(ctx context.Context, w *work) (found, error) {
	var f found
	tries := 0
	err := r.control.again(ctx, func() error {
		source, err := r.control.openSource(ctx)
		if err != nil {
			return atEnd(r.Source, err)
		}
		r.update(func() { r.forget(w) })
		f, err = r.list(ctx, source, w)
		if tries++; tries > attemptsAtOne && IsTemporary(err) && !concernsSession(err) && r.passed < leftBehindInARow {
			r.passed++ // it is this mailbox that breaks the connection
			r.control.closeSource()
			err = &Error{Kind: KindOf(err), Mailbox: w.mbox.Path, Advice: Never, Err: err}
		}
		return atEnd(r.Source, err)
	})
	if err == nil {
		r.passed = 0
		r.done.Add(1)
	}
	return f, err
}

// settleByHeader gives those of messages that are not recognised by their headers.
func (r *run) settleByHeader(ctx context.Context, w *work, messages []Message) ([]Message, error) {
	l := r.control
	if r.OpenSink == nil || len(messages) == 0 {
		return messages, nil
	}
	err := l.retry(ctx, l.close, func() (err error) {
		if _, err := l.openSource(ctx); err != nil {
			return atEnd(r.Source, err)
		}
		if err := l.openSink(ctx); err != nil {
			return err
		}
		messages, err = l.byHeader(ctx, w, messages)
		return err
	})
	return messages, err
}

// forget takes back what an earlier attempt at listing has counted.
func (r *run) forget(w *work) {
	r.progress.MessagesTotal -= w.counts.Messages
	r.summary.Messages -= w.counts.Messages
	r.summary.Present -= w.counts.Present
	r.summary.Filtered -= w.counts.Filtered
	r.summary.Quarantined -= w.counts.Quarantined
	w.counts, w.suspects = Counts{}, nil
}

func (r *run) list(ctx context.Context, source Source, w *work) (found, error) {
	path := w.mbox.Path
	if unchanged, err := r.unchanged(ctx, source, w); unchanged || err != nil {
		return found{}, err
	}
	var f found
	var keys keySet
	var arrived int64
	batch := make([]Message, 0, lookupBatch)
	classify := func() error {
		known, err := r.lookup(ctx, path, batch)
		if err != nil {
			return err
		}
		for i, m := range batch {
			keys.add(m.Key)
			r.sort(w, &f, m, known[i])
			if known[i].State == Arrived {
				arrived++
			}
		}
		batch = batch[:0]
		return nil
	}
	for m, err := range source.Messages(ctx, path) {
		if err != nil {
			return f, err
		}
		if batch = append(batch, m); len(batch) == cap(batch) {
			if err := classify(); err != nil {
				return f, err
			}
		}
	}
	if err := classify(); err != nil {
		return f, err
	}
	return f, r.retire(ctx, path, &keys, arrived)
}

// sort decides what is to become of a message.
func (r *run) sort(w *work, f *found, m Message, known Entry) {
	switch {
	case !r.Options.Filter.Message(m):
		r.count(w, Event{Message: m, Outcome: Filtered})
	case known.State == Arrived && reused(known, m):
		if w.suspects == nil {
			w.suspects = map[Key]Entry{}
		}
		w.suspects[m.Key] = known
		f.fresh = append(f.fresh, m)
	case r.staysAside(w, m, known):
		r.count(w, Event{Message: m, Outcome: Quarantined, Err: &Error{Mailbox: w.mbox.Path, Key: m.Key,
			Err: fmt.Errorf("%s (on %s, and nothing has changed since)", known.Attempt.Reason, known.Attempt.Time.Format(time.DateOnly))}})
	case known.State != Arrived:
		f.fresh = append(f.fresh, m)
	case known.Retired || !known.Place.IsZero() && !known.Flags.Equal(m.Flags):
		// A message that came back is looked at like one whose flags have changed: its entry is written anew.
		f.flags = append(f.flags, flagWork{entry: known, flags: m.Flags})
		r.count(w, Event{Message: m, Outcome: Present})
	default:
		r.count(w, Event{Message: m, Outcome: Present})
	}
}

// unchanged tells whether nothing in the mailbox has moved since it was last dealt with, which saves listing it.
func (r *run) unchanged(ctx context.Context, source Source, w *work) (bool, error) {
	statuser, ok := source.(Statuser)
	if !ok || r.Ledger == nil {
		return false, nil
	}
	var err error
	if w.before, err = statuser.Status(ctx, w.mbox.Path); err != nil {
		return false, err
	}
	filter := r.Options.Filter
	if w.before.HighestModSeq == 0 || !filter.Since.IsZero() || !filter.Before.IsZero() || filter.MaxSize > 0 {
		return false, nil
	}
	seen, ok, err := r.Ledger.Seen(ctx, w.mbox.Path)
	if err != nil || !ok || seen != w.before {
		return false, err
	}
	arrived, err := r.Ledger.Count(ctx, w.mbox.Path)
	if err != nil || arrived != w.before.Messages {
		return false, err
	}
	r.update(func() {
		w.counts.Messages, w.counts.Present = arrived, arrived
		r.summary.Messages += arrived
		r.summary.Present += arrived
	})
	return true, nil
}

func (r *run) lookup(ctx context.Context, path Path, messages []Message) ([]Entry, error) {
	if r.Ledger == nil {
		return make([]Entry, len(messages)), nil
	}
	keys := make([]Key, len(messages))
	for i, m := range messages {
		keys[i] = m.Key
	}
	return r.Ledger.Lookup(ctx, path, keys)
}

// retire notes which messages the source no longer has. They stay where they went; but what comes under a new key with
// the same octets may take their place over, as after a change of UIDVALIDITY.
func (r *run) retire(ctx context.Context, path Path, listed *keySet, arrived int64) error {
	if r.Ledger == nil || r.Options.DryRun {
		return nil
	}
	count, err := r.Ledger.Count(ctx, path)
	if err != nil || count <= arrived {
		return err
	}
	var gone []Key
	for entry, err := range r.Ledger.Entries(ctx, path) {
		if err != nil {
			return err
		}
		if !entry.Retired && !listed.has(entry.Key) {
			gone = append(gone, entry.Key)
		}
	}
	return r.Ledger.Retire(ctx, path, gone)
}

// cut makes groups of what was found.
func (r *run) cut(w *work, f found) []*group {
	var groups []*group
	for len(f.flags) > 0 {
		n := min(len(f.flags), groupMessages)
		groups = append(groups, &group{work: w, flags: f.flags[:n]})
		f.flags = f.flags[n:]
	}
	bound := int64(groupOctets)
	if limit := r.Options.LimitRate; limit > 0 { // a group shall not take long, so that the run can be interrupted
		bound = min(bound, limit*groupSeconds)
	}
	var octets int64
	for first, i := 0, 0; i < len(f.fresh); i++ {
		octets += max(f.fresh[i].Size, 0)
		last := i+1 == len(f.fresh)
		if last || i+1-first == groupMessages || octets+max(f.fresh[i+1].Size, 0) > bound {
			groups = append(groups, &group{work: w, messages: f.fresh[first : i+1]})
			r.update(func() {
				r.progress.MessagesTotal += int64(i + 1 - first)
				r.progress.OctetsTotal += octets
			})
			first, octets = i+1, 0
		}
	}
	return groups
}

// count notes what became of a message, or that its flags were set.
func (r *run) count(w *work, e Event) {
	e.Type, e.Mailbox, e.Destination = EventMessage, w.mbox.Path, w.dest
	r.mu.Lock()
	defer r.mu.Unlock()
	w.counts.note(e.Outcome, e.Message.Size)
	r.summary.note(e.Outcome, e.Message.Size)
	r.summary.KeywordsDropped += int64(len(e.Dropped))
	if e.Outcome == Left {
		w.fault.Store(true)
	}
	r.tell(e)
}

// settle counts a message that was found to be new.
func (r *run) settle(w *work, e Event) {
	r.done.Add(1)
	r.count(w, e)
	r.update(func() {
		r.progress.Mailbox = w.mbox.Path
		r.progress.Messages++
	})
}

// leave settles a message that stays behind.
func (r *run) leave(w *work, m Message, end End, err error) {
	if !concerns(err, func(e *Error) bool { return !e.Key.IsZero() }) {
		err = &Error{Kind: KindOf(err), End: string(end), Mailbox: w.mbox.Path, Key: m.Key, Err: err}
	}
	r.settle(w, Event{Message: m, Outcome: Left, Err: fmt.Errorf("%w; left behind", err)})
}
