package main

import (
	"fmt"
	"math"
	"strings"
	"time"

	"github.com/dustin/go-humanize"

	"postcask/migrate"
)

// A report tells of one run: as JSON lines, as a bar, or as lines.
type report struct {
	term                         *terminal
	command, source, destination string
	dryRun                       bool
	aside                        string // where messages that could not move are kept; may be empty

	last   migrate.Progress
	worked bool      // the ends are open
	told   time.Time // when the last progress line was printed
	timing *timing   // nil where nobody asked
}

// progressPause is the time between two progress lines of JSON.
const progressPause = time.Second

func (r *report) begin() {
	r.term.place(r.command + ": connecting")
	if r.term.json {
		if !r.term.quiet {
			r.term.object(startLine{Type: "start", Command: r.command, Source: r.source, Destination: r.destination, DryRun: r.dryRun, Version: version})
		}
		return
	}
	if r.term.wantsBar() {
		r.term.showBar(newBar(r.term.stderr))
	}
}

// event is told by the engine, by one goroutine at a time.
func (r *report) event(e migrate.Event) {
	r.worked = true
	if e.Type == migrate.EventProgress {
		now := e.Progress // what the function keeps goes to the heap: not the whole event, which comes for every message
		r.last = now
		r.term.progress(func() string { return placeOf(r.command, now) }, now)
	}
	if r.term.json {
		r.eventJSON(e)
		return
	}
	switch e.Type {
	case migrate.EventMailbox:
		r.mailbox(e)
	case migrate.EventMessage:
		r.message(e)
	case migrate.EventWarning:
		r.term.warn(errorText(e.Err))
	case migrate.EventRetry:
		r.term.note("%v; trying again in %v", e.Err, e.Delay.Round(100*time.Millisecond))
	}
}

func (r *report) mailbox(e migrate.Event) {
	if r.term.quiet || r.term.hasBar() {
		return
	}
	name := fmt.Sprintf("%q", e.Mailbox)
	if e.Destination != "" && e.Destination != e.Mailbox {
		name += fmt.Sprintf(" to %q", e.Destination)
	}
	r.term.note("%s: %s", name, counted(e.Counts, r.dryRun))
}

func (r *report) message(e migrate.Event) {
	switch e.Outcome {
	case migrate.Left, migrate.Quarantined:
		where := placeIn(e)
		// The error may name the message itself.
		text := errorText(e.Err)
		if !strings.Contains(text, where) {
			text = where + ": " + text
		}
		r.term.warn(text + "; " + map[migrate.Outcome]string{migrate.Left: "left behind", migrate.Quarantined: "quarantined"}[e.Outcome])
	case migrate.Copied, migrate.FlagsUpdated, migrate.Deleted:
		if r.term.verbose > 0 {
			text := map[migrate.Outcome]string{migrate.Copied: "copied", migrate.FlagsUpdated: "flags updated", migrate.Deleted: "deleted at the source"}[e.Outcome]
			if e.Message.Size >= 0 && e.Outcome == migrate.Copied {
				text += ", " + octets(e.Message.Size)
			}
			if len(e.Dropped) > 0 {
				text += ", without " + strings.Join(e.Dropped, " ")
			}
			r.term.note("%s: %s", placeIn(e), text)
		}
	}
}

// placeIn names the message of an event.
func placeIn(e migrate.Event) string { return fmt.Sprintf("%q, %s", e.Mailbox, e.Message.Key) }

// renamed tells of mailboxes that the destination names otherwise: worth knowing, and nothing wrong.
func (r *report) renamed(lines []string) {
	for _, line := range lines {
		if r.term.json && !r.term.quiet {
			r.term.object(troubleLine{Type: "warning", Message: line})
		} else if !r.term.json {
			r.term.note("%s", line)
		}
	}
}

