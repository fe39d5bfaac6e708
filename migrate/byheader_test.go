package migrate_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"postcask/migrate"
	"postcask/migrate/memory"
)

// letters gives a store with n messages, all of one size, that differ in their Message-ID.
func letters(n int) *memory.Store {
	s := memory.New()
	for i := range n {
		s.Put("INBOX", migrate.Message{InternalDate: day, Flags: migrate.NewFlags(`\Seen`)},
			fmt.Appendf(nil, "Subject: folded\r\n here\r\nMessage-ID: <%04d@example.org>\r\nX-Other: %04d\r\n\r\nbody\r\n", i, i))
	}
	return s
}

// backup runs from a store into one that knows what it holds, and tells how many times bodies were asked for.
func backup(t *testing.T, from, to *memory.Store, ledger migrate.Ledger) (migrate.Summary, int) {
	t.Helper()
	fetches := 0
	from.Step = func(operation string) error {
		if operation == "body" {
			fetches++
		}
		return nil
	}
	j := job(from, to, ledger)
	j.OpenSink = func(context.Context) (migrate.Sink, error) { return to.OpenKnowing(), nil }
	return mustRun(t, j), fetches
}

func TestNothingIsDownloadedAgainWhenSizeAndHeaderSettleIt(t *testing.T) {
	for name, happens := range map[string]func(from *memory.Store, ledger *memory.Ledger){
		"the source renumbers": func(from *memory.Store, _ *memory.Ledger) { from.Renumber("INBOX") },
		"the ledger is lost":   func(_ *memory.Store, ledger *memory.Ledger) { *ledger = memory.Ledger{} },
		"both, and UIDVALIDITY 0": func(from *memory.Store, ledger *memory.Ledger) {
			*ledger = memory.Ledger{}
			from.Revalidate("INBOX", 0)
		},
		"the same UIDs, but newer": func(from *memory.Store, _ *memory.Ledger) { from.Revalidate("INBOX", 77) },
	} {
		t.Run(name, func(t *testing.T) {
			from, to, ledger := letters(1100), memory.New(), &memory.Ledger{}
			if first, bodies := backup(t, from, to, ledger); first.Copied != 1100 || bodies != 1100 {
				t.Fatalf("first run: %+v, %d bodies", first, bodies)
			}
			happens(from, ledger)
			key := from.Messages("INBOX")[7].Key
			from.SetFlags("INBOX", key, migrate.NewFlags(`\Flagged`))
			from.Put("INBOX", migrate.Message{InternalDate: day}, []byte("Message-ID: <new@example.org>\r\n\r\n"))
			summary, bodies := backup(t, from, to, ledger)
			if bodies != 1 || summary.Copied != 1 || summary.Present != 1100 {
				t.Errorf("%+v, %d bodies", summary, bodies)
			}
			same(t, to, from)
			if again, bodies := backup(t, from, to, ledger); bodies != 0 || again.Present != 1101 || again.FlagsUpdated != 0 {
				t.Errorf("the run after: %+v, %d bodies", again, bodies)
			}
		})
	}
}

// TestTwinsAreToldByTheirOctets has messages of one size and header, two of the same octets and one of others: none is
// taken for another.
func TestTwinsAreToldByTheirOctets(t *testing.T) {
	const header = "Message-ID: <twin@example.org>\r\n\r\n"
	from, to := memory.New(), memory.New()
	from.Put("INBOX", migrate.Message{InternalDate: day}, []byte(header+"one\r\n"))
	backup(t, from, to, &memory.Ledger{})
	from.Put("INBOX", migrate.Message{InternalDate: day}, []byte(header+"two\r\n"))
	from.Put("INBOX", migrate.Message{InternalDate: day}, []byte(header+"one\r\n"))
	from.Renumber("INBOX")
	summary, _ := backup(t, from, to, &memory.Ledger{})
	if summary.Present != 1 || summary.Copied != 2 {
		t.Errorf("%+v", summary)
	}
	same(t, to, from)
}

