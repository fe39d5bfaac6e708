package migrate

import (
	"context"
	"errors"
	"fmt"
	"time"
)

// A Quarantine keeps what could not move: messages that the destination refused or the source could not give.
type Quarantine interface {
	// Keep makes a message safe, with the reason beside it. The same message again takes the place of the first.
	Keep(ctx context.Context, m SetAsideMessage) error
}

// A SetAsideMessage is one that could not move.
type SetAsideMessage struct {
	Source      string // the ends, as they are named to people
	Destination string
	Mailbox     Path // at the source
	To          Path // where it was to go
	Message     Message
	Body        Body   // its octets; without a Reader where they cannot be read
	Reason      string // in the words of who refused
	Time        time.Time
}

// asideFor is how long a message that was set aside is left alone while nothing has changed.
const asideFor = 7 * 24 * time.Hour

// A refusal is a message that the destination does not take.
type refusal struct {
	m   Message // as listed, with its Identity
	err error
}

// setAside puts refused messages into the quarantine. Their octets have gone by, so they are read once more.
func (l *lane) setAside(ctx context.Context, w *work, refused []refusal) (settled []Key, err error) {
	if len(refused) == 0 {
		return nil, nil
	}
	why := make(map[Key]refusal, len(refused))
	ask := make([]Message, len(refused))
	for i, r := range refused {
		why[r.m.Key], ask[i] = r, r.m
	}
	for f, err := range l.source.Fetch(ctx, w.mbox.Path, ask) {
		if err != nil {
			return settled, atEnd(l.Source, err)
		}
		r, ok := why[f.Message.Key]
		if !ok {
			continue
		}
		delete(why, f.Message.Key)
		if err := l.keepAside(ctx, w, r.m, f.Body, l.Destination, r.err); err != nil {
			return settled, err
		}
		settled = append(settled, r.m.Key)
	}
	for _, r := range refused { // what has vanished meanwhile
		if _, left := why[r.m.Key]; left {
			l.leave(w, r.m, l.Destination, r.err)
			settled = append(settled, r.m.Key)
		}
	}
	return settled, nil
}

// unreadable settles a message that the source cannot give. One that is damaged in an archive stays for the next run:
// it can be put right at any time, and to try it costs nothing.
func (l *lane) unreadable(ctx context.Context, w *work, m Message, err error) error {
	if l.Quarantine == nil || l.Options.DryRun || IsTemporary(err) || KindOf(err) == Damaged {
		l.leave(w, m, l.Source, err)
		return nil
	}
	return l.keepAside(ctx, w, m, Body{}, l.Source, err)
}

// keepAside sets one message aside and counts it. What cannot even be set aside is left behind; an error is one of the
// source or the ledger.
func (l *lane) keepAside(ctx context.Context, w *work, m Message, body Body, end End, cause error) error {
	source := &sourceReader{r: body.Reader, moved: func(int64) {}}
	if body.Reader != nil {
		body.Reader = source
	}
	aside := SetAsideMessage{
		Source: string(l.Source), Destination: string(l.Destination), Mailbox: w.mbox.Path, To: w.dest,
		Message: m, Body: body, Reason: reasonOf(cause), Time: time.Now(),
	}
	if err := l.Quarantine.Keep(ctx, aside); err != nil {
		if source.err != nil {
			return atEnd(l.Source, source.err)
		}
		l.leave(w, m, end, errors.Join(cause, fmt.Errorf("it could not be set aside: %w", err)))
		return nil
	}
	entry := entryOf(m, w.dest, Key{})
	entry.State = SetAside
	entry.Attempt = Attempt{Reason: aside.Reason, Time: aside.Time, Program: l.Options.Version, Limit: l.limit()}
	if m.Identity.IsZero() {
		entry.Identity.Size = max(m.Size, 0)
	}
	if err := l.Ledger.Record(ctx, w.mbox.Path, []Entry{entry}); err != nil {
		return err
	}
	if !concerns(cause, func(e *Error) bool { return !e.Key.IsZero() }) {
		cause = &Error{Kind: KindOf(cause), End: string(end), Mailbox: w.mbox.Path, Key: m.Key, Err: cause}
	}
	l.settle(w, Event{Message: m, Outcome: Quarantined, Err: atEnd(end, cause)})
	return nil
}

// limit tells the size of the largest message that the destination takes, where it says so.
func (l *lane) limit() int64 {
	if bounded, ok := l.sink.(Bounded); ok {
		return bounded.Limit()
	}
	return 0
}

// staysAside tells whether trying once more with a message that was set aside would come to the same.
func (r *run) staysAside(w *work, m Message, known Entry) bool {
	age := time.Since(known.Attempt.Time)
	limit := r.control.limit()
	switch {
	case known.State != SetAside, known.Mailbox != w.dest, known.Attempt.Program != r.Options.Version:
		return false
	case age < -time.Hour || age > asideFor: // a clock may have been put right
		return false
	case reused(known, m):
		return false
	case known.Attempt.Limit > 0 && m.Size > known.Attempt.Limit && (limit == 0 || limit > known.Attempt.Limit):
		return false
	}
	return true
}

// reasonOf gives the cause without the words that tell where it happened.
func reasonOf(err error) string {
	var told *Error
	for errors.As(err, &told) && told.Err != nil {
		err = told.Err
	}
	return err.Error()
}
