package main

import (
	"context"
	"fmt"
	"net"
	"path/filepath"
	"slices"
	"strconv"
	"sync/atomic"
	"testing"
	"time"

	"go.uber.org/goleak"

	"postcask/archive"
	"postcask/migrate"
	"postcask/migrate/imap"
	"postcask/migrate/memory"
	"postcask/migrate/pop3"
	"postcask/migrate/testserver"
	"postcask/migrate/wire"
)

// cutLetters are short: each octet of a session is a session.
var cutLetters = []string{"Subject: one\r\n\r\nFrom here\r\n.\r\n", "Subject: two\r\n\r\nno end\r\n", "\r\n"}

// cutArchiveEvery is how many octets lie between two cuts of a session that fills an archive on disk; one in memory is
// cut at every octet.
const cutArchiveEvery = 97

// A cutServer is a server whose connections end after so many octets of output, 0 for never.
type cutServer struct {
	after atomic.Int64
	cfg   wire.Config
}

func (c *cutServer) faults(int) testserver.Fault {
	return testserver.Fault{AfterWriting: c.after.Load()}
}

func (c *cutServer) reach(t *testing.T, address, user string) {
	host, port, err := net.SplitHostPort(address)
	if err != nil {
		t.Fatal(err)
	}
	c.cfg = wire.Config{Host: host, TLS: wire.Plain, Timeout: 10 * time.Second, User: user,
		Password: func(context.Context) (string, error) { return canary, nil }}
	if c.cfg.Port, err = strconv.Atoi(port); err != nil {
		t.Fatal(err)
	}
}

// cutIMAP runs an IMAP server whose user has cutLetters in INBOX.
func cutIMAP(t *testing.T, user string) (*cutServer, *testserver.IMAP) {
	c := &cutServer{}
	s, err := testserver.RunIMAP(testserver.IMAPOptions{Faults: c.faults})
	if err != nil {
		t.Fatal(err)
	}
	c.reach(t, s.IMAPAddr, user)
	if err := s.AddUser(user, canary); err != nil {
		t.Fatal(err)
	}
	for i, octets := range cutLetters {
		if _, err := s.Deliver(user, "INBOX", testserver.Mail{Date: someDay(i), Octets: []byte(octets)}); err != nil {
			t.Fatal(err)
		}
	}
	return c, s
}

// cutRun is one run over a line that may be cut: it gives up at the first trouble.
func cutRun(job migrate.Job) error {
	job.Options.MaxRetries = -1
	_, err := migrate.Run(context.Background(), job)
	return err
}

// atOnce lets no run wait: nothing here gets better by waiting.
var atOnce = migrate.Options{Backoff: func(int) time.Duration { return 0 }}

// TestCutBackup ends the server's output after each octet of a session, and lets a second run meet a server that is
// well: nothing partial is ever to be seen, and in the end each message is there once.
func TestCutBackup(t *testing.T) {
	defer goleak.VerifyNone(t, goleak.IgnoreCurrent())
	i, imapServer := cutIMAP(t, "me")
	defer imapServer.Stop()
	p := &cutServer{}
	pop3Server, err := testserver.RunPOP3(testserver.POP3Options{Faults: p.faults})
	if err != nil {
		t.Fatal(err)
	}
	defer pop3Server.Stop()
	if err := pop3Server.AddUser("me", canary); err != nil {
		t.Fatal(err)
	}
	for _, octets := range cutLetters {
		pop3Server.Deliver("me", []byte(octets))
	}
	p.reach(t, pop3Server.POP3Addr, "me")
	imapSource := func(ctx context.Context) (migrate.Source, error) { return opened(imap.New(i.cfg).Open(ctx, true)) }
	pop3Source := func(ctx context.Context) (migrate.Source, error) { return opened(pop3.New(p.cfg).Open(ctx)) }
	for name, c := range map[string]struct {
		server *cutServer
		open   func(context.Context) (migrate.Source, error)
	}{"imap": {i, imapSource}, "pop3": {p, pop3Source}} {
		t.Run(name, func(t *testing.T) {
			cuts := 0
			for whole := false; !whole; cuts++ {
				store := memory.New()
				job := migrate.Job{OpenSource: c.open, Ledger: &memory.Ledger{}, Options: atOnce,
					OpenSink: func(ctx context.Context) (migrate.Sink, error) { return store.Open(ctx) }}
				held := func() (octets []string) {
					for _, m := range store.Messages(migrate.Inbox) {
						octets = append(octets, string(m.Octets))
					}
					return octets
				}
				if whole = c.server.cutAt(t, cuts, job, held); t.Failed() {
					return
				}
			}
			if cuts < 300 {
				t.Errorf("the session was whole after %d octets already", cuts)
			}
			for at := 1; at < cuts; at += cutArchiveEvery {
				cutArchive(t, c.server, c.open, at)
			}
		})
	}
}

