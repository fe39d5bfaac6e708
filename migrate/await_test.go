package migrate_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"postcask/migrate"
	"postcask/migrate/memory"
)

// A server that stores what was sent only some time after the sender was killed gets it once: the next run waits for it
// before it sends anything again.
func TestAServerThatIsStillAtWorkForAKilledRun(t *testing.T) {
	from, to, ledger := memory.New(), memory.New(), &memory.Ledger{}
	var intents []migrate.Entry
	for i := range 3 {
		m := migrate.Message{InternalDate: day.Add(time.Duration(i) * time.Hour)}
		octets := []byte("Subject: late\r\n\r\n" + string(rune('a'+i)) + "\r\n")
		from.Put("INBOX", m, octets)
		stored := from.Messages("INBOX")[i]
		intents = append(intents, migrate.Entry{Key: stored.Key, Mailbox: "INBOX", Place: migrate.Key{Validity: 1, UID: 1}, Identity: migrate.Identity{Size: int64(len(octets))}})
	}
	probe, err := to.Open(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	next, err := probe.Next(t.Context(), "INBOX")
	if err != nil {
		t.Fatal(err)
	}
	for i := range intents {
		intents[i].Place = next
	}
	if err := ledger.Intend(context.Background(), "INBOX", intents); err != nil { // and then the run was killed
		t.Fatal(err)
	}
	j := job(from, to, ledger)
	j.Options.Backoff = func(attempt int) time.Duration {
		if attempt == 2 { // the server has come that far
			for _, m := range from.Messages("INBOX") {
				to.Put("INBOX", m.Message, m.Octets)
			}
		}
		return 0
	}
	if summary := mustRun(t, j); summary.Copied != 0 || summary.Present != 3 {
		t.Errorf("%+v", summary)
	}
	same(t, to, from)
}

// killed gives a source with n messages in each of its mailboxes, a destination that all of them go to, and the ledger
// that a run left behind which was killed when it had sent them all.
func killed(t *testing.T, n int, boxes ...migrate.Path) (from, to *memory.Store, ledger *memory.Ledger) {
	t.Helper()
	from, to, ledger = memory.New(), memory.New(), &memory.Ledger{}
	to.Make(migrate.Mailbox{Path: "All"})
	session, err := to.Open(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	next, err := session.Next(t.Context(), "All")
	if err != nil {
		t.Fatal(err)
	}
	for _, box := range boxes {
		var intents []migrate.Entry
		for i := range n {
			octets := fmt.Appendf(nil, "Message-ID: <%d@example.org>\r\n\r\n%s\r\n", i, box) // each in every mailbox, and not the same
			key := from.Put(box, migrate.Message{InternalDate: day}, octets)
			intents = append(intents, migrate.Entry{Key: key, Mailbox: "All", Place: next, Identity: migrate.Identity{Size: int64(len(octets))}})
		}
		if err := ledger.Intend(t.Context(), box, intents); err != nil {
			t.Fatal(err)
		}
	}
	return from, to, ledger
}

// intoOne is a job that puts all into the mailbox All of the destination, with the waits of every day.
func intoOne(from, to *memory.Store, ledger migrate.Ledger) migrate.Job {
	j := job(from, to, ledger)
	j.Options.Backoff = nil
	for _, mbox := range from.Mailboxes() {
		j.Options.Mapping.Moves = append(j.Options.Mapping.Moves, migrate.Move{From: mbox.Path, To: "All"})
	}
	return j
}

// deliver stores what the source has, one message after the other, as a server does that has them in hand yet.
func deliver(from, to *memory.Store, pause time.Duration, stored func(octets []byte) []byte) {
	for _, mbox := range from.Mailboxes() {
		for _, m := range from.Messages(mbox.Path) {
			time.Sleep(pause)
			to.Put("All", m.Message, stored(m.Octets))
		}
	}
}

func asSent(octets []byte) []byte { return octets }

func octetsIn(s *memory.Store, boxes ...migrate.Path) (all []string) {
	for _, box := range boxes {
		for _, m := range s.Messages(box) {
			all = append(all, string(m.Octets))
		}
	}
	slices.Sort(all)
	return all
}

// A server that stores what a killed run sent for longer than any one wait gets each message once: as long as
// something arrives it is left at it, also when what arrives is of another mailbox of the source.
func TestAServerThatWorksThroughWhatAKilledRunSent(t *testing.T) {
	for name, test := range map[string]struct {
		lanes  int
		stored func([]byte) []byte
	}{
		"one lane": {1, asSent}, "three lanes": {3, asSent},
		"it changes them": {1, func(octets []byte) []byte { return append([]byte("X-Trace: yes\r\n"), octets...) }},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				from, to, ledger := killed(t, 20, "INBOX", "Sent")
				var server sync.WaitGroup
				server.Go(func() { deliver(from, to, 700*time.Millisecond, test.stored) })
				j := intoOne(from, to, ledger)
				j.Options.Lanes = test.lanes
				if summary := mustRun(t, j); summary.Copied != 0 || summary.Present != 40 {
					t.Errorf("%+v", summary)
				}
				server.Wait()
				if got := len(to.Messages("All")); got != 40 {
					t.Errorf("%d messages, want 40", got)
				}
			})
		})
	}
}

