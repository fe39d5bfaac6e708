package main

import (
	"fmt"
	"io"
	"time"

	"github.com/dustin/go-humanize"
	"github.com/schollz/progressbar/v3"

	"postcask/migrate"
	"postcask/migrate/wire"
)

// A bar shows on a terminal how far a run is. Its measure is octets, since messages differ too much in size for an
// estimate of the time that is left.
type bar struct {
	bar   *progressbar.ProgressBar
	moved time.Time
}

// barPause is how long a drawn bar stays as it is.
const barPause = 100 * time.Millisecond

func newBar(w io.Writer) *bar {
	return &bar{bar: progressbar.NewOptions64(1,
		progressbar.OptionSetWriter(w),
		progressbar.OptionThrottle(barPause),
		progressbar.OptionShowBytes(true),
		progressbar.OptionShowTotalBytes(true),
		progressbar.OptionSetPredictTime(true),
		progressbar.OptionSetWidth(20),
		progressbar.OptionClearOnFinish(),
	)}
}

// update moves the bar. The totals are what the source announced: when more has come the total follows, as the bar
// takes a count past its end for an error.
func (b *bar) update(p migrate.Progress) {
	if time.Since(b.moved) < barPause {
		return
	}
	b.moved = time.Now()
	b.bar.ChangeMax64(max(p.OctetsTotal, p.Octets+1)) // one more, so that it never ends before the run does
	b.bar.Describe(fmt.Sprintf("%s %s/%s", shorten(wire.Clean(string(p.Mailbox)), 30), humanize.Comma(p.Messages), humanize.Comma(p.MessagesTotal)))
	b.bar.Set64(p.Octets)
}

// hide takes the bar off the line it is on; its next update draws it again.
func (b *bar) hide() { b.bar.Clear() }

// placeOf says in words how far a run is.
func placeOf(command string, p migrate.Progress) string {
	return fmt.Sprintf("%s: in %q, mailbox %d of %d; %s of %s new messages, %s of %s", command, p.Mailbox,
		p.Mailboxes+1, max(p.MailboxesTotal, p.Mailboxes+1), humanize.Comma(p.Messages), humanize.Comma(p.MessagesTotal),
		octets(p.Octets), octets(p.OctetsTotal))
}

// octets puts a number of octets in words.
func octets(n int64) string { return humanize.Bytes(uint64(max(n, 0))) }
