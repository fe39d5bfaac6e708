package main

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"postcask/archive"
)

func (c *cli) doctorCommand() *cobra.Command {
	rebuild := false
	cmd := &cobra.Command{
		Use:   "doctor ARCHIVE",
		Short: "Look what is wrong with an archive, and make its index anew",
		Long: `Check an archive from its index to its last octet, and tell what is wrong and what to do about it. Nothing is changed; the
exit status is 10 where something is wrong.

With --rebuild the index is made anew from the mail alone, where .postcask, its index.db or archive.json is gone or
damaged. The old .postcask is renamed and kept. Files that are not whole, or of other programs, are named; the exit
status is 3 then. The next backup knows what it finds there by its octets and stores nothing twice.`,
		Example: `  postcask doctor mail
  postcask doctor mail --rebuild`,
		Args: arguments("ARCHIVE"),
		RunE: func(cmd *cobra.Command, args []string) error {
			where, err := c.endpoint(args[0], false)
			if err != nil {
				return err
			}
			if err := wantArchive(where, "archive", "postcask ls SERVER looks at a server"); err != nil {
				return err
			}
			d := &diagnosis{cli: c, dir: where.dir, began: time.Now()}
			if rebuild {
				return d.rebuild(cmd.Context())
			}
			return d.look(cmd.Context())
		},
	}
	cmd.Flags().BoolVar(&rebuild, "rebuild", false, "make the index anew from the mail")
	return cmd
}

// A diagnosis is the state of one doctor.
type diagnosis struct {
	*cli
	dir    string
	began  time.Time
	advice []string // each thing to do once, in the order in which it was met
}

// look checks and changes nothing.
func (d *diagnosis) look(ctx context.Context) error {
	store, err := archive.Open(ctx, d.dir, archive.Options{ReadOnly: true})
	if err != nil {
		return err
	}
	d.term.place("doctor: reading " + d.dir)
	v := &verification{cli: d.cli, dir: d.dir, store: store, damaged: map[place]bool{}}
	totals, err := store.Verify(ctx, func(p archive.Problem) {
		v.problem(p)
		d.advise(adviceFor(p, store.Format()))
	})
	if err := d.keep(err, store.Close()); err != nil {
		return err
	}
	return d.end(doctorSummary{Mailboxes: totals.Mailboxes, Messages: totals.Messages, Octets: totals.Octets, Damaged: totals.Damaged, Unnamed: totals.Unnamed},
		map[bool]int{false: exitDone, true: exitDamaged}[totals.Damaged+totals.Unnamed > 0])
}

// rebuild makes the index anew.
func (d *diagnosis) rebuild(ctx context.Context) error {
	d.term.place("doctor: reading " + d.dir)
	v := &verification{cli: d.cli, dir: d.dir, damaged: map[place]bool{}}
	done, err := archive.Rebuild(ctx, d.dir, v.problem)
	if err != nil {
		return err
	}
	sum := doctorSummary{Mailboxes: done.Mailboxes, Messages: done.Messages, Octets: done.Octets, Unnamed: done.Left, Rebuilt: !done.Whole, Kept: done.Kept}
	if !done.Whole {
		d.advise("run the backup again: it finds the flags and stores nothing twice")
	}
	return d.end(sum, map[bool]int{false: exitDone, true: exitIncomplete}[done.Left > 0])
}

// adviceFor tells what to do about a problem.
func adviceFor(p archive.Problem, format archive.Format) string {
	switch p.What {
	case archive.Missing:
		return "run the backup again: what is missing is fetched again if the server still has it"
	case archive.Misplaced:
		return "move the misplaced files back to where they were; else the next backup fetches the messages again"
	case archive.Changed:
		if format == archive.Maildir {
			return "move the changed files away and run the backup again: they are fetched again if the server still has them"
		}
		return "put the changed mbox file back from a copy; if there is none, doctor --rebuild takes the messages as they are now"
	case archive.Unreadable:
		return "look whether the disk is failing, and copy the archive to another one"
	default:
		return "run the backup again: it takes up or sets aside what no message names; files of other programs stay"
	}
}

func (d *diagnosis) advise(text string) {
	for _, known := range d.advice {
		if known == text {
			return
		}
	}
	d.advice = append(d.advice, text)
}

// end says what it came to.
func (d *diagnosis) end(sum doctorSummary, status int) error {
	if d.term.json {
		sum.Type, sum.Exit, sum.Archive, sum.Advice, sum.Seconds = "summary", status, d.dir, d.advice, thousandths(time.Since(d.began).Seconds())
		d.term.object(sum)
	} else if !d.term.quiet || status != exitDone {
		d.term.print("doctor: " + sum.words())
		for _, text := range d.advice {
			d.term.note("to do: %s", text)
		}
	}
	if status != exitDone {
		return verdict(status)
	}
	return nil
}

type doctorSummary struct {
	Type      string   `json:"type"`
	Exit      int      `json:"exit"`
	Archive   string   `json:"archive"`
	Rebuilt   bool     `json:"rebuilt"`
	Kept      string   `json:"kept,omitempty"` // where the old index is, relative to the archive
	Mailboxes int64    `json:"mailboxes"`
	Messages  int64    `json:"messages"`
	Octets    int64    `json:"octets"`
	Damaged   int64    `json:"damaged"`
	Unnamed   int64    `json:"unnamed"`
	Advice    []string `json:"advice,omitempty"`
	Seconds   float64  `json:"seconds"`
}

func (s doctorSummary) words() string {
	text := fmt.Sprintf("%s in %s, %s: ", plural(s.Messages, "message", "messages"), plural(s.Mailboxes, "mailbox", "mailboxes"), octets(s.Octets))
	switch {
	case s.Rebuilt:
		text += "the index was made anew from the mail"
		if s.Unnamed > 0 {
			text += fmt.Sprintf("; %s could not be taken up as it was", plural(s.Unnamed, "piece of mail", "pieces of mail"))
		}
		if s.Kept != "" {
			text += "; the old one is kept as " + s.Kept
		}
	case s.Damaged+s.Unnamed == 0:
		text += "all in good order"
		if s.Kept != "" {
			text += ", with a new archive.json; the old one is kept as " + s.Kept
		}
	default:
		var wrong []string
		if s.Damaged > 0 {
			wrong = append(wrong, plural(s.Damaged, "message is damaged", "messages are damaged"))
		}
		if s.Unnamed > 0 {
			wrong = append(wrong, plural(s.Unnamed, "stretch of octets belongs to no message", "stretches of octets belong to no message"))
		}
		text += strings.Join(wrong, "; ")
	}
	return text
}

// tellRecovered says in one line what opening the archive has put right.
func (c *cli) tellRecovered(store *archive.Archive) {
	found := store.Recovered()
	text := found.String()
	switch {
	case text == "":
	case c.term.json && (!c.term.quiet || found.Lost > 0):
		c.term.object(troubleLine{Type: "warning", Message: text})
	case c.term.json:
	case found.Lost > 0:
		c.term.warn(text)
	default:
		c.term.note("%s", text)
	}
}
