package migrate

import (
	"context"
	"time"
)

// A Job is a pair of ends with what lies between them.
type Job struct {
	Source      End
	Destination End
	// OpenSource opens one more Source. The first is used for listing; each lane opens another, unless Options.Lanes is 1.
	OpenSource func(ctx context.Context) (Source, error)
	// OpenSink opens one more Sink, one for each lane. It may be nil in a dry run, where the destination is not there yet.
	OpenSink func(ctx context.Context) (Sink, error)
	Ledger   Ledger // nil only where OpenSink is nil
	Options  Options
}

// An End names an end to people, as in "source imap.example.org"; errors carry it.
type End string

// Options say how a run goes about it. The zero value is sensible.
type Options struct {
	DryRun      bool // the same way, but it stops before the first write
	Filter      Filter
	Mapping     Mapping
	Lanes       int             // messages move on so many connections of each end at once; 0 means 1
	LimitRate   int64           // octets a second over all lanes; 0 for no limit
	MaxOctets   int64           // stop, with kind Limit, once so many wire octets have moved; 0 for no limit
	MaxDuration time.Duration   // stop, with kind Limit, after this time; 0 for no limit
	Stop        <-chan struct{} // closed: finish what is in hand, record it, return ErrStopped
	Report      func(Event)     // is told of events, by one goroutine at a time; may be nil
}
