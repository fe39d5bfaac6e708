package migrate

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"io"
	"time"
)

// carry moves messages. Those that the sink has to get again are carried once more.
func (l *lane) carry(ctx context.Context, w *work, messages []Message) (settled []Key, err error) {
	first, err := l.carryOnce(ctx, w, messages)
	if err != nil || len(first.again) == 0 {
		return first.settled, err
	}
	second, err := l.carryOnce(ctx, w, first.again)
	if err == nil && len(second.again) > 0 {
		err = atEnd(l.Destination, ErrAgain)
	}
	return append(first.settled, second.settled...), err
}

// An outcome is what has become of messages that were given to a sink.
type outcome struct {
	settled []Key
	refused []refusal // to be set aside
	again   []Message // to be appended once more
}

// carryOnce appends messages; those of a group are committed together, recorded, and only then counted.
func (l *lane) carryOnce(ctx context.Context, w *work, messages []Message) (outcome, error) {
	var inHand []Message
	var octets int64
	full, begun := l.groupBound(largestGroup), time.Now()
	_, intended := l.sink.(Numberer) // all of them, in one group: see portion
	safe := safekeeper{l: l, w: w, beside: l.Options.Lanes == 1 && !intended, rest: costOf(messages...)}
	for f, err := range l.source.Fetch(ctx, w.mbox.Path, messages) {
		if err == nil && concernsSession(f.Err) {
			err = f.Err
		}
		if err == nil && f.Err != nil {
			if err := l.unreadable(ctx, w, f.Message, f.Err); err != nil {
				return safe.end(err)
			}
			safe.settle(f.Message.Key)
			continue
		}
		if err == nil {
			var m Message
			if m, err = l.append(ctx, w, f); err == nil {
				inHand, octets = append(inHand, m), octets+m.Identity.Size
				l.appended.Add(m.Identity.Size)
				enough := !intended && (time.Since(begun) >= groupTime || l.limitReached() || l.isHalted())
				if tapers := safe.tapers(m); !enough && !tapers && !full.reached(len(inHand), octets) {
					continue
				}
				if err := safe.keep(ctx, inHand); err != nil {
					return safe.end(err)
				}
				inHand, octets, begun = make([]Message, 0, len(inHand)), 0, time.Now()
				if l.limitReached() || l.isHalted() {
					return safe.end(errHalted)
				}
				continue
			}
			if _, fromSource := errors.AsType[*sourceError](err); !fromSource {
				return safe.end(atEnd(l.Destination, err))
			}
		}
		// The source is lost. What has come over is made safe all the same.
		keepErr := safe.finish(ctx, inHand) // what it refused is sent, and refused, once more
		if keepErr != nil && !IsTemporary(keepErr) {
			return safe.end(keepErr)
		}
		l.answered = keepErr == nil
		return safe.end(atEnd(l.Source, err))
	}
	if err := safe.finish(ctx, inHand); err != nil {
		return safe.end(err)
	}
	done, err := l.setAside(ctx, w, safe.refused)
	safe.settle(done...)
	return safe.end(err)
}

// append gives one message to the sink and returns it with its identity and, where the source has none, its date.
func (l *lane) append(ctx context.Context, w *work, f Fetched) (Message, error) {
	m := f.Message
	source := &sourceReader{r: l.paced(ctx, f.Body.Reader), moved: l.moved}
	body := io.Reader(source)
	if m.InternalDate.IsZero() {
		if l.head == nil {
			l.head = bufio.NewReaderSize(nil, headBound)
		}
		l.head.Reset(source)
		m.InternalDate = arrival(l.head, time.Now())
		head, _ := l.head.Peek(l.head.Buffered())
		body = io.MultiReader(bytes.NewReader(head), source) // the sink hears of an error with the last octets
	}
	identity := func() Identity { return f.Checked }
	if f.Checked.IsZero() {
		hashed := NewHashedReader(body)
		body, identity = hashed, hashed.Identity
	}
	err := l.sink.Append(ctx, w.dest, m, Body{Reader: body, Size: f.Body.Size})
	if source.err != nil {
		return m, &sourceError{source.err}
	}
	m.Identity = identity()
	return m, err
}

