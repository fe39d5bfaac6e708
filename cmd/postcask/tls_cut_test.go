package main

import (
	"context"
	"fmt"
	"sync/atomic"
	"testing"

	"go.uber.org/goleak"

	"postcask/migrate"
	"postcask/migrate/imap"
	"postcask/migrate/memory"
	"postcask/migrate/pop3"
	"postcask/migrate/testserver"
	"postcask/migrate/wire"
)

// A torn server is one in memory whose connections end after so many octets, those of TLS if it speaks TLS.
type torn struct {
	toServer, toClient atomic.Int64 // 0 for never
	cfg                wire.Config
	imap               *testserver.IMAP
	pop3               *testserver.POP3
}

func (s *torn) fault(int) testserver.Fault {
	return testserver.Fault{AfterReading: s.toServer.Load(), AfterWriting: s.toClient.Load()}
}

// start runs the server for the length of a test.
func (s *torn) start(t *testing.T, kind string, secured bool) {
	t.Helper()
	var server *testserver.Server
	var plain, tls string
	switch kind {
	case "pop3":
		s.pop3 = testserver.StartPOP3(t, testserver.POP3Options{Faults: s.fault})
		server, plain, tls = &s.pop3.Server, s.pop3.POP3Addr, s.pop3.POP3SAddr
	default:
		s.imap = testserver.StartIMAP(t, testserver.IMAPOptions{Faults: s.fault})
		server, plain, tls = &s.imap.Server, s.imap.IMAPAddr, s.imap.IMAPSAddr
	}
	server.Users(t, "somebody")
	s.cfg = plainConfig(t, plain)
	if secured {
		s.cfg = plainConfig(t, tls)
		s.cfg.TLS, s.cfg.CAFile = wire.Implicit, server.CAFile
	}
	s.cfg.User = "somebody"
}

// fill gives the user cutLetters.
func (s *torn) fill(t *testing.T) {
	t.Helper()
	for i, octets := range cutLetters {
		if s.pop3 != nil {
			s.pop3.Deliver("somebody", []byte(octets))
		} else if _, err := s.imap.Deliver("somebody", "INBOX", testserver.Mail{Date: someDay(i), Octets: []byte(octets)}); err != nil {
			t.Fatal(err)
		}
	}
}

// backup gives a job from the server into a store of its own, and what that holds.
func (s *torn) backup(*testing.T, int) (migrate.Job, func() []string) {
	store := memory.New()
	open := func(ctx context.Context) (migrate.Source, error) { return opened(imap.New(s.cfg).Open(ctx, true)) }
	if s.pop3 != nil {
		open = func(ctx context.Context) (migrate.Source, error) { return opened(pop3.New(s.cfg).Open(ctx)) }
	}
	return migrate.Job{OpenSource: open, Ledger: &memory.Ledger{}, Options: atOnce,
			OpenSink: func(ctx context.Context) (migrate.Sink, error) { return store.Open(ctx) }},
		func() (octets []string) {
			for _, m := range store.Messages(migrate.Inbox) {
				octets = append(octets, string(m.Octets))
			}
			return octets
		}
}

// restore gives a job into an account of its own on the server, and what that holds.
func (s *torn) restore(t *testing.T, at int) (migrate.Job, func() []string) {
	from := memory.New()
	from.Make(migrate.Mailbox{Path: migrate.Inbox})
	for i, octets := range cutLetters {
		from.Put(migrate.Inbox, migrate.Message{InternalDate: someDay(i)}, []byte(octets))
	}
	cfg := s.cfg
	cfg.User = fmt.Sprint("user", at)
	s.imap.Users(t, cfg.User)
	return migrate.Job{Ledger: &memory.Ledger{}, Options: atOnce, OpenSink: imapSink(imap.New(cfg)),
			OpenSource: func(ctx context.Context) (migrate.Source, error) { return from.Open(ctx) }},
		func() (octets []string) {
			messages, err := s.imap.Messages(cfg.User, "INBOX")
			if err != nil {
				t.Fatal(err)
			}
			for _, m := range messages {
				octets = append(octets, string(m.Octets))
			}
			return octets
		}
}

// TestCutTLS ends the connections of a backup and of a restore after some octets in either direction, within TLS and, on
// the way to the server, without it; TestCutBackup and TestCutRestore cut the answers in the clear at every octet. No
// part of a message is ever seen, and a second run ends with each there once.
func TestCutTLS(t *testing.T) {
	defer goleak.VerifyNone(t, goleak.IgnoreCurrent())
	for _, c := range []struct {
		kind, job string
		secured   bool
		toServer  bool
		step      int
	}{
		{"imap", "backup", false, true, 3}, {"imap", "restore", false, true, 3}, {"pop3", "backup", false, true, 1},
		{"imap", "backup", true, true, 29}, {"imap", "restore", true, true, 29}, {"pop3", "backup", true, true, 29},
		{"imap", "backup", true, false, 61}, {"imap", "restore", true, false, 61}, {"pop3", "backup", true, false, 61},
	} {
		name := c.kind + " " + c.job + map[bool]string{false: " in the clear", true: " within TLS"}[c.secured] +
			map[bool]string{false: ", answers", true: ", commands"}[c.toServer]
		t.Run(name, func(t *testing.T) {
			s := &torn{}
			s.start(t, c.kind, c.secured)
			prepare, bound := s.backup, &s.toClient
			if c.toServer {
				bound = &s.toServer
			}
			if c.job == "restore" {
				prepare = s.restore
			} else {
				s.fill(t)
			}
			cuts := 0
			for at, whole := 1, false; !whole; at += c.step {
				job, held := prepare(t, at)
				bound.Store(int64(at))
				if whole = cutRun(job) == nil; !whole {
					cuts++
				}
				checkCut(t, at, held(), false)
				bound.Store(0)
				if _, err := migrate.Run(t.Context(), job); err != nil {
					t.Fatalf("cut at %d, second run: %v", at, err)
				}
				if checkCut(t, at, held(), true); t.Failed() {
					return
				}
			}
			if cuts < 30 {
				t.Errorf("the session was cut %d times only", cuts)
			}
			t.Logf("%d cuts", cuts)
		})
	}
}
