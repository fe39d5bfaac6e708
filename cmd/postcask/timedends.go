package main

import (
	"context"
	"iter"
	"time"

	"postcask/migrate"
	"postcask/migrate/imap"
	"postcask/migrate/pop3"
)

// The ends of a run, timed. Each holds the whole of what it times, a level deeper, so that nothing which the engine asks
// for by type is lost, and above it the calls that wait.

type timedIMAP struct {
	wholeIMAP
	timedReading
	timedWriting
	timedRemote
	part *span
}

type timedPOP3 struct {
	wholePOP3
	timedReading
	timedRemote
}

type timedArchive struct {
	wholeArchive
	timedReading
}

type timedArchiveSink struct {
	wholeArchiveSink
	timedReading
	timedWriting
}

type (
	wholeIMAP        struct{ *imap.Session }
	wholePOP3        struct{ *pop3.Session }
	wholeArchive     struct{ archiveSource }
	wholeArchiveSink struct{ archiveSink }
)

// archiveSource and archiveSink are what an archive's ends can do.
type archiveSource interface {
	readable
	migrate.Knower
}

type archiveSink interface {
	archiveSource
	writable
}

func newTimedIMAP(s *imap.Session, part *span) *timedIMAP {
	return &timedIMAP{wholeIMAP{s}, timedReading{s, part}, timedWriting{s, part}, timedRemote{s, part}, part}
}

func newTimedPOP3(s *pop3.Session, part *span) *timedPOP3 {
	return &timedPOP3{wholePOP3{s}, timedReading{s, part}, timedRemote{s, part}}
}

func (t *timedIMAP) Changes(ctx context.Context, mbox migrate.Path, since migrate.Status) iter.Seq2[migrate.Change, error] {
	return timedSeq(t.part, t.Session.Changes(ctx, mbox, since))
}

func (t *timedIMAP) CreateAll(ctx context.Context, mailboxes []migrate.Mailbox) []error {
	defer t.part.since(time.Now())
	return t.Session.CreateAll(ctx, mailboxes)
}

func (t *timedIMAP) Next(ctx context.Context, mbox migrate.Path) (migrate.Key, error) {
	defer t.part.since(time.Now())
	return t.Session.Next(ctx, mbox)
}

// readable is what every end can do.
type readable interface {
	migrate.Source
	migrate.Statuser
	migrate.HeaderReader
}

type timedReading struct {
	end  readable
	part *span
}

func (t timedReading) Mailboxes(ctx context.Context) ([]migrate.Mailbox, error) {
	defer t.part.since(time.Now())
	return t.end.Mailboxes(ctx)
}

func (t timedReading) Status(ctx context.Context, mbox migrate.Path) (migrate.Status, error) {
	defer t.part.since(time.Now())
	return t.end.Status(ctx, mbox)
}

func (t timedReading) Messages(ctx context.Context, mbox migrate.Path) iter.Seq2[migrate.Message, error] {
	return timedSeq(t.part, t.end.Messages(ctx, mbox))
}

func (t timedReading) Headers(ctx context.Context, mbox migrate.Path, messages []migrate.Message) iter.Seq2[migrate.Header, error] {
	return timedSeq(t.part, t.end.Headers(ctx, mbox, messages))
}

func (t timedReading) Fetch(ctx context.Context, mbox migrate.Path, messages []migrate.Message) iter.Seq2[migrate.Fetched, error] {
	return timedFetch(t.part, t.end.Fetch(ctx, mbox, messages))
}

func (t timedReading) Close() error {
	defer t.part.since(time.Now())
	return t.end.Close()
}

// writable is what an end of a run can do that mail goes to.
type writable interface {
	migrate.Sink
	migrate.Flagger
}

type timedWriting struct {
	end  writable
	part *span
}

func (t timedWriting) Create(ctx context.Context, mbox migrate.Mailbox) error {
	defer t.part.since(time.Now())
	return t.end.Create(ctx, mbox)
}

func (t timedWriting) Append(ctx context.Context, mbox migrate.Path, m migrate.Message, body migrate.Body) error {
	return timedAppend(t.part, body, func(body migrate.Body) error { return t.end.Append(ctx, mbox, m, body) })
}

func (t timedWriting) Commit(ctx context.Context) ([]migrate.Stored, error) {
	defer t.part.since(time.Now())
	return t.end.Commit(ctx)
}

func (t timedWriting) SetFlags(ctx context.Context, mbox migrate.Path, changes []migrate.FlagChange) error {
	defer t.part.since(time.Now())
	return t.end.SetFlags(ctx, mbox, changes)
}

// remote is what servers can do besides.
type remote interface {
	migrate.Foreseer
	migrate.Remover
}

type timedRemote struct {
	end  remote
	part *span
}

func (t timedRemote) ListAhead(ctx context.Context, next []migrate.Listing) {
	defer t.part.since(time.Now())
	t.end.ListAhead(ctx, next)
}

func (t timedRemote) FetchAhead(ctx context.Context, mbox migrate.Path, messages []migrate.Message) {
	defer t.part.since(time.Now())
	t.end.FetchAhead(ctx, mbox, messages)
}

func (t timedRemote) Remove(ctx context.Context, mbox migrate.Path, messages []migrate.Doomed) (migrate.Removal, error) {
	defer t.part.since(time.Now())
	return t.end.Remove(ctx, mbox, messages)
}
