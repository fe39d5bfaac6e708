package migrate_test

import (
	"context"
	"errors"
	"testing"

	"postcask/migrate"
	"postcask/migrate/memory"
)

// TestCompareGoesOnBehindAMailboxThatDoesNotOpen has mailboxes of either end that cannot be opened, or break each
// connection: they are told of, the rest is compared, and a day's limit ends it all the same.
func TestCompareGoesOnBehindAMailboxThatDoesNotOpen(t *testing.T) {
	refused := errors.New("open mailbox: NO [NOPERM] Permission denied")
	limit := migrate.Errorf(migrate.Limit, "NO [OVERQUOTA] Account exceeded bandwidth limits")
	for name, test := range map[string]struct {
		source, destination error
		all                 bool
		compared            int
		told                string
		kind                migrate.Kind
	}{
		"at the source":            {refused, nil, false, 3, `source: "Sent": open mailbox: NO [NOPERM] Permission denied`, 0},
		"breaks each connection":   {broken, nil, false, 3, `source: "Sent": unexpected EOF`, 0},
		"all break the connection": {broken, nil, true, 0, "", migrate.Unavailable},
		"at the destination":       {nil, refused, false, 3, `destination: "Sent": open mailbox: NO [NOPERM] Permission denied`, 0},
		"a day's limit":            {limit, nil, false, 0, "", migrate.Limit},
	} {
		t.Run(name, func(t *testing.T) {
			from, to, ledger := filled(), memory.New(), &memory.Ledger{}
			mustRun(t, job(from, to, ledger))
			from.Put("Work/2020", migrate.Message{}, []byte("new"))
			shut := func(err error) func(migrate.Path) error {
				return func(path migrate.Path) error {
					if path == "Sent" || test.all {
						return err
					}
					return nil
				}
			}
			j := job(from, to, ledger)
			j.OpenSource = func(ctx context.Context) (migrate.Source, error) {
				session, err := from.Open(ctx)
				return &touchy{Session: session, messages: shut(test.source)}, err
			}
			j.OpenSink = func(ctx context.Context) (migrate.Sink, error) {
				session, err := to.Open(ctx)
				return &touchy{Session: session, messages: shut(test.destination)}, err
			}
			var told []string
			result, err := migrate.Compare(t.Context(), j, nil, func(m migrate.Missing) {
				if m.Message.Key.IsZero() {
					told = append(told, m.Err.Error())
				}
			})
			if test.told == "" {
				if migrate.KindOf(err) != test.kind {
					t.Errorf("%+v, %v", result, err)
				}
				return
			}
			if err != nil || result.MailboxesFailed != 1 || result.Mailboxes != test.compared || result.Missing != 1 || result.Messages != 11 || len(told) != 1 || told[0] != test.told {
				t.Errorf("%+v, %v; told %q, want %q", result, err, told, test.told)
			}
		})
	}
}

func TestAFolderThatMatchesNothingIsTold(t *testing.T) {
	from, to, ledger := filled(), memory.New(), &memory.Ledger{}
	j := job(from, to, ledger)
	j.Options.Filter.Rules = []migrate.Rule{migrate.NewRule("Snet", false), migrate.NewRule("INBOX", false), migrate.NewRule(`\Junk`, false),
		migrate.NewRule("wrok*", true), migrate.NewRule("work", false), migrate.NewRule("Work", false), migrate.NewRule("Work/2020", true)}
	var told []string
	j.Options.Report = func(e migrate.Event) {
		if e.Type == migrate.EventWarning {
			told = append(told, e.Err.Error())
		}
	}
	summary := mustRun(t, j)
	if summary.MailboxesFailed != 3 || summary.Copied != 5 || len(told) != 3 || told[0] != `source: no mailbox matches --folder "Snet"; postcask ls shows their names` {
		t.Errorf("%+v, told %q", summary, told)
	}
	var missing []migrate.Missing
	result, err := migrate.Compare(t.Context(), j, nil, func(m migrate.Missing) { missing = append(missing, m) })
	if err != nil || result.MailboxesFailed != 3 || len(missing) != 3 || missing[0].Err.Error() != told[0] {
		t.Errorf("%+v, %v, %v", result, missing, err)
	}
}
