//go:build integration

package main_test

import (
	"context"
	"fmt"
	"math/rand/v2"
	"net"
	"path/filepath"
	"strconv"
	"sync"
	"testing"
	"time"

	"postcask/archive"
	"postcask/migrate"
	"postcask/migrate/imap"
	"postcask/migrate/ledger"
	"postcask/migrate/testserver"
	"postcask/migrate/wire"
)

// lostMessages is how many messages are moved over lines that are cut, and lostCuts how many connections of each run.
const lostMessages, lostCuts = 45, 6

// ways are the ways in which an answer to APPEND can be lost, given at which APPEND of a connection it shall be.
var ways = []struct {
	name string
	cut  func(random *rand.Rand, at int) cut
}{
	{"the answer is lost", func(_ *rand.Rand, at int) cut { return cut{answer: at} }},
	{"the line dies once all is sent", func(_ *rand.Rand, at int) cut { return cut{sent: at} }},
	{"the line dies anywhere", func(random *rand.Rand, _ int) cut {
		if random.IntN(2) == 0 {
			return cut{toServer: 100 + random.Int64N(1500)}
		}
		return cut{toClient: 100 + random.Int64N(600)}
	}},
}

// A lossy run moves mail into an account over a line that loses answers.
type lossy struct {
	name, user string
	line       *line
	job        migrate.Job
	err        error
}

// Restore and migrate over lines to real servers that die before the answer to an APPEND has come, or anywhere: each
// message is there once, and a second run copies nothing. POSTCASK_CUTS says how many runs there are of each kind.
func TestAnswersToAppendAreLostOnRealServers(t *testing.T) {
	t.Parallel()
	rounds, seed := number(t, "POSTCASK_CUTS", 1), number(t, "POSTCASK_SEED", int(time.Now().UnixNano()%1e9))
	t.Logf("POSTCASK_SEED=%d", seed)
	for _, name := range testserver.Named(t) {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			server := testserver.Start(t, name)
			users := []string{"old"}
			for n := range 2 * len(ways) * rounds {
				users = append(users, fmt.Sprint("new", n))
			}
			server.Users(t, users...)
			seedSmall(t, server, "old", lostMessages)
			want := account(t, server, "old")
			store := filledArchive(t, server)
			for round := range rounds {
				var runs []*lossy
				for _, way := range ways {
					for _, kind := range []string{"restore", "migrate"} {
						user := users[1+len(runs)+round*2*len(ways)]
						r := &lossy{name: fmt.Sprintf("%s into %s, %s", kind, user, way.name), user: user}
						r.line = startLine(t, server.IMAPAddr, r.losing(rand.New(rand.NewPCG(uint64(seed), uint64(len(runs)+round<<8))), way.cut))
						r.job = r.jobOf(t, server, store, kind)
						runs = append(runs, r)
					}
				}
				var all sync.WaitGroup
				for _, r := range runs {
					all.Go(func() { r.err = r.complete(t.Context()) })
				}
				all.Wait()
				for _, r := range runs {
					if r.check(t, server, want); t.Failed() {
						return
					}
				}
			}
		})
	}
}

// losing cuts connections until enough are cut. The first is cut at its first APPEND: where many messages go by one
// command there are few.
func (r *lossy) losing(random *rand.Rand, way func(*rand.Rand, int) cut) func() cut {
	var mu sync.Mutex
	return func() cut {
		mu.Lock()
		defer mu.Unlock()
		cuts := r.line.cuts.Load()
		if cuts >= lostCuts {
			return cut{}
		}
		if cuts == 0 {
			return way(random, 1)
		}
		return way(random, 1+random.IntN(3))
	}
}

