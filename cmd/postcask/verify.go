package main

import (
	"context"
	"fmt"
	"time"

	"github.com/dustin/go-humanize"
	"github.com/spf13/cobra"

	"postcask/archive"
	"postcask/migrate"
	"postcask/migrate/wire"
)

// verifyOptions are the flags of verify.
type verifyOptions struct {
	against        string
	filter         filterOptions
	mapping        migrate.Mapping
	password       passwordFlags
	maxRetries     int
	timeout        time.Duration
	allowPlaintext bool
}

func (c *cli) verifyCommand() *cobra.Command {
	var o verifyOptions
	cmd := &cobra.Command{
		Use:   "verify ARCHIVE",
		Short: "Prove that an archive is whole, and that a server's mail is in it",
		Long: `Read every stored octet again and compare it with what came from the server. What is damaged is named, folder and
message, one a line; the exit status is then 10.

With --against the messages of a server are looked up in the archive too, and each one that is not there, intact, is
named; the exit status is then 9, or 3 where a folder could not be opened. Only when that says "every one" may the
account be closed. Nothing is changed on either side. Give the flags that choose and map mail as the backup had them.`,
		Example: `  postcask verify mail
  postcask verify mail --against imaps://me%40old.example@imap.old.example
  postcask verify mail --against work: --exclude '\Trash' --exclude '\Junk'`,
		Args: arguments("ARCHIVE"),
		RunE: func(cmd *cobra.Command, args []string) error {
			return c.verify(cmd.Context(), args[0], &o)
		},
	}
	flags := cmd.Flags()
	flags.SortFlags = false
	flags.StringVar(&o.against, "against", "", "a `SERVER` whose every message has to be in the archive")
	o.filter.bind(flags)
	bindMapping(flags, &o.mapping)
	bindRetries(flags, &o.maxRetries)
	bindServer(flags, &o.timeout, &o.allowPlaintext)
	o.password.bind(cmd, "source", true)
	return cmd
}

func (c *cli) verify(ctx context.Context, dir string, o *verifyOptions) error {
	if err := checkTimeout(o.timeout); err != nil {
		return err
	}
	if err := checkRetries(o.maxRetries); err != nil {
		return err
	}
	where, err := c.endpoint(dir, o.allowPlaintext)
	if err != nil {
		return err
	}
	if err := wantArchive(where, "archive", "postcask verify ARCHIVE --against SERVER compares with a server"); err != nil {
		return err
	}
	if err := o.filter.check(); err != nil {
		return err
	}
	if o.against == "" && (o.filter.narrows() || len(o.mapping.Moves) > 0 || o.mapping.Under != "") {
		return misuse("an archive is always verified as a whole", "the flags that choose mail belong to --against")
	}
	var from *server
	if o.against != "" {
		against, err := c.endpoint(o.against, o.allowPlaintext)
		if err != nil {
			return err
		}
		if err := wantServer(against, "source", "--against names a server"); err != nil {
			return err
		}
		if from, err = c.server(ctx, "source", against, o.password, o.timeout); err != nil {
			return err
		}
	}
	store, err := archive.Open(ctx, where.dir, archive.Options{ReadOnly: true})
	if err != nil {
		return err
	}
	v := &verification{cli: c, dir: where.dir, store: store, damaged: map[place]bool{}, began: time.Now()}
	err = v.all(ctx, where, from, o)
	return c.keep(err, store.Close())
}

// A verification is the state of one verify.
type verification struct {
	*cli
	dir     string
	store   *archive.Archive
	began   time.Time
	totals  archive.Totals
	damaged map[place]bool
	against *endpoint // nil without
	found   migrate.Comparison
	unsure  int64 // of the missing, those that could not be told
}

// place names a message of the archive.
type place struct {
	mailbox migrate.Path
	key     migrate.Key
}

