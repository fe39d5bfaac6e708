package migrate

import (
	"bufio"
	"context"
	"errors"
	"io"
	"time"
)

// carry moves messages: those of a group are appended, committed together, recorded, and only then counted.
func (l *lane) carry(ctx context.Context, w *work, messages []Message) (settled []Key, err error) {
	var inHand []Message
	var octets int64
	full := l.groupBound()
	_, intended := l.sink.(Numberer) // all of them, in one group: see portion
	safe := safekeeper{l: l, w: w, beside: l.Options.Lanes == 1 && !intended}
	for f, err := range l.source.Fetch(ctx, w.mbox.Path, messages) {
		if err == nil && concernsSession(f.Err) {
			err = f.Err
		}
		if err == nil && f.Err != nil {
			if err := l.unreadable(ctx, w, f.Message, f.Err); err != nil {
				return safe.end(settled, err)
			}
			settled = append(settled, f.Message.Key)
			continue
		}
		if err == nil {
			var m Message
			if m, err = l.append(ctx, w, f); err == nil {
				inHand, octets = append(inHand, m), octets+m.Identity.Size
				l.appended.Add(m.Identity.Size)
				if !full.reached(len(inHand), octets) && (intended || !l.limitReached()) {
					continue
				}
				if err := safe.keep(ctx, inHand); err != nil {
					return safe.end(settled, err)
				}
				inHand, octets = make([]Message, 0, len(inHand)), 0
				if l.limitReached() || l.isHalted() {
					return safe.end(settled, errHalted)
				}
				continue
			}
			if _, fromSource := errors.AsType[*sourceError](err); !fromSource {
				return safe.end(settled, atEnd(l.Destination, err))
			}
		}
		// The source is lost. What has come over is made safe all the same.
		keepErr := safe.finish(ctx, inHand) // what it refused is sent, and refused, once more
		if keepErr != nil && !IsTemporary(keepErr) {
			return safe.end(settled, keepErr)
		}
		l.answered = keepErr == nil
		return safe.end(settled, atEnd(l.Source, err))
	}
	if err := safe.finish(ctx, inHand); err != nil {
		return safe.end(settled, err)
	}
	done, err := l.setAside(ctx, w, safe.refused)
	return safe.end(append(settled, done...), err)
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
		body = l.head
	}
	hashed := NewHashedReader(body)
	err := l.sink.Append(ctx, w.dest, m, Body{Reader: hashed, Size: f.Body.Size})
	if source.err != nil {
		return m, &sourceError{source.err}
	}
	m.Identity = hashed.Identity()
	return m, err
}

// commit makes appended messages safe, records them and counts them. It gives those that are to be set aside.
func (l *lane) commit(ctx context.Context, w *work, sink Sink, inHand []Message) (settled []Key, refused []refusal, err error) {
	if len(inHand) == 0 {
		return nil, nil, nil
	}
	stored, err := sink.Commit(ctx)
	if err == nil && len(stored) != len(inHand) {
		err = Errorf(Failed, "%d of %d messages were answered for", len(stored), len(inHand))
	}
	if err != nil {
		return nil, nil, atEnd(l.Destination, err)
	}
	var entries []Entry
	for i, m := range inHand {
		if stored[i].Err == nil {
			entries = append(entries, entryOf(m, w.dest, stored[i].Key))
		}
	}
	if err := l.Ledger.Record(ctx, w.mbox.Path, entries); err != nil {
		return nil, nil, err
	}
	var fatal, temporary error
	for i, m := range inHand {
		switch m.Size = m.Identity.Size; {
		case stored[i].Err == nil:
			l.settle(w, Event{Message: m, Outcome: Copied, Dropped: stored[i].Dropped})
			settled = append(settled, m.Key)
		case IsTemporary(stored[i].Err):
			temporary = stored[i].Err
		case KindOf(stored[i].Err) == Refused, KindOf(stored[i].Err) == Limit:
			fatal = stored[i].Err
			w.fault.Store(true) // left for the next run, when there is room again
		case l.Quarantine != nil:
			refused = append(refused, refusal{inHand[i], stored[i].Err})
		default:
			l.leave(w, m, l.Destination, stored[i].Err)
			settled = append(settled, m.Key)
		}
	}
	if KindOf(fatal) == Limit {
		return settled, refused, &Error{Kind: Limit, End: string(l.Destination), Mailbox: w.dest, Err: fatal}
	}
	if fatal != nil {
		return settled, refused, &Error{Kind: Refused, End: string(l.Destination), Mailbox: w.dest, Err: fatal,
			Hint: "make room there and run the same command again, it goes on from here"}
	}
	return settled, refused, atEnd(l.Destination, temporary)
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
