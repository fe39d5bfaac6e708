package imap

import (
	"context"
	"fmt"
	"io"
	"net"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"postcask/migrate"
	"postcask/migrate/testserver"
	"postcask/migrate/wire"
)

// memoryAccount starts a server in memory with n messages in INBOX, and gives the way to it and the messages as doomed.
func memoryAccount(t *testing.T, n int, opts testserver.IMAPOptions) (*testserver.IMAP, wire.Config, []migrate.Doomed) {
	t.Helper()
	server := testserver.StartIMAP(t, opts)
	server.Users(t, "me")
	for i := range n {
		octets := fmt.Appendf(nil, "Subject: %d\r\n\r\nbody %d\r\n", i, i)
		if _, err := server.Deliver("me", "INBOX", testserver.Mail{Octets: octets, Date: time.Date(2021, 1, 1, 0, 0, 0, 0, time.UTC)}); err != nil {
			t.Fatal(err)
		}
	}
	_, port, err := net.SplitHostPort(server.IMAPSAddr)
	if err != nil {
		t.Fatal(err)
	}
	number, err := strconv.Atoi(port)
	if err != nil {
		t.Fatal(err)
	}
	cfg := wire.Config{Host: "127.0.0.1", Port: number, TLS: wire.Implicit, CAFile: server.CAFile, Auth: "auto", User: "me", Timeout: 5 * time.Second,
		Password: func(context.Context) (string, error) { return testserver.Password, nil }}
	return server, cfg, doomedIn(t, cfg, "INBOX")
}

// doomedIn reads a mailbox, and gives its messages as they are to be deleted.
func doomedIn(t *testing.T, cfg wire.Config, path migrate.Path) (doomed []migrate.Doomed) {
	t.Helper()
	s := open(t, cfg, true)
	var messages []migrate.Message
	for m, err := range s.Messages(t.Context(), path) {
		if err != nil {
			t.Fatal(err)
		}
		messages = append(messages, m)
	}
	for f, err := range s.Fetch(t.Context(), path, messages) {
		if err != nil || f.Err != nil {
			t.Fatal(err, f.Err)
		}
		hasher := migrate.NewHasher()
		if _, err := io.Copy(hasher, f.Body); err != nil {
			t.Fatal(err)
		}
		doomed = append(doomed, migrate.Doomed{Key: f.Message.Key, Identity: hasher.Identity()})
	}
	s.Close()
	return doomed
}

func uidsLeft(t *testing.T, server *testserver.IMAP, mailbox string) (uids []uint32) {
	t.Helper()
	messages, err := server.Messages("me", mailbox)
	if err != nil {
		t.Fatal(err)
	}
	for _, m := range messages {
		uids = append(uids, m.UID)
	}
	return uids
}

func fates(removal migrate.Removal) (list []migrate.Fate) {
	for _, r := range removal.Removed {
		list = append(list, r.Fate)
	}
	return list
}

