package main

import (
	"math"
	"time"

	"postcask/migrate"
)

// The JSON lines of a run, docs/scripting.md. Fields may be added, never renamed or removed. What a server named is
// exact here; a terminal gets it cleaned.

type startLine struct {
	Type        string `json:"type"`
	Command     string `json:"command"`
	Source      string `json:"source"`
	Destination string `json:"destination"`
	DryRun      bool   `json:"dry_run"`
	Version     string `json:"version"`
}

type mailboxLine struct {
	Type        string       `json:"type"`
	Mailbox     migrate.Path `json:"mailbox"`
	Destination migrate.Path `json:"destination"`
	migrate.Counts
}

type messageLine struct {
	Type        string       `json:"type"`
	Mailbox     migrate.Path `json:"mailbox"`
	Destination migrate.Path `json:"destination"`
	messageJSON
	Outcome migrate.Outcome `json:"outcome"`
	Error   string          `json:"error,omitempty"`
	Dropped []string        `json:"dropped,omitempty"`
}

// messageJSON names a message and tells what is known of it without its body.
type messageJSON struct {
	UID         uint32        `json:"uid,omitempty"`
	UIDValidity uint32        `json:"uidvalidity,omitempty"`
	ID          string        `json:"id,omitempty"` // UIDL, or number in an archive
	Size        *int64        `json:"size,omitempty"`
	Date        string        `json:"date,omitempty"` // internal date, RFC 3339
	Flags       migrate.Flags `json:"flags"`
}

func describe(m migrate.Message) messageJSON {
	line := messageJSON{UID: m.Key.UID, UIDValidity: m.Key.Validity, ID: m.Key.Name, Flags: m.Flags}
	if m.Flags == nil {
		line.Flags = migrate.Flags{}
	}
	if m.Size >= 0 {
		line.Size = &m.Size
	}
	if !m.InternalDate.IsZero() {
		line.Date = m.InternalDate.Format(time.RFC3339)
	}
	return line
}

type troubleLine struct {
	Type    string       `json:"type"`
	Mailbox migrate.Path `json:"mailbox,omitempty"`
	Message string       `json:"message"`
	Delay   *float64     `json:"delay,omitempty"` // seconds
}

type progressLine struct {
	Type           string       `json:"type"`
	Mailbox        migrate.Path `json:"mailbox"`
	Mailboxes      int          `json:"mailboxes"`
	MailboxesTotal int          `json:"mailboxes_total"`
	Messages       int64        `json:"messages"`
	MessagesTotal  int64        `json:"messages_total"`
	Octets         int64        `json:"octets"`
	OctetsTotal    int64        `json:"octets_total"`
}

// summaryLine is the last line of a run: of type summary, or of type error with a message.
type summaryLine struct {
	Type        string `json:"type"`
	Exit        int    `json:"exit"`
	Message     string `json:"message,omitempty"`
	Hint        string `json:"hint,omitempty"`
	Command     string `json:"command"`
	Source      string `json:"source"`
	Destination string `json:"destination"`
	DryRun      bool   `json:"dry_run"`
	migrate.Summary
	Seconds           float64 `json:"seconds"`
	MessagesPerSecond float64 `json:"messages_per_second"`

	Times *timesJSON `json:"times,omitempty"` // with -v
}

// errorLine is the last line of a command that ended before it had anything to count.
type errorLine struct {
	Type    string `json:"type"`
	Exit    int    `json:"exit"`
	Message string `json:"message"`
	Hint    string `json:"hint,omitempty"`
}

func (r *report) eventJSON(e migrate.Event) {
	switch e.Type {
	case migrate.EventWarning:
		r.term.object(troubleLine{Type: "warning", Mailbox: e.Mailbox, Message: errorText(e.Err)})
		return
	case migrate.EventMessage:
		wrong := e.Outcome == migrate.Left || e.Outcome == migrate.Quarantined
		if r.term.verbose == 0 && !wrong {
			return
		}
		line := messageLine{Type: "message", Mailbox: e.Mailbox, Destination: e.Destination, messageJSON: describe(e.Message), Outcome: e.Outcome, Dropped: e.Dropped}
		if e.Err != nil {
			line.Error = e.Err.Error()
		}
		r.term.object(line)
		return
	}
	if r.term.quiet {
		return
	}
	switch e.Type {
	case migrate.EventMailbox:
		r.term.object(mailboxLine{Type: "mailbox", Mailbox: e.Mailbox, Destination: e.Destination, Counts: e.Counts})
	case migrate.EventRetry:
		delay := thousandths(e.Delay.Seconds())
		r.term.object(troubleLine{Type: "retry", Message: errorText(e.Err), Delay: &delay})
	case migrate.EventProgress:
		if now := time.Now(); now.Sub(r.told) >= progressPause {
			r.told = now
			p := e.Progress
			r.term.object(progressLine{"progress", p.Mailbox, p.Mailboxes, p.MailboxesTotal, p.Messages, p.MessagesTotal, p.Octets, p.OctetsTotal})
		}
	}
}

func (r *report) summaryLine(sum migrate.Summary, status int, err error, hint string) summaryLine {
	line := summaryLine{Type: "summary", Exit: status, Command: r.command, Source: r.source, Destination: r.destination, DryRun: r.dryRun,
		Summary: sum, Seconds: thousandths(sum.Elapsed.Seconds()), MessagesPerSecond: thousandths(perSecond(sum))}
	if r.timing != nil {
		line.Times = r.timing.times()
	}
	if err != nil {
		line.Type, line.Message, line.Hint = "error", errorText(err), hint
	}
	return line
}

func thousandths(x float64) float64 { return math.Round(x*1000) / 1000 }
