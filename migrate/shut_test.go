package migrate_test

import (
	"context"
	"errors"
	"testing"

	"postcask/migrate"
	"postcask/migrate/memory"
)

// TestADestinationMailboxThatDoesNotOpen has a mailbox there that refuses to be opened: its messages stay behind with the
// server's words, told once, and the others go on; when it opens again, the next run completes it.
func TestADestinationMailboxThatDoesNotOpen(t *testing.T) {
	for name, refusal := range map[string]error{
		"not allowed": &migrate.Error{Kind: migrate.Refused, Err: errors.New("open mailbox: NO [NOPERM] Permission denied")},
		"corrupt":     errors.New("open mailbox: NO [SERVERBUG] Index is broken"),
	} {
		for _, lanes := range []int{1, 3} {
			t.Run(name, func(t *testing.T) {
				from, to, ledger := filled(), memory.New(), &memory.Ledger{}
				to.Make(migrate.Mailbox{Path: "Sent"})
				to.Put("Sent", migrate.Message{}, []byte("its own"))
				shut := true
				j := job(from, to, ledger)
				j.Options.Lanes = lanes
				j.OpenSink = func(ctx context.Context) (migrate.Sink, error) {
					session, err := to.Open(ctx)
					return &touchy{Session: session, messages: func(path migrate.Path) error {
						if path == "Sent" && shut {
							return refusal
						}
						return nil
					}}, err
				}
				var warned, left []string
				j.Options.Report = func(e migrate.Event) {
					if e.Type == migrate.EventWarning {
						warned = append(warned, e.Err.Error())
					}
					if e.Outcome == migrate.Left {
						left = append(left, e.Err.Error())
					}
				}
				summary := mustRun(t, j)
				if summary.Failed != 5 || summary.Copied != 10 || summary.MailboxesFailed != 1 || summary.Mailboxes != 5 {
					t.Errorf("%+v", summary)
				}
				if want := `destination: "Sent": ` + refusal.Error(); len(warned) != 1 || warned[0] != want {
					t.Errorf("told %q, want %q", warned, want)
				}
				if len(left) != 5 || left[0] != `destination: "Sent", UID 1: `+refusal.Error() {
					t.Errorf("left behind: %q", left)
				}
				shut = false
				to.Remove("Sent", keysOf(to, "Sent")...)
				if summary := mustRun(t, j); summary.Copied != 5 {
					t.Errorf("when it opens: %+v", summary)
				}
				same(t, to, from)
			})
		}
	}
}
