package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"time"

	"postcask/archive"
	"postcask/migrate"
	"postcask/migrate/ledger"
)

// A leg is one run of the engine between two ends.
type leg struct {
	command             string
	source, destination *endpoint
	openSource          func(ctx context.Context) (migrate.Source, error)
	openSink            func(ctx context.Context) (migrate.Sink, error)
	ledger              migrate.Ledger
	options             migrate.Options
	deletion            *migrate.Deletion                      // at the source; nil for none
	aside               string                                 // folder for what cannot move; empty for none
	renamed             func() []string                        // what the destination names otherwise; may be nil
	record              func(status int, summary []byte) error // keeps how it ended; may be nil
	archive             *archive.Archive                       // opened to be written to; nil for none
}

// run moves mail over one leg and tells of it. The error is nil, a verdict, or one that was told.
func (c *cli) run(ctx context.Context, l leg) error {
	c.interrupts.graceful.Store(true)
	defer c.interrupts.graceful.Store(false)
	r := &report{term: c.term, command: l.command, source: l.source.String(), destination: l.destination.String(), dryRun: l.options.DryRun}
	r.begin()
	if l.archive != nil {
		c.tellRecovered(l.archive)
	}
	if c.term.verbose > 0 {
		r.timing = &timing{}
	}
	l.options.Stop, l.options.Report = c.interrupts.stop, r.event
	l.options.Version = version
	job := migrate.Job{
		Source: l.source.end("source"), Destination: l.destination.end("destination"),
		OpenSource: openTimed(r.timing, r.timing.of(l.source, true), l.openSource), OpenSink: openTimed(r.timing, r.timing.of(l.destination, false), l.openSink),
		Ledger: r.timing.ledger(l.ledger), Deletion: l.deletion, Options: l.options,
	}
	if r.aside = l.aside; l.aside != "" {
		job.Quarantine = migrate.NewQuarantine(l.aside)
	}
	summary, err := migrate.Run(ctx, job)
	if l.renamed != nil {
		r.renamed(l.renamed())
	}
	ended := r.end(summary, err)
	if c.term.verbose > 0 && !c.term.json {
		for _, e := range []*endpoint{l.source, l.destination} {
			if n := e.link.Compressed(); n > 0 {
				c.term.note("%s: the way there is slow, so what went over %s was compressed", e.host, plural(int64(n), "connection", "connections"))
			}
		}
	}
	if l.record != nil {
		if err := l.record(exitStatus(ended), encoded(r.summaryLine(summary, exitStatus(ended), err, ""))); err != nil {
			c.term.warn(err.Error())
		}
	}
	return ended
}

// pull fills an archive from a server, and deletes there what deletion says, if anything.
func (c *cli) pull(ctx context.Context, from *server, to *endpoint, store *archive.Archive, options migrate.Options, deletion *migrate.Deletion) error {
	l := leg{command: "backup", source: from.end, destination: to, openSource: from.source, options: options, deletion: deletion,
		aside: asideInArchive(to.dir, store)}
	if store != nil {
		known, err := store.Ledger(ctx, from.end.String())
		if err != nil {
			return err
		}
		l.archive, l.ledger, l.openSink = store, known, func(context.Context) (migrate.Sink, error) { return store.Sink(), nil }
	}
	if store != nil && !options.DryRun {
		id, err := store.Index().StartRun(ctx, ledger.Run{Command: l.command, Source: from.end.String(), Destination: to.String()})
		if err != nil {
			return err
		}
		l.record = func(status int, summary []byte) error { // also after an interrupt
			return store.Index().EndRun(context.WithoutCancel(ctx), id, status, string(summary))
		}
	}
	return c.run(ctx, l)
}

// replay sends what an archive holds to a server. within narrows it to a part of the archive.
func (c *cli) replay(ctx context.Context, from *endpoint, store *archive.Archive, within migrate.Path, to *server, ledgerFile string, lockWait time.Duration, options migrate.Options) error {
	var known migrate.Ledger
	var release func() error
	defer to.sinks.leave()
	err := c.awaitLock(ctx, lockWait, func() (err error) {
		known, release, err = openLedger(ctx, ledgerFile, "archive "+store.ID(), to.end.String(), options.DryRun, func() { to.sinks.begin(ctx) })
		return err
	})
	if err != nil {
		return err
	}
	err = c.run(ctx, leg{
		command: "restore", source: from, destination: to.end,
		openSource: func(context.Context) (migrate.Source, error) { return scope(store.Source(), within), nil },
		openSink:   to.sink, ledger: known, options: options, renamed: to.renamed,
		aside: asideByLedger(ledgerFile, "archive "+store.ID(), to.end.String()),
	})
	return c.keep(err, release())
}

// openLedger opens the ledger between two ends that are no archive of ours, in the file given or, where that is empty,
// in its usual place, and holds its lock until release; locked is called as soon as it does. A dry run makes no file and
// needs none.
func openLedger(ctx context.Context, file, source, destination string, dryRun bool, locked func()) (known migrate.Ledger, release func() error, err error) {
	if file == "" {
		if file, err = ledger.DefaultPath(source, destination); err != nil {
			return nil, nil, err
		}
	}
	if dryRun {
		if _, err := os.Lstat(file); errors.Is(err, fs.ErrNotExist) {
			return noLedger{}, func() error { return nil }, nil
		}
		db, err := ledger.Open(ctx, file, ledger.Options{ReadOnly: true})
		if err != nil {
			return nil, nil, fmt.Errorf("ledger %s: %w", file, err)
		}
		if known, err = db.Ledger(ctx, source, destination); err != nil {
			return nil, nil, errors.Join(err, db.Close())
		}
		return known, db.Close, nil
	}
	unlock, err := ledger.Lock(file + ".lock")
	if err != nil {
		return nil, nil, err
	}
	locked()
	db, err := ledger.Open(ctx, file, ledger.Options{Create: true})
	if err != nil {
		return nil, nil, errors.Join(fmt.Errorf("ledger %s: %w", file, err), unlock())
	}
	if known, err = db.Ledger(ctx, source, destination); err != nil {
		return nil, nil, errors.Join(err, db.Close(), unlock())
	}
	return known, func() error { return errors.Join(db.Close(), unlock()) }, nil
}

// keep gives what the work came to, now that the tidying up after it came to closing.
func (c *cli) keep(err, closing error) error {
	switch {
	case closing == nil:
		return err
	case err == nil || errors.As(err, new(verdict)):
		return closing
	}
	c.term.warn(closing.Error())
	return err
}