// end prints what a run came to and gives the error to leave with: nil, a verdict, or err told.
func (r *report) end(sum migrate.Summary, err error) error {
	r.term.showBar(nil)
	status := exitStatus(err)
	if err == nil && (sum.Failed > 0 || sum.Quarantined > 0 || sum.MailboxesFailed > 0 || sum.NotDeleted > 0 || sum.FlagsFailed > 0) {
		status = exitIncomplete
	}
	hint := migrate.HintOf(err)
	if err != nil && r.worked && goesOn(status) {
		if hint != "" && r.last.MessagesTotal > 0 {
			hint += "; "
		}
		hint += r.progressHint(sum)
		if !strings.Contains(hint, "run the same command again") {
			hint += "; run the same command again, it goes on from there"
		}
		hint = strings.TrimPrefix(hint, "; ")
	}
	if r.term.json {
		r.term.object(r.summaryLine(sum, status, err, hint))
	} else if err == nil && !r.term.quiet || err != nil && r.worked && !r.term.quiet {
		r.term.print(r.summary(sum, err))
		if r.timing != nil {
			r.term.note("%v", r.timing.times())
		}
	}
	switch {
	case err != nil:
		r.term.fail(err, hint)
		return told{err}
	case status != exitDone:
		if sum.NotDeleted > 0 {
			r.term.warn(fmt.Sprintf("%s: %s could not be deleted at the source", r.command, plural(sum.NotDeleted, "message", "messages")))
		}
		if sum.FlagsFailed > 0 {
			r.term.warn(fmt.Sprintf("%s: %s could not be given new flags at the destination", r.command, plural(sum.FlagsFailed, "message", "messages")))
		}
		if sum.Failed+sum.MailboxesFailed > 0 {
			r.term.warn(fmt.Sprintf("%s: %s and %s were left behind; run the same command again to try them once more",
				r.command, plural(sum.Failed, "message", "messages"), plural(sum.MailboxesFailed, "mailbox", "mailboxes")))
		}
		if sum.Quarantined > 0 {
			text := fmt.Sprintf("%s: %s could not move", r.command, plural(sum.Quarantined, "message", "messages"))
			if r.aside != "" {
				text += ": the reason is in " + r.aside
			}
			r.term.warn(text + "; tried again when something has changed, and after a week")
		}
		return verdict(status)
	}
	return nil
}

// goesOn tells whether running again takes up where a run with this status ended.
func goesOn(status int) bool {
	switch status {
	case exitUnavailable, exitRefused, exitLimit, exitInterrupted:
		return true
	}
	return false
}

func (r *report) progressHint(sum migrate.Summary) string {
	total := max(r.last.MessagesTotal, sum.Copied)
	if total == 0 {
		return ""
	}
	return fmt.Sprintf("%s of %s have arrived",
		humanize.Comma(sum.Copied), plural(total, "new message", "new messages"))
}

// summary puts a run in one line.
func (r *report) summary(sum migrate.Summary, err error) string {
	var b strings.Builder
	b.WriteString(r.command)
	switch {
	case err != nil:
		b.WriteString(" stopped")
	case r.dryRun:
		b.WriteString(" (dry run)")
	}
	fmt.Fprintf(&b, ": %s in %s: %s; %v", plural(sum.Messages, "message", "messages"),
		plural(int64(sum.Mailboxes), "mailbox", "mailboxes"), counted(sum.Counts, r.dryRun), sum.Elapsed.Round(100*time.Millisecond))
	if rate := perSecond(sum); rate >= 1 && !r.dryRun {
		fmt.Fprintf(&b, ", %s messages/s", humanize.Comma(int64(math.Round(rate))))
	}
	if sum.Deleted > 0 {
		fmt.Fprintf(&b, "; %s %s at the source", plural(sum.Deleted, "message", "messages"), map[bool]string{false: "deleted", true: "to delete"}[r.dryRun])
	}
	if sum.KeywordsDropped > 0 {
		fmt.Fprintf(&b, "; %s not kept by the destination", plural(sum.KeywordsDropped, "keyword", "keywords"))
	}
	return b.String()
}

// counted puts counts in words and leaves out what is zero.
func counted(c migrate.Counts, dryRun bool) string {
	copied := "copied"
	if dryRun {
		copied = "to copy"
	}
	text := fmt.Sprintf("%s %s", humanize.Comma(c.Copied), copied)
	if c.Copied > 0 {
		text += fmt.Sprintf(" (%s)", octets(c.Octets))
	}
	for _, part := range []struct {
		n    int64
		name string
	}{{c.Present, "present"}, {c.Filtered, "filtered"}, {c.Quarantined, "quarantined"}, {c.Failed, "left behind"}, {c.FlagsUpdated, "with new flags"}, {c.Unsure, "unsure"}} {
		if part.n > 0 {
			text += fmt.Sprintf(", %s %s", humanize.Comma(part.n), part.name)
		}
	}
	return text
}

func plural(n int64, one, many string) string {
	if n == 1 {
		return "1 " + one
	}
	return humanize.Comma(n) + " " + many
}

func perSecond(sum migrate.Summary) float64 {
	if seconds := sum.Elapsed.Seconds(); seconds > 0 {
		return float64(sum.Copied) / seconds
	}
	return 0
}