// commit makes appended messages safe, records them and counts them.
func (l *lane) commit(ctx context.Context, w *work, sink Sink, inHand []Message) (o outcome, err error) {
	if len(inHand) == 0 {
		return o, nil
	}
	stored, err := sink.Commit(ctx)
	if err == nil && len(stored) != len(inHand) {
		err = Errorf(Failed, "%d of %d messages were answered for", len(stored), len(inHand))
	}
	if err != nil {
		return o, atEnd(l.Destination, err)
	}
	entries := make([]Entry, 0, len(inHand))
	for i, m := range inHand {
		if stored[i].Err == nil {
			entries = append(entries, l.entryOf(w, m, stored[i].Key))
		}
	}
	if err := l.Ledger.Record(ctx, w.mbox.Path, entries); err != nil {
		return o, err
	}
	var fatal, temporary error
	d := l.destination(w.dest)
	for i, m := range inHand {
		switch m.Size = m.Identity.Size; {
		case stored[i].Err == nil:
			l.settle(w, Event{Message: m, Outcome: Copied, Dropped: stored[i].Dropped})
			o.settled = append(o.settled, m.Key)
			d.put(stored[i].Key)
		case errors.Is(stored[i].Err, ErrAgain):
			o.again = append(o.again, inHand[i])
		case IsTemporary(stored[i].Err):
			temporary = stored[i].Err
		case KindOf(stored[i].Err) == Refused, KindOf(stored[i].Err) == Limit:
			fatal = stored[i].Err
			w.fault.Store(true) // left for the next run, when there is room again
		case l.Quarantine != nil:
			o.refused = append(o.refused, refusal{inHand[i], stored[i].Err})
		default:
			l.leave(w, m, l.Destination, stored[i].Err)
			o.settled = append(o.settled, m.Key)
		}
	}
	if KindOf(fatal) == Limit {
		return o, &Error{Kind: Limit, End: string(l.Destination), Mailbox: w.dest, Err: fatal}
	}
	if fatal != nil {
		return o, &Error{Kind: Refused, End: string(l.Destination), Mailbox: w.dest, Err: fatal,
			Hint: "make room there and run the same command again, it goes on from here"}
	}
	return o, atEnd(l.Destination, temporary)
}

// moved brings the progress up to date while octets flow.
func (l *lane) moved(octets int64) {
	l.update(func() { l.progress.Octets += octets })
}

// limitReached halts the run where as many octets as allowed have moved: each lane then makes safe what it has in hand.
func (l *lane) limitReached() bool {
	limit := l.Options.MaxOctets
	if limit == 0 || l.appended.Load() < limit {
		return false
	}
	l.halt(Errorf(Limit, "stopped after %d octets as asked", limit))
	return true
}

// sourceError is an error that came while reading a body, as against one of the sink that read it.
type sourceError struct{ error }

func (e *sourceError) Unwrap() error { return e.error }

// sourceReader tells of progress, and remembers when it was the reading that failed.
type sourceReader struct {
	r     io.Reader
	moved func(octets int64)
	count int64 // not told yet
	err   error
}

func (s *sourceReader) Read(p []byte) (int, error) {
	n, err := s.r.Read(p)
	if s.count += int64(n); s.count > 256<<10 || err != nil {
		s.moved(s.count)
		s.count = 0
	}
	if err != nil && err != io.EOF {
		s.err = err
	}
	return n, err
}

// paced holds reading to the rate that the user allows.
func (l *lane) paced(ctx context.Context, body io.Reader) io.Reader {
	if l.limiter == nil {
		return body
	}
	return &pacedReader{ctx: ctx, r: body, wait: func(n int) error { return l.limiter.WaitN(ctx, n) }, burst: l.limiter.Burst()}
}

type pacedReader struct {
	ctx   context.Context
	r     io.Reader
	wait  func(n int) error
	burst int
}

func (p *pacedReader) Read(b []byte) (int, error) {
	n, err := p.r.Read(b[:min(len(b), p.burst)])
	if n > 0 {
		if waitErr := p.wait(n); waitErr != nil && err == nil {
			err = waitErr
		}
	}
	return n, err
}
