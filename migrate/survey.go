package migrate

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"time"
)

const lookupBatch = 1000

// mostHeld is how many new messages are held back while some that were known have not been listed.
const mostHeld = 10 * lookupBatch

// A survey lists one mailbox against the ledger and hands out what is to be done as it finds it: mail moves while a
// large mailbox is still being listed, and memory does not grow with it.
type survey struct {
	*run
	*work
	create bool // the destination lacks the mailbox

	standing
	began    bool
	arrived  int64     // of those that were known, listed
	listed   keySet    // a listing that was cut off goes on with what is not among it
	validity *uint32   // of what was listed
	gone     stretches // as Changes told
	there    int64     // messages, as Changes told
	skipped  bool      // new messages were not taken, since too many were held back: they are listed again

	fresh []Message  // to be moved, not handed out yet
	apart heldSet    // the same, kept back
	flags []flagWork // to be set, not handed out yet

	looked  bool // it is known whether the destination holds something that nobody claims
	collect bool // it does, and some of what is fresh may be recognised by it, see setApart
	handed  bool // something was handed out
	broken  bool // by what was handed out: the run is at its end
}

// errListAgain ends a listing whose connection the lane has lost, or used up, over other work, and one that has passed by
// some of what is new.
var errListAgain = errors.New("what is left of the listing comes with the next one")

func (r *run) newSurvey(mbox Mailbox) *survey {
	w := &work{mbox: mbox, dest: r.Options.Mapping.Destination(mbox.Path)}
	return &survey{run: r, work: w, create: r.missing(w.dest, mbox)}
}

// do surveys the mailbox and dispatches what is to be done.
func (s *survey) do(ctx context.Context) error {
	s.update(func() { s.progress.Mailbox = s.mbox.Path })
	s.work.open.Store(1) // the survey itself
	defer s.finish(ctx, s.work)
	defer s.apart.close()
	if s.mbox.NoSelect {
		return s.handOut(ctx, true)
	}
	err := s.find(ctx)
	if err == nil {
		err = s.handOut(ctx, true)
	}
	if err != nil {
		s.fault.Store(true) // whatever it is, not all has been dealt with
	}
	switch {
	case errors.Is(err, ErrRenumbered):
		s.renumber(s.work)
		return nil
	case errors.Is(err, errHalted):
		return nil
	case concernsMailbox(err) && !isSpent(err) && !s.broken && ctx.Err() == nil:
		// This mailbox cannot be read; the others can.
		s.update(func() {
			s.summary.MailboxesFailed++
			s.tell(Event{Type: EventWarning, Mailbox: s.mbox.Path, Err: err})
		})
		return nil
	}
	return err
}

// missing tells whether the destination lacks what mbox is to become at path: the mailbox, or the subscription to it.
func (r *run) missing(path Path, mbox Mailbox) bool {
	there := r.existed[path]
	return there == nil || there.NoSelect && !mbox.NoSelect || mbox.Subscribed && !there.Subscribed
}

// find lists the mailbox, over a new connection where one is lost on the way.
func (s *survey) find(ctx context.Context) error {
	fruitless, before := 0, 0
	err := s.control.again(ctx, func() error {
		for {
			source, err := s.control.openSource(ctx)
			if err != nil {
				return atEnd(s.Source, err)
			}
			if err = s.list(ctx, source); err == errListAgain {
				continue
			}
			if errors.Is(err, ErrRenumbered) {
				s.control.closeSource()
				return &Error{Advice: Never, Err: err} // not by listing it again
			}
			if fruitless++; s.listed.len() > before {
				fruitless, before = 1, s.listed.len()
			}
			if fruitless > attemptsAtOne && IsTemporary(err) && !concernsSession(err) && s.passed < leftBehindInARow {
				s.passed++ // it is this mailbox that breaks the connection
				s.control.closeSource()
				err = &Error{Kind: KindOf(err), End: string(s.Source), Mailbox: s.mbox.Path, Advice: Never, Err: err}
			}
			return err
		}
	})
	if err == nil {
		s.passed = 0
		s.done.Add(1)
	}
	return err
}

// list lists what has not been listed yet.
func (s *survey) list(ctx context.Context, source Source) error {
	if !s.began {
		if err := s.begin(ctx, source); err != nil {
			return err
		}
		if s.unchanged {
			s.present(s.known)
			return nil
		}
		s.began = true
	}
	resumed := s.listed.len() > 0
	batch := make([]Message, 0, lookupBatch)
	for m, err := range s.messages(ctx, source) {
		if errors.Is(err, ErrCannotTell) {
			return s.listAll()
		}
		if err != nil {
			return atEnd(s.Source, err)
		}
		if resumed && s.listed.has(m.Key) {
			continue
		}
		if s.validity == nil {
			s.validity = &m.Key.Validity
		} else if *s.validity != m.Key.Validity {
			return ErrRenumbered
		}
		if batch = append(batch, m); len(batch) == cap(batch) {
			if err := s.take(ctx, batch); err != nil {
				return err
			}
			batch = batch[:0]
			if s.control.source != source {
				return errListAgain
			}
		}
	}
	if err := s.take(ctx, batch); err != nil {
		return err
	}
	if err := s.retire(ctx); err != nil || !s.skipped {
		return err
	}
	s.skipped, s.known = false, s.arrived // what has gone is known now
	return errListAgain
}

// messages yields all messages of the mailbox, or those of which the source has something new to tell.
func (s *survey) messages(ctx context.Context, source Source) iter.Seq2[Message, error] {
	if s.changes == nil {
		return source.Messages(ctx, s.mbox.Path)
	}
	return func(yield func(Message, error) bool) {
		s.gone, s.there = nil, 0
		for change, err := range source.(Changer).Changes(ctx, s.mbox.Path, *s.changes) {
			switch {
			case err == nil && change.First != 0:
				s.gone.add(change.First, change.Last)
			case err == nil && change.Message.Key.IsZero():
				s.there = change.Messages
			case !yield(change.Message, err):
				return
			}
		}
	}
}

