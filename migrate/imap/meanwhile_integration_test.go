//go:build integration

package imap

import (
	"context"
	"fmt"
	"math/rand/v2"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"postcask/migrate"
	"postcask/migrate/memory"
	"postcask/migrate/testserver"
)

// TestWhatIsKnownAfterRunsWhileAnotherClientIsAtWork has another client of real servers expunge, append and flag messages
// between runs and during them. After a last run in peace the ledger knows just what the server has, with its flags.
func TestWhatIsKnownAfterRunsWhileAnotherClientIsAtWork(t *testing.T) {
	paths := []migrate.Path{"One", "Two", "Three"}
	eachServer(t, func(t *testing.T, server *testserver.Server) {
		seed := uint64(time.Now().UnixNano())
		t.Logf("seed %d", seed)
		random := rand.New(rand.NewPCG(seed, 0))
		acct := New(settings(t, server, "ada"))
		hand, err := acct.Open(t.Context(), false)
		if err != nil {
			t.Fatal(err)
		}
		defer hand.Close()
		put := func(path migrate.Path, n int) {
			for range n {
				if err := hand.Append(t.Context(), path, migrate.Message{}, textBody(fmt.Sprintf("Subject: %d\r\n\r\n", random.Uint64()))); err != nil {
					t.Error(err)
				}
			}
			if _, err := hand.Commit(t.Context()); err != nil {
				t.Error(err)
			}
		}
		meddle := func() {
			path := paths[random.IntN(len(paths))]
			if err := hand.open(t.Context(), path); err != nil {
				t.Error(err)
			}
			for range 10 {
				number := 1 + random.Uint32N(hand.view.exists)
				flag := []string{`+FLAGS (\Deleted)`, `+FLAGS (\Seen)`, `-FLAGS (\Seen)`}[random.IntN(3)]
				command(t, hand, fmt.Sprintf("STORE %d %s", number, flag))
			}
			command(t, hand, "EXPUNGE")
			put(path, 3)
		}
		for _, path := range paths {
			if err := hand.Create(t.Context(), migrate.Mailbox{Path: path}); err != nil {
				t.Fatal(err)
			}
			put(path, 150)
		}
		ledger, to := &memory.Ledger{}, memory.New()
		run := func() {
			summary, err := migrate.Run(t.Context(), migrate.Job{
				Source: "source", Destination: "destination", Ledger: ledger,
				OpenSource: func(ctx context.Context) (migrate.Source, error) { return acct.Open(ctx, true) },
				OpenSink:   func(ctx context.Context) (migrate.Sink, error) { return to.Open(ctx) },
			})
			if err != nil || summary.Copied+summary.Present+summary.Failed != summary.Messages {
				t.Errorf("%+v, %v", summary, err)
			}
		}
		run()
		for range 6 {
			meddle()
			var meanwhile sync.WaitGroup
			meanwhile.Go(run)
			meddle()
			meddle()
			meanwhile.Wait()
		}
		run()
		reader := open(t, settings(t, server, "ada"), true)
		for _, path := range paths {
			there, known := map[string]string{}, map[string]string{}
			for m, err := range reader.Messages(t.Context(), path) {
				if err != nil {
					t.Fatal(err)
				}
				there[m.Key.String()] = fmt.Sprint(m.Flags)
			}
			for entry, err := range ledger.Entries(t.Context(), path) {
				if err != nil {
					t.Fatal(err)
				}
				if entry.State == migrate.Arrived && !entry.Retired {
					known[entry.Key.String()] = fmt.Sprint(entry.Flags)
				}
			}
			if diff := cmp.Diff(there, known); diff != "" {
				t.Errorf("%s: the server has -, the ledger knows +: %s", path, diff)
			}
		}
	})
}
