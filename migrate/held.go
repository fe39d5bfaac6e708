package migrate

import (
	"context"
	"slices"
	"sync"
	"sync/atomic"
)

// A destination is a mailbox of the destination that this run writes to, with what it holds that no entry of the ledger
// claims: from before the first run, or from an append whose answer was lost.
type destination struct {
	path  Path
	users atomic.Int64 // mailboxes of the source that go here and have not been dealt with
	// inHand is read-locked while messages are between append and record. Whoever looks at what the mailbox holds
	// locks it, lest a message in another lane's hand be taken for one that nobody claims.
	inHand sync.RWMutex
	turn   chan struct{} // holds one: the lane that awaits what is on its way into the mailbox, see await

	mu      sync.Mutex
	made    bool
	shut    error // why nothing can be moved there; told once
	listed  bool
	doubted bool // listed before, but an append has been lost since
	awaited bool // what may be on its way has had its time
	held    heldSet
	account account
	answers Key         // up to there the ledger can answer for what it holds, as of when that was let go; see balance
	spoilt  atomic.Bool // something has come about of which only a listing by another run makes sure
	open    []Entry     // sent and not answered for when this was listed, from any mailbox of the source
	resent  resentSet
}

func (r *run) destination(path Path) *destination {
	r.mu.Lock()
	defer r.mu.Unlock()
	d := r.destinations[path]
	if d == nil {
		d = &destination{path: path, turn: make(chan struct{}, 1)}
		r.destinations[path] = d
	}
	return d
}

