package main

import (
	"context"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"path/filepath"
	"slices"
	"strconv"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"postcask/archive"
	"postcask/migrate"
	"postcask/migrate/imap"
	"postcask/migrate/memory"
	"postcask/migrate/pop3"
	"postcask/migrate/testserver"
	"postcask/migrate/wire"
)

// How often each job is done over connections that break. Each round has a seed of its own; those that wait for a disk
// are fewer.
const cutRounds, cutRoundsOnDisk = 50, 24

// fragile makes each connection of a server break: after it has sent a random number of octets, from least to least
// and span, or has been sent an eighth of that.
func fragile(seed uint64, least, span int64) testserver.Faults {
	var mu sync.Mutex
	random := rand.New(rand.NewPCG(seed, 4711))
	return func(int) testserver.Fault {
		mu.Lock()
		defer mu.Unlock()
		at := least + random.Int64N(span)
		if random.IntN(3) == 0 {
			return testserver.Fault{AfterReading: at / 8}
		}
		return testserver.Fault{AfterWriting: at}
	}
}

func plainConfig(tb testing.TB, addr string) wire.Config {
	tb.Helper()
	host, port, err := net.SplitHostPort(addr)
	if err != nil {
		tb.Fatal(err)
	}
	number, err := strconv.Atoi(port)
	if err != nil {
		tb.Fatal(err)
	}
	return wire.Config{Host: host, Port: number, TLS: wire.Plain, User: "me", Timeout: 20 * time.Second,
		Password: func(context.Context) (string, error) { return testserver.Password, nil }}
}

func imapSource(account *imap.Account) func(context.Context) (migrate.Source, error) {
	return func(ctx context.Context) (migrate.Source, error) {
		session, err := account.Open(ctx, true)
		if err != nil {
			return nil, err
		}
		return session, nil
	}
}

func imapSink(account *imap.Account) func(context.Context) (migrate.Sink, error) {
	return func(ctx context.Context) (migrate.Sink, error) {
		session, err := account.Open(ctx, false)
		if err != nil {
			return nil, err
		}
		return session, nil
	}
}

// cutMail is what is moved: small messages, twins among them, in three mailboxes.
func cutMail() map[string][]string {
	mail := map[string][]string{}
	for i := range 24 {
		mailbox := []string{"INBOX", "Work", "Work/2020"}[i%3]
		mail[mailbox] = append(mail[mailbox], fmt.Sprintf("Subject: %d\r\nDate: Tue, 5 Mar 2019 10:00:00 +0000\r\n\r\nbody of %s %0*d\r\n", i/6, mailbox, 40+i/6*30, i/6))
	}
	for _, list := range mail {
		slices.Sort(list)
	}
	return mail
}

func filledIMAP(t *testing.T, opts testserver.IMAPOptions, mail map[string][]string) *testserver.IMAP {
	t.Helper()
	s := testserver.StartIMAP(t, opts)
	s.Users(t, "me")
	for mailbox, list := range mail {
		if mailbox != "INBOX" {
			if err := s.CreateMailbox("me", mailbox); err != nil {
				t.Fatal(err)
			}
		}
		for _, octets := range list {
			if _, err := s.Deliver("me", mailbox, testserver.Mail{Date: time.Date(2019, 3, 5, 10, 0, 0, 0, time.UTC), Octets: []byte(octets)}); err != nil {
				t.Fatal(err)
			}
		}
	}
	return s
}

func heldByIMAP(t *testing.T, s *testserver.IMAP) map[string][]string {
	t.Helper()
	held := map[string][]string{}
	for _, mailbox := range s.Mailboxes("me") {
		messages, err := s.Messages("me", mailbox)
		if err != nil {
			t.Fatal(err)
		}
		for _, m := range messages {
			held[mailbox] = append(held[mailbox], string(m.Octets))
		}
		slices.Sort(held[mailbox])
	}
	return held
}

func heldByArchive(t *testing.T, store *archive.Archive) map[string][]string {
	t.Helper()
	source := store.Source()
	defer source.Close()
	held := map[string][]string{}
	mailboxes, err := source.Mailboxes(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	for _, mbox := range mailboxes {
		var all []migrate.Message
		for m, err := range source.Messages(t.Context(), mbox.Path) {
			if err != nil {
				t.Fatal(err)
			}
			all = append(all, m)
		}
		for f, err := range source.Fetch(t.Context(), mbox.Path, all) {
			if err != nil || f.Err != nil {
				t.Fatal(err, f.Err)
			}
			octets, err := io.ReadAll(f.Body)
			if err != nil {
				t.Fatal(err)
			}
			held[string(mbox.Path)] = append(held[string(mbox.Path)], string(octets))
		}
		slices.Sort(held[string(mbox.Path)])
	}
	if _, err := store.Verify(t.Context(), func(p archive.Problem) { t.Errorf("verify: %+v", p) }); err != nil {
		t.Error(err)
	}
	return held
}

// newArchive makes an archive with a ledger for one source.
func newArchive(t *testing.T, format archive.Format) (*archive.Archive, migrate.Ledger) {
	t.Helper()
	store, err := archive.Create(t.Context(), filepath.Join(t.TempDir(), "archive"), format, "me")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := store.Close(); err != nil {
			t.Error(err)
		}
	})
	known, err := store.Ledger(t.Context(), "me")
	if err != nil {
		t.Fatal(err)
	}
	return store, known
}

