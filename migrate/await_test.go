package migrate_test

import (
	"context"
	"testing"
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
