package migrate

import (
	"context"
	"math"
	"time"
)

// stateKeeps is how long the state of a mailbox of the destination counts that was told with the list of mailboxes.
const stateKeeps = time.Minute

// An account tells up to where all that a mailbox of the destination holds is known to have come by this ledger. Where
// its UIDNEXT has not moved at the next run, nobody else has put anything in, and it need not be listed.
type account struct {
	next   Key    // UIDVALIDITY, and UIDNEXT when the mailbox was looked at; zero where that is not known
	noted  bool   // in the ledger
	stored keySet // what was put in since
}

// answered looks whether the ledger can answer for all that the mailbox holds. Then it tells what nobody claims: the
// copies of messages that the source no longer has. A destination that knows more about them than the ledger is asked.
func (d *destination) answered(ctx context.Context, l *lane) (bool, error) {
	books, ok := l.Ledger.(Accountant)
	if _, knows := l.sink.(Knower); knows || !ok || d.doubted {
		return false, nil
	}
	next, err := books.Accounted(ctx, d.path)
	if err != nil || next.IsZero() {
		return false, err
	}
	now, err := l.stateOf(ctx, d.path)
	if err != nil || now.UIDValidity != next.Validity || now.UIDNext != next.UID {
		return false, err
	}
	arrived, retired, err := books.Lying(ctx, d.path)
	if ours := arrived + int64(len(retired)); err != nil || len(retired) > 0 && ours != now.Messages || ours < now.Messages {
		return false, err // some may be gone from here as well, or the server does not keep to its UIDNEXT
	}
	for _, e := range retired {
		m := Message{Key: e.Place, Size: e.Identity.Size, InternalDate: e.Listed.Date, Flags: e.Flags}
		if e.Identity.Trimmed != (Digest{}) {
			m.Identity = e.Identity
		}
		if err := d.held.add(m); err != nil {
			return false, err
		}
	}
	d.account = account{next: next, noted: true}
	return true, nil
}

// lookInBooks makes sure that it is known what the mailbox holds if the ledger can answer for it and nobody else need be
// asked. Trouble shows when it is listed.
func (d *destination) lookInBooks(ctx context.Context, l *lane) {
	if _, told := l.toldState(d.path); !told {
		return
	}
	d.mu.Lock()
	listed := d.listed
	d.mu.Unlock()
	if listed {
		return
	}
	d.inHand.Lock()
	defer d.inHand.Unlock()
	d.mu.Lock()
	defer d.mu.Unlock()
	if !d.listed {
		d.forget()
		d.listed, _ = d.answered(ctx, l)
	}
}

// toldState gives the state of a mailbox of the destination that was told when the run began, if that was just now.
func (r *run) toldState(path Path) (Status, bool) {
	there := r.existed[path]
	if there == nil || there.State.UIDValidity == 0 || time.Since(r.began) > stateKeeps {
		return Status{}, false
	}
	return there.State, true
}

// stateOf gives the state of a mailbox of the destination.
func (l *lane) stateOf(ctx context.Context, path Path) (Status, error) {
	if state, told := l.toldState(path); told {
		return state, nil
	}
	if statuser, ok := l.sink.(Statuser); ok {
		return statuser.Status(ctx, path)
	}
	return Status{}, nil
}

// openAccount begins the account of a mailbox that has just been listed.
func (d *destination) openAccount(ctx context.Context, l *lane) error {
	numberer, ok := l.sink.(Numberer)
	if !ok || l.Options.DryRun {
		return nil
	}
	next, err := numberer.Next(ctx, d.path)
	if len(d.open) > 0 {
		d.spoilt.Store(true)
	}
	d.account = account{next: next}
	return err
}

// madeEmpty begins the account of a mailbox that was made in this run, when something is about to be put in for the first time.
func (d *destination) madeEmpty(l *lane, next Key) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.account.next.IsZero() && next.UID == 1 && l.existed != nil && l.existed[d.path] == nil {
		d.account.next = next
	}
}

// put notes what was put in, where there is an account of that: an archive needs none.
func (d *destination) put(key Key) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if !d.account.next.IsZero() {
		d.account.stored.add(key)
	}
}

// disown takes back what the ledger answers for, where its entries no longer name all that they have put there.
func (r *run) disown(ctx context.Context, dests map[Path]Key) error {
	for dest := range dests {
		r.destination(dest).spoilt.Store(true)
	}
	books, ok := r.Ledger.(Accountant)
	if !ok || r.Options.DryRun || len(dests) == 0 {
		return nil
	}
	return books.SetAccounted(ctx, dests)
}

// balance notes up to where the ledger can answer for what the mailboxes of the destination hold, at the end of a run that
// has left nothing open.
func (r *run) balance(ctx context.Context) error {
	books, ok := r.Ledger.(Accountant)
	if !ok || r.Options.DryRun || r.isHalted() {
		return nil
	}
	next := map[Path]Key{}
	for path, d := range r.destinations {
		if d.listed {
			var err error
			if d.answers, err = d.answersFor(ctx, r); err != nil {
				return err
			}
		}
		if !d.answers.IsZero() && !d.spoilt.Load() {
			next[path] = d.answers
		}
	}
	if len(next) == 0 {
		return nil
	}
	return books.SetAccounted(ctx, next)
}

// answersFor gives the UIDVALIDITY and UIDNEXT up to where the ledger can answer for what the mailbox holds, or the zero
// Key. Where UIDs are missing among those that its messages got, somebody else has been there.
func (d *destination) answersFor(ctx context.Context, r *run) (Key, error) {
	books, ok := r.Ledger.(Accountant)
	a := &d.account
	n := a.stored.len()
	if !ok || r.Options.DryRun || d.spoilt.Load() || !d.listed || a.next.UID == 0 || a.noted && n == 0 || uint64(a.next.UID)+uint64(n) > math.MaxUint32 || !a.stored.follow(a.next) {
		return Key{}, nil
	}
	ours, err := d.onlyRetired(ctx, books)
	if !ours || err != nil {
		return Key{}, err
	}
	return Key{Validity: a.next.Validity, UID: a.next.UID + uint32(n)}, nil
}

// onlyRetired tells whether what nobody claims are copies of messages that the source no longer has.
func (d *destination) onlyRetired(ctx context.Context, books Accountant) (bool, error) {
	if d.held.len == 0 || d.account.noted {
		return true, nil
	}
	_, retired, err := books.Lying(ctx, d.path)
	var places keySet
	for _, e := range retired {
		places.add(e.Place)
	}
	if err != nil {
		return false, err
	}
	for m, err := range d.held.all() {
		if err != nil || !places.has(m.Key) {
			return false, err
		}
	}
	return true, nil
}
