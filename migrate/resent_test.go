package migrate_test

import (
	"errors"
	"fmt"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"

	"postcask/migrate"
	"postcask/migrate/memory"
)

// twins gives a message each in the mailboxes A and B, of one size and of one Message-ID or none, and a job that moves both
// into X of a server that changes what it takes.
func twins(id string, rewrite func([]byte) []byte) (from, to *memory.Store, ledger *memory.Ledger, j migrate.Job) {
	from, to, ledger = memory.New(), memory.New(), &memory.Ledger{}
	to.Rewrite = rewrite
	for _, path := range []migrate.Path{"A", "B"} {
		from.Put(path, migrate.Message{InternalDate: day}, fmt.Appendf(nil, "%sSubject: m\xe4il to %s\r\n\r\nbody\r\n", id, path))
	}
	j = job(from, to, ledger)
	j.Options.Mapping.Moves = []migrate.Move{{From: "A", To: "X"}, {From: "B", To: "X"}}
	return from, to, ledger, j
}

// intended has the ledger remember that the message of a mailbox was sent to X, when that was empty.
func intended(t *testing.T, ledger *memory.Ledger, path migrate.Path, m memory.Stored, validity uint32) {
	t.Helper()
	entry := migrate.Entry{Key: m.Key, Mailbox: "X", Place: migrate.Key{Validity: validity, UID: 1}, Identity: migrate.Identity{Size: m.Size}}
	if err := ledger.Intend(t.Context(), path, []migrate.Entry{entry}); err != nil {
		t.Fatal(err)
	}
}

var ids = map[string]string{"without a Message-ID": "", "of one Message-ID": "Message-ID: <one@example.org>\r\n"}

// Of two messages that were sent one has arrived, and nobody can tell which. The first is sent again; what is there is not
// taken for the second then.
func TestWhatMayBeAMessageThatWasSentAgainIsNotTakenForTheNext(t *testing.T) {
	rewrite := changed["8-bit headers are encoded"]
	for name, id := range ids {
		for _, arrived := range []migrate.Path{"A", "B"} {
			t.Run(fmt.Sprint(name, ", arrived from ", arrived), func(t *testing.T) {
				from, to, ledger, j := twins(id, rewrite)
				there := to.Put("X", migrate.Message{InternalDate: day}, rewrite(from.Messages(arrived)[0].Octets))
				for _, path := range []migrate.Path{"A", "B"} {
					intended(t, ledger, path, from.Messages(path)[0], there.Validity)
				}
				summary := mustRun(t, j)
				for _, path := range []migrate.Path{"A", "B"} {
					if want := string(rewrite(from.Messages(path)[0].Octets)); !slices.Contains(octetsIn(to, "X"), want) {
						t.Errorf("missing: %q, of %q", want, octetsIn(to, "X"))
					}
				}
				if twice := len(to.Messages("X")) - 2; int64(twice) > summary.Unsure {
					t.Errorf("%d there twice: %+v", twice, summary)
				}
				if again := mustRun(t, j); again.Present != 2 || again.Unsure != 0 {
					t.Errorf("the run after: %+v", again)
				}
			})
		}
	}
}

// One message has arrived at a server that does not tell where; the other, which was sent too, has not: it is not taken for
// the first.
func TestWhatArrivedOneDoesNotKnowWhereIsNotTakenForALostOne(t *testing.T) {
	for how, rewrite := range map[string]func([]byte) []byte{"as sent": asSent, "changed": changed["8-bit headers are encoded"]} {
		for name, id := range ids {
			t.Run(how+", "+name, func(t *testing.T) {
				from, to, ledger, j := twins(id, rewrite)
				to.Nameless = true
				j.Options.Filter.Rules = []migrate.Rule{migrate.NewRule("A", false)}
				mustRun(t, j)
				j.Options.Filter = migrate.Filter{}
				intended(t, ledger, "B", from.Messages("B")[0], to.Messages("X")[0].Key.Validity)
				summary := mustRun(t, j)
				want := []string{string(rewrite(from.Messages("A")[0].Octets)), string(rewrite(from.Messages("B")[0].Octets))}
				if diff := cmp.Diff(want, octetsIn(to, "X")); diff != "" || summary.Copied != 1 {
					t.Errorf("%+v, at the destination (-want +got):\n%s", summary, diff)
				}
			})
		}
	}
}