// opened makes a Source of a session, and a nil one where there is none.
func opened[S migrate.Source](session S, err error) (migrate.Source, error) {
	if err != nil {
		return nil, err
	}
	return session, nil
}

// cutArchive is one cut of a session that fills an archive on disk.
func cutArchive(t *testing.T, server *cutServer, open func(context.Context) (migrate.Source, error), at int) {
	dir := filepath.Join(t.TempDir(), "archive")
	ctx := t.Context()
	made, err := archive.Create(ctx, dir, archive.Maildir, "a server")
	if err != nil {
		t.Fatal(err)
	}
	if err := made.Close(); err != nil {
		t.Fatal(err)
	}
	for _, after := range []int{at, 0} {
		server.after.Store(int64(after))
		store, err := archive.Open(ctx, dir, archive.Options{})
		if err != nil {
			t.Fatal(err)
		}
		known, err := store.Ledger(ctx, "a server")
		if err != nil {
			t.Fatal(err)
		}
		job := migrate.Job{OpenSource: open, Ledger: known, Options: atOnce, OpenSink: func(context.Context) (migrate.Sink, error) { return store.Sink(), nil }}
		if err := cutRun(job); (err == nil) != (after == 0) {
			t.Errorf("archive, cut at %d: %v", after, err)
		}
		totals, err := store.Verify(ctx, func(p archive.Problem) { t.Errorf("archive, cut at %d: %+v", at, p) })
		if err != nil || totals.Messages > int64(len(cutLetters)) || after == 0 && totals.Messages != int64(len(cutLetters)) {
			t.Errorf("archive, cut at %d: %+v, %v", at, totals, err)
		}
		if err := store.Close(); err != nil {
			t.Fatal(err)
		}
	}
}

// TestCutRestore is TestCutBackup in the other direction: the answers of the server that mail goes to are cut.
func TestCutRestore(t *testing.T) {
	defer goleak.VerifyNone(t, goleak.IgnoreCurrent())
	c, server := cutIMAP(t, "somebody")
	defer server.Stop()
	from := memory.New()
	from.Make(migrate.Mailbox{Path: migrate.Inbox})
	for i, octets := range cutLetters {
		from.Put(migrate.Inbox, migrate.Message{InternalDate: someDay(i)}, []byte(octets))
	}
	cuts := 0
	for whole := false; !whole; cuts++ {
		c.cfg.User = fmt.Sprintf("user%d", cuts)
		if err := server.AddUser(c.cfg.User, canary); err != nil {
			t.Fatal(err)
		}
		account := imap.New(c.cfg)
		job := migrate.Job{Ledger: &memory.Ledger{}, Options: atOnce,
			OpenSource: func(ctx context.Context) (migrate.Source, error) { return from.Open(ctx) },
			OpenSink: func(ctx context.Context) (migrate.Sink, error) {
				session, err := account.Open(ctx, false)
				if err != nil {
					return nil, err
				}
				return session, nil
			}}
		held := func() (octets []string) {
			messages, err := server.Messages(c.cfg.User, "INBOX")
			if err != nil {
				t.Fatal(err)
			}
			for _, m := range messages {
				octets = append(octets, string(m.Octets))
			}
			return octets
		}
		if whole = c.cutAt(t, cuts, job, held); t.Failed() {
			return
		}
	}
	if cuts < 300 {
		t.Errorf("the session was whole after %d octets already", cuts)
	}
}

// cutAt does a job over a session that is cut behind so many octets, and again over one that is not, and looks at what is
// held after each. whole tells that the first came to its end.
func (c *cutServer) cutAt(t *testing.T, cuts int, job migrate.Job, held func() []string) (whole bool) {
	t.Helper()
	c.after.Store(int64(cuts + 1))
	whole = cutRun(job) == nil
	checkCut(t, cuts, held(), false)
	c.after.Store(0)
	if _, err := migrate.Run(t.Context(), job); err != nil {
		t.Fatalf("cut at %d, second run: %v", cuts, err)
	}
	checkCut(t, cuts, held(), true)
	return whole
}

// checkCut sees that what is held are letters, none twice, and all of them in the end.
func checkCut(t *testing.T, at int, held []string, all bool) {
	seen := map[string]bool{}
	for _, octets := range held {
		if !slices.Contains(cutLetters, octets) {
			t.Errorf("cut at %d: a message %q", at, octets)
		}
		if seen[octets] {
			t.Errorf("cut at %d: %q is there twice", at, octets)
		}
		seen[octets] = true
	}
	if all && len(held) != len(cutLetters) {
		t.Errorf("cut at %d: %d messages in the end", at, len(held))
	}
}