func filledArchive(t *testing.T, server *testserver.Server) *archive.Archive {
	t.Helper()
	store, err := archive.Create(t.Context(), filepath.Join(t.TempDir(), "archive"), archive.Maildir, "old")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := store.Close(); err != nil {
			t.Error(err)
		}
	})
	known, err := store.Ledger(t.Context(), "old")
	if err != nil {
		t.Fatal(err)
	}
	_, err = migrate.Run(t.Context(), migrate.Job{Ledger: known, OpenSource: sourceAt(t, server.IMAPAddr, "old"),
		OpenSink: func(context.Context) (migrate.Sink, error) { return store.Sink(), nil }})
	if err != nil {
		t.Fatal(err)
	}
	return store
}

// jobOf is a job into the account of r over its line, with a ledger on disk.
func (r *lossy) jobOf(t *testing.T, server *testserver.Server, store *archive.Archive, kind string) migrate.Job {
	t.Helper()
	db, err := ledger.Open(t.Context(), filepath.Join(t.TempDir(), "ledger"), ledger.Options{Create: true})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := db.Close(); err != nil {
			t.Error(err)
		}
	})
	known, err := db.Ledger(t.Context(), "old", r.user)
	if err != nil {
		t.Fatal(err)
	}
	job := migrate.Job{Source: "source", Destination: "destination", Ledger: known, OpenSink: sinkAt(t, r.line.addr, r.user),
		OpenSource: func(context.Context) (migrate.Source, error) { return store.Source(), nil },
		Options:    migrate.Options{Lanes: 2, Backoff: func(attempt int) time.Duration { return time.Duration(attempt) * 100 * time.Millisecond }}}
	if kind == "migrate" {
		job.OpenSource = sourceAt(t, server.IMAPAddr, "old")
	}
	return job
}

// complete runs the job until it has brought all, which it may take several runs to do.
func (r *lossy) complete(ctx context.Context) error {
	for n := 1; ; n++ {
		summary, err := migrate.Run(ctx, r.job)
		switch {
		case err != nil && !migrate.IsTemporary(err) && migrate.KindOf(err) != migrate.Unavailable:
			return err
		case n == 5:
			return fmt.Errorf("run %d: %+v, %w", n, summary, err)
		case err == nil && summary.Unsure > 0:
			return fmt.Errorf("run %d: unsure where octets tell: %+v", n, summary)
		case err == nil && summary.Failed+summary.MailboxesFailed == 0:
			return nil
		}
	}
}

func (r *lossy) check(t *testing.T, server *testserver.Server, want mail) {
	t.Helper()
	if r.err != nil {
		t.Errorf("%s: %v", r.name, r.err)
		return
	}
	if r.line.cuts.Load() == 0 {
		t.Errorf("%s: the line was never cut", r.name)
	}
	got := account(t, server, r.user)
	sameLetters(t, want, got)
	summary, err := migrate.Run(t.Context(), r.job)
	if err != nil || summary.Copied > 0 || summary.Present != lostMessages {
		t.Errorf("%s, once more: %+v, %v", r.name, summary, err)
	}
	if t.Failed() {
		t.Logf("after %s, with %d cuts", r.name, r.line.cuts.Load())
	}
}

func configAt(t *testing.T, addr, user string) wire.Config {
	t.Helper()
	host, port, err := net.SplitHostPort(addr)
	if err != nil {
		t.Fatal(err)
	}
	number, err := strconv.Atoi(port)
	if err != nil {
		t.Fatal(err)
	}
	return wire.Config{Host: host, Port: number, TLS: wire.Plain, User: user, Timeout: 30 * time.Second,
		Password: func(context.Context) (string, error) { return testserver.Password, nil }}
}

func sourceAt(t *testing.T, addr, user string) func(context.Context) (migrate.Source, error) {
	account := imap.New(configAt(t, addr, user))
	return func(ctx context.Context) (migrate.Source, error) {
		session, err := account.Open(ctx, true)
		if err != nil {
			return nil, err
		}
		return session, nil
	}
}

func sinkAt(t *testing.T, addr, user string) func(context.Context) (migrate.Sink, error) {
	account := imap.New(configAt(t, addr, user))
	return func(ctx context.Context) (migrate.Sink, error) {
		session, err := account.Open(ctx, false)
		if err != nil {
			return nil, err
		}
		return session, nil
	}
}