// Of two messages that were sent one has arrived, and nobody can tell which. A run that was cut off has sent the first again,
// and it has arrived, been lost or been answered for; the next run does not take what is there for the second.
func TestWhatAnEarlierRunSentAgainIsNotTakenForAnother(t *testing.T) {
	rewrite := changed["8-bit headers are encoded"]
	dies := func(at string) func(string) error {
		return func(operation string) error {
			if operation == at {
				return errors.New("dead")
			}
			return nil
		}
	}
	for name, id := range ids {
		for how, step := range map[string]func(string) error{
			"answered for": nil, "arrived": dies("commit-done"), "lost": dies("commit"), "not sent": dies("append"),
		} {
			for _, arrived := range []migrate.Path{"A", "B"} {
				t.Run(fmt.Sprint(name, ", arrived from ", arrived, ", sent again and ", how), func(t *testing.T) {
					from, to, ledger, j := twins(id, rewrite)
					there := to.Put("X", migrate.Message{InternalDate: day}, rewrite(from.Messages(arrived)[0].Octets))
					for _, path := range []migrate.Path{"A", "B"} {
						intended(t, ledger, path, from.Messages(path)[0], there.Validity)
					}
					j.Options.Filter.Rules = []migrate.Rule{migrate.NewRule("B", false)}
					to.Step = step
					if _, err := migrate.Run(t.Context(), j); (err != nil) != (step != nil) {
						t.Fatal(err)
					}
					j.Options.Filter, to.Step = migrate.Filter{}, nil
					mustRun(t, j)
					for _, path := range []migrate.Path{"A", "B"} {
						if want := string(rewrite(from.Messages(path)[0].Octets)); !slices.Contains(octetsIn(to, "X"), want) {
							t.Errorf("missing: %q, of %q", want, octetsIn(to, "X"))
						}
					}
				})
			}
		}
	}
}

// The same of two messages of one mailbox, which are looked for together: one was sent a second time, the other not.
func TestWhatWasSentTwiceIsNotTakenForWhatWasSentOnceBesideIt(t *testing.T) {
	rewrite := changed["8-bit headers are encoded"]
	for name, id := range ids {
		for arrived := range 2 {
			t.Run(fmt.Sprint(name, ", arrived ", arrived), func(t *testing.T) {
				from, to, ledger := memory.New(), memory.New(), &memory.Ledger{}
				to.Rewrite = rewrite
				for _, subject := range []string{"m\xe4il", "longer m\xe4il"} {
					from.Put("X", migrate.Message{InternalDate: day}, fmt.Appendf(nil, "%sSubject: %s\r\n\r\nbody\r\n", id, subject))
				}
				messages := from.Messages("X")
				there := to.Put("X", migrate.Message{InternalDate: day}, rewrite(messages[arrived].Octets))
				for _, m := range messages {
					intended(t, ledger, "X", m, there.Validity)
				}
				j := job(from, to, ledger)
				j.Options.Filter.MaxSize = messages[0].Size
				to.Step = func(operation string) error {
					if operation == "commit-done" {
						return errors.New("dead")
					}
					return nil
				}
				if _, err := migrate.Run(t.Context(), j); err == nil {
					t.Fatal("no error")
				}
				j.Options.Filter, to.Step = migrate.Filter{}, nil
				mustRun(t, j)
				for _, m := range messages {
					if want := string(rewrite(m.Octets)); !slices.Contains(octetsIn(to, "X"), want) {
						t.Errorf("missing: %q, of %q", want, octetsIn(to, "X"))
					}
				}
			})
		}
	}
}