// Somebody else's mail that comes meanwhile is not taken for what is awaited.
func TestNewMailThatComesMeanwhileIsNotWhatIsAwaited(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		from, to, ledger := killed(t, 3, "INBOX")
		for i := range 3 {
			to.Put("All", migrate.Message{}, fmt.Appendf(nil, "Subject: somebody else's, and longer than any of ours %d\r\n\r\n", i))
		}
		var server sync.WaitGroup
		server.Go(func() { deliver(from, to, 200*time.Millisecond, asSent) })
		if summary := mustRun(t, intoOne(from, to, ledger)); summary.Copied != 0 || summary.Present != 3 {
			t.Errorf("%+v", summary)
		}
		server.Wait()
	})
}

// Where nothing had arrived, a run is held up for some seconds and once, however many groups and mailboxes there are;
// where nothing is open, or all is there, not at all.
func TestARunIsNotHeldUpForLong(t *testing.T) {
	for name, test := range map[string]struct {
		sent, arrived bool
		lanes         int
		most          time.Duration
		copied        int64
	}{
		"nothing was sent":       {false, false, 1, 0, 1600},
		"nothing has arrived":    {true, false, 1, 8 * time.Second, 1600},
		"the same, three lanes":  {true, false, 3, 8 * time.Second, 1600},
		"everything has arrived": {true, true, 1, 0, 0},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				from, to, ledger := killed(t, 800, "INBOX", "Sent")
				if !test.sent {
					ledger = &memory.Ledger{}
				}
				if test.arrived {
					deliver(from, to, 0, asSent)
				}
				j := intoOne(from, to, ledger)
				j.Options.Lanes = test.lanes
				began := time.Now()
				summary := mustRun(t, j)
				if took := time.Since(began); took > test.most || summary.Copied != test.copied {
					t.Errorf("it took %v, at most %v wanted; %+v", took, test.most, summary)
				}
				if diff := slices.Compare(octetsIn(to, "All"), octetsIn(from, "INBOX", "Sent")); diff != 0 {
					t.Error("the destination is not as the source")
				}
			})
		})
	}
}

// An interrupt while a run waits for a server ends it without anything being sent.
func TestAnInterruptWhileTheServerIsAwaited(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		from, to, ledger := killed(t, 3, "INBOX")
		stop := make(chan struct{})
		time.AfterFunc(time.Second, func() { close(stop) })
		j := intoOne(from, to, ledger)
		j.Options.Stop = stop
		began := time.Now()
		if summary, err := migrate.Run(t.Context(), j); !errors.Is(err, migrate.ErrStopped) || summary.Copied != 0 || time.Since(began) != time.Second {
			t.Errorf("after %v: %+v, %v", time.Since(began), summary, err)
		}
	})
}

// A source that is lost in the middle of a group costs no look at the destination: what was sent there was answered.
func TestALostSourceLeavesNoDoubtAboutTheDestination(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		from, to := letters(50), memory.New()
		to.Put("INBOX", migrate.Message{}, []byte("its own"))
		bodies, listed := 0, 0
		from.Step = func(operation string) error {
			if operation == "body" {
				if bodies++; bodies == 20 {
					return broken
				}
			}
			return nil
		}
		to.Step = func(operation string) error {
			if operation == "messages" {
				listed++
			}
			return nil
		}
		j := job(from, to, &memory.Ledger{})
		j.Options.Backoff = nil
		began := time.Now()
		if summary := mustRun(t, j); summary.Copied != 50 || summary.Retries != 1 {
			t.Errorf("%+v", summary)
		}
		if took := time.Since(began); listed != 1 || took > time.Second {
			t.Errorf("the destination was listed %d times, in %v", listed, took)
		}
	})
}
