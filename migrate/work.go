package migrate

import (
	"context"
	"sync/atomic"
)

// work is one mailbox of the source while it is dealt with.
type work struct {
	mbox   Mailbox
	dest   Path
	before Status       // of the mailbox, from before it was listed
	counts Counts       // guarded by run.mu
	open   atomic.Int64 // the survey and the groups that are not done

	fault      atomic.Bool // something was left behind: look at everything again next time
	lost       atomic.Bool // the source does not open it any more
	renumbered atomic.Bool // its messages have other keys now

	suspects map[Key]Entry // guarded by run.mu; see suspect
}

// suspect notes a message whose key the ledger knows, and whose listing does not fit what it knows.
func (r *run) suspect(w *work, known Entry) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if w.suspects == nil {
		w.suspects = map[Key]Entry{}
	}
	w.suspects[known.Key] = known
}

// suspected gives what the ledger knows of the key of a suspect.
func (r *run) suspected(w *work, key Key) (Entry, bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	known, ok := w.suspects[key]
	return known, ok
}

// finish is called for the survey and for each group; the last one closes the mailbox's account.
func (r *run) finish(ctx context.Context, w *work) {
	if w.open.Add(-1) > 0 || ctx.Err() != nil || w.renumbered.Load() {
		return
	}
	if err := r.destination(w.dest).letGo(ctx, r); err != nil {
		r.cancel(err)
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

// leave settles a message that stays behind, because of err.
func (r *run) leave(w *work, m Message, end End, err error) {
	if !concerns(err, func(e *Error) bool { return !e.Key.IsZero() }) {
		err = &Error{Kind: KindOf(err), End: string(end), Mailbox: w.mbox.Path, Key: m.Key, Err: err}
	}
	r.settle(w, Event{Message: m, Outcome: Left, Err: atEnd(end, err)})
	r.destination(w.dest).spoilt.Store(true)
}
