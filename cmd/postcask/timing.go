package main

import (
	"context"
	"fmt"
	"io"
	"iter"
	"sync/atomic"
	"time"

	"postcask/migrate"
	"postcask/migrate/imap"
	"postcask/migrate/pop3"
)

// A timing adds up where the time of a run goes, for -v: how long its connections waited, or worked themselves, for the
// source, the destination and the disk. Connections wait at once, so the sums may be more than the run took.
type timing struct{ source, destination, disk span }

// A span of time that several goroutines add to.
type span struct{ atomic.Int64 }

func (s *span) since(began time.Time) { s.Add(int64(time.Since(began))) }

func (s *span) seconds() float64 { return thousandths(time.Duration(s.Load()).Seconds()) }

// timesJSON is what a timing comes to, in seconds.
type timesJSON struct {
	Source      float64 `json:"source"`
	Destination float64 `json:"destination"`
	Disk        float64 `json:"disk"`
	CPUUser     float64 `json:"cpu_user"` // of the whole process
	CPUSystem   float64 `json:"cpu_system"`
}

func (t *timing) times() *timesJSON {
	user, system := cpuTimes()
	return &timesJSON{t.source.seconds(), t.destination.seconds(), t.disk.seconds(), thousandths(user.Seconds()), thousandths(system.Seconds())}
}

func (t *timesJSON) String() string {
	return fmt.Sprintf("time, over all connections: source %.1fs, destination %.1fs, disk %.1fs; CPU %.1fs user, %.1fs system",
		t.Source, t.Destination, t.Disk, t.CPUUser, t.CPUSystem)
}

// of tells which part an end counts to.
func (t *timing) of(end *endpoint, source bool) *span {
	switch {
	case t == nil:
		return nil
	case !end.isServer():
		return &t.disk
	case source:
		return &t.source
	}
	return &t.destination
}

// opened gives a source or sink of a run, timed where the run is: what it can do besides stays as it is.
func (t *timing) opened(end any, part *span) any {
	if t == nil {
		return end
	}
	switch end := end.(type) {
	case *scoped:
		return &scoped{t.opened(end.Source, part).(migrate.Source), end.path}
	case *imap.Session:
		return newTimedIMAP(end, part)
	case *pop3.Session:
		return newTimedPOP3(end, part)
	case archiveSink:
		return &timedArchiveSink{wholeArchiveSink{end}, timedReading{end, part}, timedWriting{end, part}}
	case archiveSource:
		return &timedArchive{wholeArchive{end}, timedReading{end, part}}
	}
	return end
}

// ledger gives a ledger whose writes are timed: what it can do besides stays as it is.
func (t *timing) ledger(known migrate.Ledger) migrate.Ledger {
	if t == nil || known == nil {
		return known
	}
	timed := &timedLedger{known, &t.disk}
	switch known := known.(type) {
	case migrate.Unclaimer:
		return struct {
			*timedLedger
			migrate.Unclaimer
		}{timed, known}
	case migrate.Accountant:
		return struct {
			*timedLedger
			migrate.Accountant
		}{timed, known}
	}
	return timed
}

// openTimed times the opening of an end too.
func openTimed[End any](t *timing, part *span, open func(context.Context) (End, error)) func(context.Context) (End, error) {
	if t == nil || open == nil {
		return open
	}
	return func(ctx context.Context) (End, error) {
		defer part.since(time.Now())
		end, err := open(ctx)
		if err != nil {
			return end, err
		}
		return t.opened(end, part).(End), nil
	}
}

// timedSeq leaves out what the caller does between two steps.
func timedSeq[T any](part *span, seq iter.Seq2[T, error]) iter.Seq2[T, error] {
	return func(yield func(T, error) bool) {
		began := time.Now()
		for value, err := range seq {
			part.since(began)
			if !yield(value, err) {
				return
			}
			began = time.Now()
		}
		part.since(began)
	}
}

// timedFetch times the bodies as well.
func timedFetch(part *span, seq iter.Seq2[migrate.Fetched, error]) iter.Seq2[migrate.Fetched, error] {
	return func(yield func(migrate.Fetched, error) bool) {
		for fetched, err := range timedSeq(part, seq) {
			if fetched.Body.Reader != nil {
				fetched.Body.Reader = &timedReader{fetched.Body.Reader, part}
			}
			if !yield(fetched, err) {
				return
			}
		}
	}
}

// timedAppend leaves out the reading of the body, which is the source's.
func timedAppend(part *span, body migrate.Body, appending func(migrate.Body) error) error {
	var reading span
	began := time.Now()
	body.Reader = &timedReader{body.Reader, &reading}
	err := appending(body)
	part.since(began)
	part.Add(-reading.Load())
	return err
}

type timedReader struct {
	io.Reader
	part *span
}

func (r *timedReader) Read(p []byte) (int, error) {
	defer r.part.since(time.Now())
	return r.Reader.Read(p)
}

// timedLedger times what has to be on the disk before the run goes on.
type timedLedger struct {
	migrate.Ledger
	part *span
}

func (l *timedLedger) Record(ctx context.Context, mbox migrate.Path, entries []migrate.Entry) error {
	defer l.part.since(time.Now())
	return l.Ledger.Record(ctx, mbox, entries)
}

func (l *timedLedger) Intend(ctx context.Context, mbox migrate.Path, entries []migrate.Entry) error {
	defer l.part.since(time.Now())
	return l.Ledger.Intend(ctx, mbox, entries)
}

func (l *timedLedger) SetSeen(ctx context.Context, mbox migrate.Path, status migrate.Status) error {
	defer l.part.since(time.Now())
	return l.Ledger.SetSeen(ctx, mbox, status)
}