func TestMailWithoutMessageIDIsToldByItsOctets(t *testing.T) {
	from, to := memory.New(), memory.New()
	from.Put("INBOX", migrate.Message{InternalDate: day}, []byte("Subject: x\r\n\r\none\r\n"))
	to.Put("INBOX", migrate.Message{InternalDate: day}, []byte("Subject: x\r\n\r\ntwo\r\n"))
	if summary, bodies := backup(t, from, to, &memory.Ledger{}); summary.Copied != 1 || bodies == 0 {
		t.Errorf("%+v, %d bodies", summary, bodies)
	}
}

// TestARecognisingRunCutAnywhere cuts a run that recognises by headers at step n of either end, for every n.
func TestARecognisingRunCutAnywhere(t *testing.T) {
	for _, failure := range []error{&migrate.Error{Kind: migrate.Unavailable, Err: errors.New("lost")}, errors.New("dead")} {
		for _, sourceFails := range []bool{true, false} {
			for n := 1; ; n++ {
				from, to, ledger := letters(9), memory.New(), &memory.Ledger{}
				backup(t, from, to, ledger)
				from.Renumber("INBOX")
				step, broke := 0, ""
				end := to
				from.Step = nil
				if sourceFails {
					end = from
				}
				end.Step = func(operation string) error {
					if step++; step == n {
						broke = operation
						return failure
					}
					return nil
				}
				j := job(from, to, ledger)
				j.OpenSink = func(context.Context) (migrate.Sink, error) { return to.OpenKnowing(), nil }
				summary, err := migrate.Run(t.Context(), j)
				if broke == "" {
					if n < 3 {
						t.Fatalf("only %d steps", n)
					}
					break
				}
				if migrate.IsTemporary(failure) && (err != nil || summary.Present != 9 || summary.Messages != 9) {
					t.Errorf("cut at step %d (%s): %+v, %v", n, broke, summary, err)
				}
				end.Step = nil
				mustRun(t, j)
				same(t, to, from)
				if t.Failed() {
					t.Fatalf("cut at step %d (%s)", n, broke)
				}
			}
		}
	}
}

func TestAUIDThatIsGivenToAnotherMessage(t *testing.T) {
	for name, change := range map[string]struct {
		date int
		body string
		kept int64 // new versions
	}{
		"other octets, other size":         {0, "another body\r\n", 1},
		"other octets, other date":         {3601, "BODY\r\n", 1},
		"the same octets, another date":    {61, "body\r\n", 0},
		"the same octets, an hour is lost": {3600, "body\r\n", 0},
	} {
		t.Run(name, func(t *testing.T) {
			from, to, ledger := memory.New(), memory.New(), &memory.Ledger{}
			from.Put("INBOX", migrate.Message{InternalDate: day}, []byte("Subject: x\r\n\r\nbody\r\n"))
			from.Put("INBOX", migrate.Message{InternalDate: day}, []byte("Subject: y\r\n\r\nbody\r\n"))
			mustRun(t, job(from, to, ledger))
			key := from.Messages("INBOX")[0].Key
			from.Replace("INBOX", key, migrate.Message{InternalDate: day.Add(time.Duration(change.date) * time.Second)}, []byte("Subject: x\r\n\r\n"+change.body))
			var told []string
			j := job(from, to, ledger)
			j.Options.Report = func(e migrate.Event) {
				if e.Type == migrate.EventWarning {
					told = append(told, e.Err.Error())
				}
			}
			summary := mustRun(t, j)
			if summary.Copied != change.kept || summary.Present != 2-change.kept || int64(len(told)) != change.kept {
				t.Errorf("%+v, told %q", summary, told)
			}
			if change.kept > 0 && !strings.Contains(told[0], `source: "INBOX", UID 1: the server gives another message`) {
				t.Errorf("told %q", told)
			}
			if got := int64(len(to.Messages("INBOX"))); got != 2+change.kept {
				t.Errorf("%d messages at the destination", got)
			}
			if again := mustRun(t, j); again.Copied != 0 || again.Present != 2 || int64(len(told)) != change.kept {
				t.Errorf("the run after: %+v, told %q", again, told)
			}
		})
	}
}
