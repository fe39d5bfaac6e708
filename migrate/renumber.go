package migrate

import (
	"context"
	"fmt"
)

// ErrRenumbered is what a store's error wraps where the messages of a mailbox have other keys than they were listed
// with (a change of UIDVALIDITY, RFC 9051, section 2.3.1.1).
var ErrRenumbered = Errorf(Unavailable, "the server has numbered the messages anew (UIDVALIDITY has changed); the mailbox has to be read from its beginning")

// renumberings is how often one run takes mailboxes anew. A server that numbers its messages in each session by
// other numbers would never come to an end.
const renumberings = 2

// renumber puts a mailbox off whose messages have got other keys: what is in hand of it is dropped, and it is surveyed
// once more when nobody is at work on it.
func (r *run) renumber(w *work) {
	if w.renumbered.Swap(true) {
		return
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.putOff = append(r.putOff, w)
}

// anew surveys mailboxes again that were numbered anew while they were at work. What had been moved by then is
// recognised like after any change of UIDVALIDITY.
func (r *run) anew(ctx context.Context) error {
	for range renumberings {
		putOff := r.takePutOff()
		var mailboxes []Mailbox
		for _, w := range putOff {
			mailboxes = append(mailboxes, w.mbox)
			r.destination(w.dest).doubt()
		}
		if err := r.mailboxes(ctx, mailboxes); err != nil {
			return err
		}
	}
	for _, w := range r.takePutOff() {
		r.update(func() {
			r.summary.MailboxesFailed++
			r.tell(Event{Type: EventWarning, Mailbox: w.mbox.Path,
				Err: &Error{End: string(r.Source), Mailbox: w.mbox.Path, Err: fmt.Errorf("given up in this run: %w", ErrRenumbered)}})
		})
	}
	return nil
}

// takePutOff gives the mailboxes that were put off, and takes back what was counted of them.
func (r *run) takePutOff() []*work {
	r.mu.Lock()
	defer r.mu.Unlock()
	putOff := r.putOff
	r.putOff = nil
	for _, w := range putOff {
		r.summary.Counts.takeBack(w.counts)
	}
	return putOff
}