// letGo gives up what is known of what the mailbox holds, once all that goes there has been dealt with. Whoever looks after
// all has it listed anew.
func (d *destination) letGo(ctx context.Context, r *run) (err error) {
	if d.users.Add(-1) > 0 {
		return nil
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.answers, err = d.answersFor(ctx, r); err == nil {
		d.listed = false
		d.held.close()
	}
	return err
}

// doubt makes the next user look anew at what the mailbox holds.
func (d *destination) doubt() {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.listed, d.doubted, d.awaited = false, true, false
}

// lookAnew makes the next user look anew, since there is something to take over now.
func (d *destination) lookAnew() {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.listed = false
}

// prepare makes the mailbox where it is missing and looks at what it holds. False means that nothing can be moved there;
// the messages of g are then counted as left behind.
func (d *destination) prepare(ctx context.Context, l *lane, g *group) (bool, error) {
	d.mu.Lock()
	ready := d.made && d.shut == nil && (d.listed || len(g.messages) == 0)
	d.mu.Unlock()
	if ready {
		return true, nil
	}
	d.inHand.Lock()
	defer d.inHand.Unlock()
	d.mu.Lock()
	defer d.mu.Unlock()
	err := d.shut
	if err == nil {
		err = d.make(ctx, l, g.mbox)
	}
	if err == nil && len(g.messages) > 0 {
		err = d.lookOnce(ctx, l)
	}
	if err == nil || !d.shuts(l, g.mbox, err) {
		return err == nil, err
	}
	g.fault.Store(true)
	for _, m := range g.messages {
		l.leave(g.work, m, l.Destination, d.shut)
	}
	return false, nil
}

// shuts tells whether err keeps us out of this mailbox alone, and tells of it the first time.
func (d *destination) shuts(l *lane, mbox Mailbox, err error) bool {
	if d.shut != nil {
		return true
	}
	if !concernsMailbox(err) || isSpent(err) || KindOf(err) != Failed && (KindOf(err) != Refused || !d.made) {
		return false // one that may not make a mailbox may make none
	}
	d.shut = err
	l.update(func() {
		l.summary.MailboxesFailed++
		l.tell(Event{Type: EventWarning, Mailbox: mbox.Path, Destination: d.path, Err: err})
	})
	return true
}

// look makes sure that it is known what the mailbox holds.
func (d *destination) look(ctx context.Context, l *lane) error {
	d.inHand.Lock()
	defer d.inHand.Unlock()
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.lookOnce(ctx, l)
}

// lookAndHold is look, and keeps others from looking until inHand is read-unlocked: what is known then stays true, but for
// what the lanes themselves put in. An error leaves nothing locked.
func (d *destination) lookAndHold(ctx context.Context, l *lane) error {
	for {
		d.inHand.RLock()
		d.mu.Lock()
		listed := d.listed
		d.mu.Unlock()
		if listed {
			return nil
		}
		d.inHand.RUnlock()
		if err := d.look(ctx, l); err != nil {
			return err
		}
	}
}

// lookOnce is look for those who hold both locks.
func (d *destination) lookOnce(ctx context.Context, l *lane) error {
	if d.listed {
		return nil
	}
	if err := d.list(ctx, l); err != nil {
		return atEnd(l.Destination, err)
	}
	d.listed = true
	return nil
}

// make creates the mailbox once.
func (d *destination) make(ctx context.Context, l *lane, mbox Mailbox) error {
	if !d.made && !l.Options.DryRun && l.missing(d.path, mbox) {
		there := mbox
		there.Path = d.path
		l.creating.Lock()
		err := l.sink.Create(ctx, there)
		l.creating.Unlock()
		if err != nil {
			return atEnd(l.Destination, err)
		}
	}
	d.made = true
	return nil
}

// setMade says that the mailbox was made.
func (d *destination) setMade() {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.made = true
}

// forget gives up what is known of what the mailbox holds.
func (d *destination) forget() {
	d.held.close()
	d.open, d.account, d.answers = nil, account{}, Key{}
}

// forgetAll forgets what all mailboxes hold, at the end.
func (r *run) forgetAll() {
	for _, d := range r.destinations {
		d.forget()
	}
}

// list learns which messages the mailbox holds that nobody claims, and what was sent there and not answered for.
func (d *destination) list(ctx context.Context, l *lane) error {
	d.forget()
	holder, ok := l.sink.(Source)
	if !ok || !d.doubted && l.existed != nil && l.existed[d.path] == nil {
		return nil
	}
	if beside, ok := l.Ledger.(Unclaimer); ok {
		for m, err := range beside.Unclaimed(ctx, d.path) {
			if err != nil {
				return err
			}
			if err := d.held.add(m); err != nil {
				return err
			}
		}
		return nil
	}
	if answered, err := d.answered(ctx, l); answered || err != nil {
		return err
	}
	var claimed keySet
	for entry, err := range l.Ledger.Claims(ctx, d.path) {
		if err != nil {
			return err
		}
		switch {
		case entry.State == Intended:
			d.open = append(d.open, entry)
		case entry.Place.IsZero():
			if err := d.held.expect(entry.Identity.Trimmed); err != nil {
				return err
			}
		default:
			claimed.add(entry.Place)
		}
	}
	for m, err := range holder.Messages(ctx, d.path) {
		if err != nil {
			return err
		}
		if claimed.has(m.Key) {
			continue
		}
		if err := d.held.add(m); err != nil {
			return err
		}
	}
	return d.openAccount(ctx, l)
}

// mayHold tells whether the mailbox holds something of about the size of m.
func (d *destination) mayHold(m Message) (bool, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if m.Size < 0 {
		return d.held.len > 0, nil
	}
	for _, size := range aboutAs(m.Size) {
		if has, err := d.held.has(size); has || err != nil {
			return has, err
		}
	}
	return false, nil
}

// aboutAs gives the sizes that a copy of a message may have been announced with, the likeliest first. Two copies may differ
// by a line end at the very end.
func aboutAs(size int64) [6]int64 {
	return [...]int64{size, size - 1, size + 1, size - 2, size + 2, -1}
}

// take finds a message that is the same and that nobody claims, and claims it. Octets decide, so what is there must have been
// read by readAbout; among twins the one of the same date and flags is taken, so that a lost ledger does not mix them up.
func (d *destination) take(m Message) (best heldMessage, found bool, err error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	for {
		if best, found, err = d.likest(m); !found || err != nil {
			return best, false, err
		}
		if err := d.held.remove(best); err != nil {
			return best, false, err
		}
		// It may be the one that an entry means without knowing its name.
		if meant, err := d.held.meet(m.Identity.Trimmed); !meant || err != nil {
			return best, err == nil, err
		}
	}
}

// likest finds among what is the same as m what has most in common with it.
func (d *destination) likest(m Message) (best heldMessage, found bool, err error) {
	most, sizes := -1, aboutAs(m.Identity.Size)
	for _, size := range sizes {
		for candidate, err := range d.held.of(trait{size, m.Identity.Trimmed}) {
			if err != nil {
				return best, false, err
			}
			if common := likeness(candidate.Message, m); common > most {
				best, most = candidate, common
			}
			if most == mostLikeness {
				return best, true, nil
			}
		}
	}
	return best, most >= 0, nil
}

// likeness tells how much two copies of one message have in common beyond their octets.
func likeness(candidate, m Message) int {
	common := 0
	if candidate.InternalDate.Unix() == m.InternalDate.Unix() {
		common += 2
	}
	if candidate.Flags.Equal(m.Flags) {
		common++
	}
	return common
}

// mostLikeness is that of copies in which nothing differs.
const mostLikeness = 3

// readAbout reads what may be the same as one of messages and has not been read: by one question for all, and not by one for
// each. What cannot be read is not the same as any.
func (d *destination) readAbout(ctx context.Context, l *lane, messages []Message) error {
	var sizes []int64
	for _, m := range messages {
		about := aboutAs(m.Identity.Size)
		sizes = append(sizes, about[:]...)
	}
	slices.Sort(sizes)
	sizes = slices.Compact(sizes)
	d.mu.Lock()
	defer d.mu.Unlock()
	for {
		unread := map[int64][]heldMessage{}
		var ask []Message
		for _, size := range sizes {
			same, err := d.held.unread(size, groupMessages-len(ask))
			if err != nil {
				return err
			}
			for _, m := range same {
				unread[size], ask = append(unread[size], m), append(ask, m.Message)
			}
		}
		if len(ask) == 0 {
			return nil
		}
		known := make(map[Key]Digest, len(ask))
		for f, err := range l.sink.(Source).Fetch(ctx, d.path, ask) {
			if err != nil {
				return err
			}
			if f.Err != nil {
				continue
			}
			id, err := f.identity()
			if err != nil {
				return err
			}
			known[f.Message.Key] = id.Trimmed
		}
		for size, same := range unread {
			if err := d.held.learn(size, same, known); err != nil {
				return err
			}
		}
	}
}