func (v *verification) all(ctx context.Context, where *endpoint, from *server, o *verifyOptions) (err error) {
	v.term.place("verify: reading " + v.dir)
	if v.totals, err = v.store.Verify(ctx, v.problem); err != nil {
		return err
	}
	if from != nil {
		v.against = from.end
		v.term.place("verify: comparing with " + from.end.String())
		if err := v.compare(ctx, where, from, o); err != nil {
			return err
		}
	}
	return v.end()
}

// compare looks up each message of the server.
func (v *verification) compare(ctx context.Context, where *endpoint, from *server, o *verifyOptions) error {
	known, err := v.store.Ledger(ctx, from.end.String())
	if err != nil {
		return err
	}
	job := migrate.Job{
		Source: from.end.end("source"), Destination: where.end("archive"),
		OpenSource: from.source,
		OpenSink:   func(context.Context) (migrate.Sink, error) { return v.store.Sink(), nil },
		Ledger:     known,
		Options:    migrate.Options{Filter: o.filter.filter(), Mapping: o.mapping, MaxRetries: engineRetries(o.maxRetries), Report: v.event},
	}
	damaged := func(dest migrate.Path, key migrate.Key) bool { return v.damaged[place{dest, key}] }
	v.found, err = migrate.Compare(ctx, job, damaged, v.missing)
	return err
}

// event tells of a lost connection, as a run does.
func (v *verification) event(e migrate.Event) {
	r := report{term: v.term, command: "verify"}
	r.event(e)
}

// problem tells of something wrong in the archive.
func (v *verification) problem(p archive.Problem) {
	if p.What != archive.Unnamed {
		v.damaged[place{p.Mailbox, p.Key}] = true
	}
	if v.term.json {
		line := problemLine{Type: "problem", Problem: string(p.What), Mailbox: p.Mailbox, ID: p.Key.Name, MessageID: p.MessageID, File: p.File}
		if p.Err != nil {
			line.Message = p.Err.Error()
		}
		v.term.object(line)
		return
	}
	text := string(p.What) + ":"
	if p.Mailbox != "" {
		text += fmt.Sprintf(" %q", p.Mailbox)
	}
	if !p.Key.IsZero() {
		text += ", message " + p.Key.Name
	}
	if p.MessageID != "" {
		text += " " + p.MessageID
	}
	if p.File != "" {
		text += fmt.Sprintf(", file %q", p.File)
	}
	if p.Err != nil {
		text += ": " + p.Err.Error()
	}
	if p.What == archive.Unnamed && v.term.quiet {
		return // no message is the worse for it
	}
	v.term.print(wire.Clean(text))
}

// missing tells of a message of the server that the archive lacks, or of a mailbox that could not be compared.
func (v *verification) missing(m migrate.Missing) {
	if m.Message.Key.IsZero() {
		if v.term.json {
			v.term.object(troubleLine{Type: "warning", Mailbox: m.Mailbox, Message: m.Err.Error()})
		} else {
			v.term.print(wire.Clean("not compared: " + m.Err.Error()))
		}
		return
	}
	if m.Err != nil {
		v.unsure++
	}
	if v.term.json {
		line := missingLine{Type: "missing", Mailbox: m.Mailbox, messageJSON: describe(m.Message)}
		if m.Err != nil {
			line.Message = m.Err.Error()
		}
		v.term.object(line)
		return
	}
	text := fmt.Sprintf("not in the archive: %q", m.Mailbox)
	text += ", " + m.Message.Key.String()
	if !m.Message.InternalDate.IsZero() {
		text += m.Message.InternalDate.Format(", of 2006-01-02 15:04")
	}
	if m.Message.Size > 0 {
		text += ", " + octets(m.Message.Size)
	}
	if m.Err != nil {
		text += ": " + m.Err.Error()
	}
	v.term.print(wire.Clean(text))
}