// begin learns where the mailbox stands, unless it has just been learnt.
func (s *survey) begin(ctx context.Context, source Source) error {
	if s.standing.at.IsZero() || time.Since(s.standing.at) > standingKeeps {
		if err := s.stand(ctx, source); err != nil {
			return err
		}
	}
	if s.recounts {
		return s.recount(ctx)
	}
	return nil
}

// present counts messages that nothing has to be done about, without naming them.
func (s *survey) present(n int64) {
	s.update(func() {
		s.counts.Messages += n
		s.counts.Present += n
		s.summary.Messages += n
		s.summary.Present += n
	})
}

// take decides on listed messages, and hands out work where there is enough.
func (s *survey) take(ctx context.Context, messages []Message) error {
	entries, err := s.lookup(ctx, s.mbox.Path, messages)
	if err != nil {
		return err
	}
	if s.changes != nil && len(s.fresh) >= mostHeld {
		return s.listAll() // that tells in between what has gone
	}
	for i, m := range messages {
		if s.changes != nil && entries[i].State != Arrived && m.Size < 0 && m.InternalDate.IsZero() {
			return s.listAll() // it was told of as one that is known
		}
	}
	disowned := map[Path]Key{}
	for i, m := range messages {
		if s.changes == nil && len(s.fresh) >= mostHeld && s.arrived < s.known && entries[i].State == Unknown && s.Options.Filter.Message(m) {
			s.skipped = true
			continue
		}
		s.listed.add(m.Key)
		if s.sort(m, entries[i]) {
			disowned[entries[i].Mailbox] = Key{}
		}
		if entries[i].State == Arrived && !entries[i].Retired {
			s.arrived++
		}
	}
	if err := s.disown(ctx, disowned); err != nil {
		return err
	}
	if s.arrived < s.known {
		return nil // what is fresh may be what some other entry has lost: first see which have
	}
	return s.handOut(ctx, false)
}

// sort decides what is to become of a message. suspect tells that its key may have been given to another one.
func (s *survey) sort(m Message, known Entry) (suspect bool) {
	switch {
	case !s.Options.Filter.Message(m):
		s.count(s.work, Event{Message: m, Outcome: Filtered})
	case known.State == Arrived && s.recounts:
		s.fresh = append(s.fresh, m)
	case known.State == Arrived && reused(known, m):
		s.suspect(s.work, known)
		s.fresh = append(s.fresh, m)
		return true
	case s.staysAside(s.work, m, known):
		s.count(s.work, Event{Message: m, Outcome: Quarantined, Err: &Error{Mailbox: s.mbox.Path, Key: m.Key,
			Err: fmt.Errorf("%s (on %s, and nothing has changed since)", known.Attempt.Reason, known.Attempt.Time.Format(time.DateOnly))}})
	case known.State != Arrived:
		s.fresh = append(s.fresh, m)
	case known.Retired || !known.Place.IsZero() && !known.Flags.Equal(m.Flags):
		// A message that came back is looked at like one whose flags have changed: its entry is written anew.
		s.flags = append(s.flags, flagWork{entry: known, flags: m.Flags})
		s.count(s.work, Event{Message: m, Outcome: Present})
	default:
		s.count(s.work, Event{Message: m, Outcome: Present})
	}
	return false
}

func (r *run) lookup(ctx context.Context, path Path, messages []Message) ([]Entry, error) {
	if r.Ledger == nil || len(messages) == 0 {
		return make([]Entry, len(messages)), nil
	}
	keys := make([]Key, len(messages))
	for i, m := range messages {
		keys[i] = m.Key
	}
	return r.Ledger.Lookup(ctx, path, keys)
}

// listAll has all messages listed by which it was tried to do without.
func (s *survey) listAll() error {
	s.changes = nil
	return errListAgain
}

// retire notes which messages the source no longer has. They stay where they went; but what comes under a new key with
// the same octets may take their place over, as after a change of UIDVALIDITY. A source may tell of changes what is not
// so: none of it counts unless, with those that the ledger knows to be left, there are as many messages as there should be.
func (s *survey) retire(ctx context.Context) error {
	missing := s.known - s.arrived
	if s.Ledger == nil || missing <= 0 && s.changes == nil {
		return nil
	}
	told := int64(s.listed.len())
	if s.changes != nil && missing+told == s.there {
		s.present(missing) // none has gone
		return nil
	}
	var gone []Key
	remaining := missing
	s.gone.sort()
	for entry, err := range s.Ledger.Entries(ctx, s.mbox.Path) {
		if err != nil {
			return err
		}
		if entry.Retired || s.listed.has(entry.Key) || s.changes != nil && !s.gone.has(entry.Key.UID) {
			continue
		}
		if gone = append(gone, entry.Key); entry.State == Arrived {
			remaining--
		}
	}
	if s.changes != nil {
		if remaining+told != s.there {
			return s.listAll()
		}
		s.present(remaining)
	}
	if s.Options.DryRun || len(gone) == 0 {
		return nil
	}
	return s.forsake(ctx, gone)
}

// forsake notes that messages are no longer known by these keys. Only then is the destination looked at anew: it has places
// to take over now.
func (s *survey) forsake(ctx context.Context, keys []Key) error {
	if err := s.Ledger.Retire(ctx, s.mbox.Path, keys); err != nil {
		return err
	}
	if d := s.destination(s.dest); s.existed[s.dest] == nil {
		d.doubt()
	} else {
		d.lookAnew()
	}
	return nil
}