func TestRemove(t *testing.T) {
	const gone, kept, vanished, marked = migrate.Gone, migrate.Kept, migrate.Vanished, migrate.Marked
	for _, test := range []struct {
		name   string
		opts   testserver.IMAPOptions
		change func(t *testing.T, server *testserver.IMAP, doomed []migrate.Doomed) []migrate.Doomed
		want   []migrate.Fate
		left   []uint32
	}{
		{name: "all of them", want: []migrate.Fate{gone, gone, gone, gone}},
		{name: "two of them", change: func(_ *testing.T, _ *testserver.IMAP, doomed []migrate.Doomed) []migrate.Doomed { return doomed[1:3] },
			want: []migrate.Fate{gone, gone}, left: []uint32{1, 4}},
		{name: "what another client has flagged stays", change: func(t *testing.T, server *testserver.IMAP, doomed []migrate.Doomed) []migrate.Doomed {
			if err := server.SetFlags("me", "INBOX", 4, `\Deleted`); err != nil {
				t.Fatal(err)
			}
			return doomed[:3]
		}, want: []migrate.Fate{gone, gone, gone}, left: []uint32{4}},
		{name: "another client was faster", change: func(t *testing.T, server *testserver.IMAP, doomed []migrate.Doomed) []migrate.Doomed {
			if err := server.Expunge("me", "INBOX", 2); err != nil {
				t.Fatal(err)
			}
			return doomed
		}, want: []migrate.Fate{gone, vanished, gone, gone}},
		{name: "renumbered", change: func(t *testing.T, server *testserver.IMAP, doomed []migrate.Doomed) []migrate.Doomed {
			for i := range doomed {
				doomed[i].Key.Validity++
			}
			return doomed
		}, want: []migrate.Fate{kept, kept, kept, kept}, left: []uint32{1, 2, 3, 4}},
		{name: "another message under the UID", change: func(_ *testing.T, _ *testserver.IMAP, doomed []migrate.Doomed) []migrate.Doomed {
			doomed[1].Identity = migrate.NewHasher().Identity()
			return doomed
		}, want: []migrate.Fate{gone, kept, gone, gone}, left: []uint32{2}},
		{name: "a size announced wrongly is no harm", change: func(_ *testing.T, _ *testserver.IMAP, doomed []migrate.Doomed) []migrate.Doomed {
			doomed[1].Identity.Size++ // the server's size differs from this one, its octets do not
			return doomed
		}, want: []migrate.Fate{gone, gone, gone, gone}},
		{name: "no UIDPLUS", opts: testserver.IMAPOptions{Without: []string{"UIDPLUS"}},
			want: []migrate.Fate{marked, marked, marked, marked}, left: []uint32{1, 2, 3, 4}},
	} {
		t.Run(test.name, func(t *testing.T) {
			server, cfg, doomed := memoryAccount(t, 4, test.opts)
			if test.change != nil {
				doomed = test.change(t, server, doomed)
			}
			removal, err := open(t, cfg, false).Remove(t.Context(), "INBOX", doomed)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(test.want, fates(removal)); diff != "" {
				t.Errorf("fates -want +got:\n%s\n%v", diff, removal.Removed)
			}
			if diff := cmp.Diff(test.left, uidsLeft(t, server, "INBOX")); diff != "" {
				t.Errorf("in the mailbox -want +got:\n%s", diff)
			}
		})
	}
}

func TestRemoveThroughASessionThatOnlyReads(t *testing.T) {
	server, cfg, doomed := memoryAccount(t, 1, testserver.IMAPOptions{})
	if _, err := open(t, cfg, true).Remove(t.Context(), "INBOX", doomed); migrate.KindOf(err) != migrate.Misuse {
		t.Errorf("got %v, want an error of kind Misuse", err)
	}
	if left := uidsLeft(t, server, "INBOX"); len(left) != 1 {
		t.Errorf("%d messages are left, want 1", len(left))
	}
}

// Thousands of scattered UIDs go in commands that every server takes.
func TestRemoveManyInShortCommands(t *testing.T) {
	server, cfg, doomed := memoryAccount(t, 5000, testserver.IMAPOptions{})
	var odd []migrate.Doomed
	for i, m := range doomed {
		if i%2 == 1 {
			odd = append(odd, m)
		}
	}
	removal, err := open(t, cfg, false).Remove(t.Context(), "INBOX", odd)
	if err != nil {
		t.Fatal(err)
	}
	if slices.ContainsFunc(removal.Removed, func(r migrate.Removed) bool { return r.Fate != migrate.Gone }) {
		t.Error("not all of them are gone")
	}
	if left := uidsLeft(t, server, "INBOX"); len(left) != 2500 {
		t.Errorf("%d messages are left, want 2500", len(left))
	}
	expunges := 0
	for _, line := range server.Commands() {
		if strings.Contains(line, "EXPUNGE") {
			expunges++
		}
	}
	if text := setOf(scattered(odd)); expunges != 2 || len(text) < 8192 || len(text) > 2*commandLimit {
		t.Errorf("%d octets of UIDs went in %d commands, want more than one can hold, in two", len(text), expunges)
	}
}

func scattered(doomed []migrate.Doomed) (uids []uint32) {
	for _, m := range doomed {
		uids = append(uids, m.Key.UID)
	}
	return uids
}