// end says what it came to.
func (v *verification) end() error {
	status := exitDone
	switch {
	case v.totals.Damaged > 0:
		status = exitDamaged
	case v.found.Missing > 0:
		status = exitDiffers
	case v.found.MailboxesFailed > 0:
		status = exitIncomplete
	}
	if v.term.json {
		v.term.object(v.summary(status))
	} else if !v.term.quiet || status != exitDone {
		v.term.print("verify: " + v.words())
		if v.against != nil {
			v.term.print("verify: " + v.answer())
		}
	}
	if status != exitDone {
		return verdict(status)
	}
	return nil
}

func (v *verification) words() string {
	text := fmt.Sprintf("%s in %s, %s, read again: ", plural(v.totals.Messages, "message", "messages"),
		plural(v.totals.Mailboxes, "mailbox", "mailboxes"), octets(v.totals.Octets))
	if v.totals.Damaged == 0 {
		text += "all intact"
	} else {
		text += humanize.Comma(v.totals.Damaged) + " damaged"
	}
	if v.totals.Unnamed > 0 {
		text += fmt.Sprintf("; %s of octets that no message names", plural(v.totals.Unnamed, "stretch", "stretches"))
	}
	return text
}

// answer is what the user came for.
func (v *verification) answer() string {
	n, missing, failed := v.found.Messages, v.found.Missing, plural(v.found.MailboxesFailed, "mailbox", "mailboxes")
	switch {
	case v.found.MailboxesFailed > 0 && missing > 0:
		return fmt.Sprintf("%s could not be compared; of %s in the others %s %s not in the archive", failed, plural(n, "message", "messages"), humanize.Comma(missing), isAre(missing))
	case v.found.MailboxesFailed > 0:
		return fmt.Sprintf("%s could not be compared; the others have %s, and no more is proven than that those are in the archive", failed, plural(n, "message", "messages"))
	case missing > 0 && v.unsure == missing:
		return fmt.Sprintf("%s of %s on the server could not be looked up", humanize.Comma(missing), plural(n, "message", "messages"))
	case missing > 0:
		return fmt.Sprintf("%s of %s on the server %s not in the archive; run postcask backup and verify again", humanize.Comma(missing), plural(n, "message", "messages"), isAre(missing))
	case n == 0:
		return "there are no messages on the server"
	}
	return fmt.Sprintf("every one of %s on the server is in the archive", plural(n, "message", "messages"))
}

func isAre(n int64) string {
	if n == 1 {
		return "is"
	}
	return "are"
}

type problemLine struct {
	Type      string       `json:"type"`
	Problem   string       `json:"problem"` // missing, changed, misplaced, unreadable, unnamed
	Mailbox   migrate.Path `json:"mailbox,omitempty"`
	ID        string       `json:"id,omitempty"`
	MessageID string       `json:"message_id,omitempty"`
	File      string       `json:"file,omitempty"`
	Message   string       `json:"message,omitempty"`
}

type missingLine struct {
	Type    string       `json:"type"`
	Mailbox migrate.Path `json:"mailbox"`
	messageJSON
	Message string `json:"message,omitempty"`
}

type verifySummary struct {
	Type      string `json:"type"`
	Exit      int    `json:"exit"`
	Archive   string `json:"archive"`
	Mailboxes int64  `json:"mailboxes"`
	Messages  int64  `json:"messages"`
	Octets    int64  `json:"octets"`
	Damaged   int64  `json:"damaged"`
	Unnamed   int64  `json:"unnamed"`

	Against *againstSummary `json:"against,omitempty"`
	Seconds float64         `json:"seconds"`
}

type againstSummary struct {
	Source string `json:"source"`
	migrate.Comparison
}

func (v *verification) summary(status int) verifySummary {
	sum := verifySummary{Type: "summary", Exit: status, Archive: v.dir, Mailboxes: v.totals.Mailboxes, Messages: v.totals.Messages,
		Octets: v.totals.Octets, Damaged: v.totals.Damaged, Unnamed: v.totals.Unnamed, Seconds: thousandths(time.Since(v.began).Seconds())}
	if v.against != nil {
		sum.Against = &againstSummary{v.against.String(), v.found}
	}
	return sum
}