// TestConnectionsDieAnywhere does each job over connections that all break sooner or later. It ends by itself, within
// the budget for tries in a row, with each message there once.
func TestConnectionsDieAnywhere(t *testing.T) {
	t.Parallel()
	mail := cutMail()
	for _, job := range []struct {
		name string
		// prepare gives the job and what has come of it.
		prepare func(t *testing.T, seed uint64) (migrate.Job, func(t *testing.T) map[string][]string)
		want    map[string][]string
		rounds  int
	}{
		{"backup of IMAP", func(t *testing.T, seed uint64) (migrate.Job, func(*testing.T) map[string][]string) {
			s := filledIMAP(t, testserver.IMAPOptions{Faults: fragile(seed, 500, 6000)}, mail)
			store, known := newArchive(t, []archive.Format{archive.Maildir, archive.Mbox}[seed%2])
			return migrate.Job{OpenSource: imapSource(imap.New(plainConfig(t, s.IMAPAddr))), Ledger: known,
					OpenSink: func(context.Context) (migrate.Sink, error) { return store.Sink(), nil }},
				func(t *testing.T) map[string][]string { return heldByArchive(t, store) }
		}, mail, cutRoundsOnDisk},
		{"backup of POP3", func(t *testing.T, seed uint64) (migrate.Job, func(*testing.T) map[string][]string) {
			s := testserver.StartPOP3(t, testserver.POP3Options{Faults: fragile(seed, 300, 2000)})
			s.Users(t, "me")
			for _, octets := range mail["Work"] {
				s.Deliver("me", []byte(octets))
			}
			store, known := newArchive(t, archive.Maildir)
			account := pop3.New(plainConfig(t, s.POP3Addr))
			return migrate.Job{Ledger: known,
					OpenSource: func(ctx context.Context) (migrate.Source, error) {
						session, err := account.Open(ctx)
						if err != nil {
							return nil, err
						}
						return session, nil
					},
					OpenSink: func(context.Context) (migrate.Sink, error) { return store.Sink(), nil }},
				func(t *testing.T) map[string][]string { return heldByArchive(t, store) }
		}, map[string][]string{"INBOX": mail["Work"]}, cutRoundsOnDisk},
		{"restore", func(t *testing.T, seed uint64) (migrate.Job, func(*testing.T) map[string][]string) {
			from := memory.New()
			for mailbox, list := range mail {
				for _, octets := range list {
					from.Put(migrate.Path(mailbox), migrate.Message{InternalDate: time.Date(2019, 3, 5, 10, 0, 0, 0, time.UTC)}, []byte(octets))
				}
			}
			to := filledIMAP(t, testserver.IMAPOptions{Faults: fragile(seed, 500, 6000)}, nil)
			return migrate.Job{Ledger: &memory.Ledger{}, OpenSink: imapSink(imap.New(plainConfig(t, to.IMAPAddr))),
					OpenSource: func(ctx context.Context) (migrate.Source, error) { return from.Open(ctx) }},
				func(t *testing.T) map[string][]string { return heldByIMAP(t, to) }
		}, mail, cutRounds},
		{"migrate", func(t *testing.T, seed uint64) (migrate.Job, func(*testing.T) map[string][]string) {
			from := filledIMAP(t, testserver.IMAPOptions{Faults: fragile(seed, 500, 6000)}, mail)
			to := filledIMAP(t, testserver.IMAPOptions{Faults: fragile(^seed, 500, 6000)}, nil)
			return migrate.Job{Ledger: &memory.Ledger{}, Options: migrate.Options{Lanes: 1 + int(seed%3)},
					OpenSource: imapSource(imap.New(plainConfig(t, from.IMAPAddr))), OpenSink: imapSink(imap.New(plainConfig(t, to.IMAPAddr)))},
				func(t *testing.T) map[string][]string { return heldByIMAP(t, to) }
		}, mail, cutRounds},
	} {
		t.Run(job.name, func(t *testing.T) {
			t.Parallel()
			again, retries := 0, int64(0)
			for seed := range uint64(job.rounds) {
				t.Run(fmt.Sprint("seed ", seed), func(t *testing.T) {
					j, held := job.prepare(t, seed)
					j.Source, j.Destination = "source", "destination"
					j.Options.Backoff = func(int) time.Duration { return 0 }
					for run := 1; ; run++ {
						summary, err := migrate.Run(t.Context(), j)
						retries += summary.Retries
						if err == nil && summary.Failed+summary.MailboxesFailed == 0 {
							break
						}
						// By chance a message or a mailbox may look like the one that breaks the connection. It is told, and run again.
						if again++; err != nil && !migrate.IsTemporary(err) && migrate.KindOf(err) != migrate.Unavailable || run == 4 {
							t.Fatalf("run %d: %+v, %v", run, summary, err)
						}
					}
					if diff := cmp.Diff(job.want, held(t)); diff != "" {
						t.Fatalf("-sent +arrived:\n%s", diff)
					}
				})
			}
			t.Logf("%d connections made again; %d times the command was run again", retries, again)
			if retries < int64(job.rounds)/2 || again > job.rounds/4 {
				t.Errorf("in %d rounds %d connections were made again, and %d times a run ended without all", job.rounds, retries, again)
			}
		})
	}
}