// What the server says is not believed: it is what it lists afterwards that counts.
func TestRemoveOnTheWire(t *testing.T) {
	octets := "Subject: 1\r\n\r\n"
	hasher := migrate.NewHasher()
	hasher.Write([]byte(octets))
	doomed := []migrate.Doomed{{Key: migrate.Key{Validity: 77, UID: 5}, Identity: hasher.Identity()}, {Key: migrate.Key{Validity: 77, UID: 7}, Identity: hasher.Identity()}}
	row := func(number, uid int, flags string) string {
		return fmt.Sprintf("* %d FETCH (UID %d FLAGS (%s) RFC822.SIZE %d)", number, uid, flags, len(octets))
	}
	for _, test := range []struct {
		name  string
		after func(p *peer)
		want  []migrate.Fate
	}{
		{"expunged, and one stays all the same", func(p *peer) {
			p.answer("UID STORE", "TAG OK done")
			p.answer("UID EXPUNGE", "* 1 EXPUNGE", "TAG OK done")
			p.answer("UID FETCH", row(1, 7, `\Deleted`), "TAG OK done")
		}, []migrate.Fate{migrate.Gone, migrate.Kept}},
		{"numbers move while it is listed", func(p *peer) {
			p.answer("UID STORE", "TAG OK done")
			p.answer("UID EXPUNGE", "TAG OK done")
			p.answer("UID FETCH", row(2, 5, `\Deleted`), "* 1 EXPUNGE", row(2, 7, `\Deleted`), "TAG OK done")
		}, []migrate.Fate{migrate.Kept, migrate.Kept}},
		{"expunging is refused", func(p *peer) {
			p.answer("UID STORE", "TAG OK done")
			p.answer("UID EXPUNGE", "TAG NO [NOPERM] read only for you")
			p.answer("UID FETCH", row(1, 5, `\Deleted`), row(2, 7, `\Deleted`), "TAG OK done")
		}, []migrate.Fate{migrate.Kept, migrate.Kept}},
		{"flags are refused", func(p *peer) {
			p.answer("UID STORE", "TAG NO [NOPERM] read only for you")
			p.answer("UID FETCH", row(1, 5, ""), row(2, 7, ""), "TAG OK done")
		}, []migrate.Fate{migrate.Kept, migrate.Kept}},
	} {
		t.Run(test.name, func(t *testing.T) {
			cfg := serve(t, func(p *peer) {
				p.greet("UIDPLUS")
				p.examine("SELECT", 2)
				if args := p.answer("UID FETCH", row(1, 5, ""), row(2, 7, ""), "TAG OK done"); !strings.HasPrefix(args, "5,7 ") {
					p.t.Errorf("asked for %q", args)
				}
				test.after(p)
				p.bye()
			})
			s := open(t, cfg, false)
			removal, err := s.Remove(t.Context(), "INBOX", doomed)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(test.want, fates(removal)); diff != "" {
				t.Errorf("fates -want +got:\n%s\n%v", diff, removal.Removed)
			}
			s.Close()
			finished(cfg)
		})
	}
}

// A listing that fails, or a connection that ends, tells nothing.
func TestRemoveCutTellsNothing(t *testing.T) {
	doomed := []migrate.Doomed{{Key: migrate.Key{Validity: 77, UID: 5}, Identity: migrate.Identity{Size: 3}}}
	row := "* 1 FETCH (UID 5 FLAGS () RFC822.SIZE 3)"
	steps := []func(p *peer){
		func(p *peer) { p.answer("UID FETCH", row, "TAG OK done") },
		func(p *peer) { p.answer("UID STORE", "TAG OK done") },
		func(p *peer) { p.answer("UID EXPUNGE", "* 1 EXPUNGE", "TAG OK done") },
		func(p *peer) { p.answer("UID FETCH", "TAG NO [SERVERBUG] not now") },
	}
	for n := range len(steps) + 1 {
		cfg := serve(t, func(p *peer) {
			p.greet("UIDPLUS")
			p.examine("SELECT", 1)
			for _, step := range steps[:n] {
				step(p)
			}
			if n == len(steps) {
				p.bye()
			}
		})
		s := open(t, cfg, false)
		if removal, err := s.Remove(t.Context(), "INBOX", doomed); err == nil || len(removal.Removed) != 0 {
			t.Errorf("after %d steps: %v, %v; want an error and nothing told", n, removal.Removed, err)
		}
		s.Close()
		finished(cfg)
	}
}
