package main

import (
	"context"
	"iter"
	"time"

	"postcask/migrate"
	"postcask/migrate/imap"
	"postcask/migrate/pop3"
)

// The ends of a run, timed. Each holds the whole of what it times, so that nothing which the engine asks for by type is
// lost; the calls that wait are done again here.

type timedIMAP struct {
	*imap.Session
	part *span
}

func (t *timedIMAP) Mailboxes(ctx context.Context) ([]migrate.Mailbox, error) {
	defer t.part.since(time.Now())
	return t.Session.Mailboxes(ctx)
}

func (t *timedIMAP) Status(ctx context.Context, mbox migrate.Path) (migrate.Status, error) {
	defer t.part.since(time.Now())
	return t.Session.Status(ctx, mbox)
}

func (t *timedIMAP) Messages(ctx context.Context, mbox migrate.Path) iter.Seq2[migrate.Message, error] {
	return timedSeq(t.part, t.Session.Messages(ctx, mbox))
}

func (t *timedIMAP) Changes(ctx context.Context, mbox migrate.Path, since migrate.Status) iter.Seq2[migrate.Change, error] {
	return timedSeq(t.part, t.Session.Changes(ctx, mbox, since))
}

func (t *timedIMAP) Headers(ctx context.Context, mbox migrate.Path, messages []migrate.Message) iter.Seq2[migrate.Header, error] {
	return timedSeq(t.part, t.Session.Headers(ctx, mbox, messages))
}

func (t *timedIMAP) Fetch(ctx context.Context, mbox migrate.Path, messages []migrate.Message) iter.Seq2[migrate.Fetched, error] {
	return timedFetch(t.part, t.Session.Fetch(ctx, mbox, messages))
}

func (t *timedIMAP) Create(ctx context.Context, mbox migrate.Mailbox) error {
	defer t.part.since(time.Now())
	return t.Session.Create(ctx, mbox)
}

func (t *timedIMAP) Next(ctx context.Context, mbox migrate.Path) (migrate.Key, error) {
	defer t.part.since(time.Now())
	return t.Session.Next(ctx, mbox)
}

func (t *timedIMAP) Append(ctx context.Context, mbox migrate.Path, m migrate.Message, body migrate.Body) error {
	return timedAppend(t.part, body, func(body migrate.Body) error { return t.Session.Append(ctx, mbox, m, body) })
}

func (t *timedIMAP) Commit(ctx context.Context) ([]migrate.Stored, error) {
	defer t.part.since(time.Now())
	return t.Session.Commit(ctx)
}

func (t *timedIMAP) SetFlags(ctx context.Context, mbox migrate.Path, changes []migrate.FlagChange) error {
	defer t.part.since(time.Now())
	return t.Session.SetFlags(ctx, mbox, changes)
}

func (t *timedIMAP) Close() error {
	defer t.part.since(time.Now())
	return t.Session.Close()
}

type timedPOP3 struct {
	*pop3.Session
	part *span
}

func (t *timedPOP3) Messages(ctx context.Context, mbox migrate.Path) iter.Seq2[migrate.Message, error] {
	return timedSeq(t.part, t.Session.Messages(ctx, mbox))
}

func (t *timedPOP3) Headers(ctx context.Context, mbox migrate.Path, messages []migrate.Message) iter.Seq2[migrate.Header, error] {
	return timedSeq(t.part, t.Session.Headers(ctx, mbox, messages))
}

func (t *timedPOP3) Fetch(ctx context.Context, mbox migrate.Path, messages []migrate.Message) iter.Seq2[migrate.Fetched, error] {
	return timedFetch(t.part, t.Session.Fetch(ctx, mbox, messages))
}

func (t *timedPOP3) Close() error {
	defer t.part.since(time.Now())
	return t.Session.Close()
}

// archiveSource and archiveSink are what an archive's ends can do.
type archiveSource interface {
	migrate.Source
	migrate.Statuser
	migrate.HeaderReader
	migrate.Knower
}

type archiveSink interface {
	archiveSource
	migrate.Sink
	migrate.Flagger
}

type timedArchive struct {
	archiveSource
	part *span
}

func (t *timedArchive) Messages(ctx context.Context, mbox migrate.Path) iter.Seq2[migrate.Message, error] {
	return timedSeq(t.part, t.archiveSource.Messages(ctx, mbox))
}

func (t *timedArchive) Fetch(ctx context.Context, mbox migrate.Path, messages []migrate.Message) iter.Seq2[migrate.Fetched, error] {
	return timedFetch(t.part, t.archiveSource.Fetch(ctx, mbox, messages))
}

type timedArchiveSink struct {
	archiveSink
	part *span
}

func (t *timedArchiveSink) Messages(ctx context.Context, mbox migrate.Path) iter.Seq2[migrate.Message, error] {
	return timedSeq(t.part, t.archiveSink.Messages(ctx, mbox))
}

func (t *timedArchiveSink) Fetch(ctx context.Context, mbox migrate.Path, messages []migrate.Message) iter.Seq2[migrate.Fetched, error] {
	return timedFetch(t.part, t.archiveSink.Fetch(ctx, mbox, messages))
}

func (t *timedArchiveSink) Create(ctx context.Context, mbox migrate.Mailbox) error {
	defer t.part.since(time.Now())
	return t.archiveSink.Create(ctx, mbox)
}

func (t *timedArchiveSink) Append(ctx context.Context, mbox migrate.Path, m migrate.Message, body migrate.Body) error {
	return timedAppend(t.part, body, func(body migrate.Body) error { return t.archiveSink.Append(ctx, mbox, m, body) })
}

func (t *timedArchiveSink) Commit(ctx context.Context) ([]migrate.Stored, error) {
	defer t.part.since(time.Now())
	return t.archiveSink.Commit(ctx)
}

func (t *timedArchiveSink) SetFlags(ctx context.Context, mbox migrate.Path, changes []migrate.FlagChange) error {
	defer t.part.since(time.Now())
	return t.archiveSink.SetFlags(ctx, mbox, changes)
}

func (t *timedArchiveSink) Close() error {
	defer t.part.since(time.Now())
	return t.archiveSink.Close()
}
