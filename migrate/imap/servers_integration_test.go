//go:build integration

package imap

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/sync/errgroup"

	"postcask/migrate"
	"postcask/migrate/storetest"
	"postcask/migrate/testserver"
	"postcask/migrate/wire"
)

// settings are those to reach a server's user by implicit TLS.
func settings(t *testing.T, server *testserver.Server, user string) wire.Config {
	t.Helper()
	host, port, err := net.SplitHostPort(server.IMAPSAddr)
	if err != nil {
		t.Fatal(err)
	}
	n, err := strconv.Atoi(port)
	if err != nil {
		t.Fatal(err)
	}
	return wire.Config{Host: host, Port: n, TLS: wire.Implicit, CAFile: server.CAFile, Timeout: time.Minute,
		User: user, Password: func(context.Context) (string, error) { return testserver.Password, nil }}
}

func eachServer(t *testing.T, test func(t *testing.T, server *testserver.Server)) {
	for _, name := range testserver.Named(t) {
		t.Run(name, func(t *testing.T) {
			server := testserver.Start(t, name)
			// All of them at once: Dovecot looks for new ones only now and then.
			server.Users(t, "ada")
			for i := range 12 {
				server.Users(t, fmt.Sprintf("store%d", i))
			}
			test(t, server)
		})
	}
}

func TestServersAreStores(t *testing.T) {
	eachServer(t, func(t *testing.T, server *testserver.Server) {
		users := 0
		storetest.Run(t, func(t *testing.T) storetest.Store {
			users++
			acct := New(settings(t, server, fmt.Sprintf("store%d", users)))
			return storetest.Store{
				Open: func(ctx context.Context) (storetest.Both, error) {
					s, err := acct.Open(ctx, false)
					if err == nil && server.Name == "cyrus" {
						return &withoutPercent{s}, nil
					}
					return s, err
				},
				Keywords:    true,
				LastLineEnd: server.Name != "courier", // which adds a line end
			}
		})
	})
}

// withoutPercent spells "%" out in names: Cyrus takes none that holds one.
type withoutPercent struct{ *Session }

func (w *withoutPercent) Create(ctx context.Context, mbox migrate.Mailbox) error {
	mbox.Path = migrate.Path(strings.ReplaceAll(string(mbox.Path), "%", " per cent"))
	return w.Session.Create(ctx, mbox)
}

func (w *withoutPercent) Mailboxes(ctx context.Context) ([]migrate.Mailbox, error) {
	mailboxes, err := w.Session.Mailboxes(ctx)
	for i := range mailboxes {
		mailboxes[i].Path = migrate.Path(strings.ReplaceAll(string(mailboxes[i].Path), " per cent", "%"))
	}
	return mailboxes, err
}

// TestServersWaysIn logs in by each mechanism over each kind of connection.
func TestServersWaysIn(t *testing.T) {
	eachServer(t, func(t *testing.T, server *testserver.Server) {
		const awkward = "a\"b\\c {5} pä§s &"
		if err := server.AddUser("other", awkward); err != nil {
			t.Fatal(err)
		}
		_, plain, _ := net.SplitHostPort(server.IMAPAddr)
		for _, auth := range []string{"auto", "login", "user", "plain", "cram-md5", "scram-sha-256"} {
			for _, mode := range []wire.TLSMode{wire.Implicit, wire.StartTLS, wire.Plain} {
				cfg := settings(t, server, "other")
				cfg.Password = func(context.Context) (string, error) { return awkward, nil }
				if auth == "cram-md5" || auth == "scram-sha-256" {
					cfg = settings(t, server, "ada") // stringprep and hashes are not what is tried here
				}
				cfg.Auth, cfg.TLS = auth, mode
				if mode != wire.Implicit {
					cfg.Port, _ = strconv.Atoi(plain)
				}
				s, err := New(cfg).Open(t.Context(), true)
				if err != nil {
					if server.Name == "dovecot" || auth == "auto" || auth == "login" || auth == "user" {
						t.Errorf("%s, mode %d: %v", auth, mode, err)
					} else if !strings.Contains(err.Error(), "does not offer") {
						t.Errorf("%s, mode %d: %v", auth, mode, err)
					}
					continue
				}
				s.Close()
			}
		}
		cfg := settings(t, server, "ada")
		cfg.Password = func(context.Context) (string, error) { return "wrong", nil }
		if _, err := New(cfg).Open(t.Context(), true); migrate.KindOf(err) != migrate.Auth {
			t.Errorf("wrong password: %v", err)
		}
	})
}

// TestServersTakeNames makes mailboxes of awkward names and finds them again from a session that knows nothing yet.
func TestServersTakeNames(t *testing.T) {
	eachServer(t, func(t *testing.T, server *testserver.Server) {
		tryNames(t, server)
	})
}

func TestDovecotTakesNamesBelowInbox(t *testing.T) {
	server := testserver.StartDovecot(t, testserver.DovecotOptions{Prefix: "INBOX.", Separator: "."})
	server.Users(t, "ada")
	tryNames(t, server)
	raw := testserver.OpenIMAP(t, server, "ada", testserver.Password)
	all, err := raw.Mailboxes()
	if err != nil {
		t.Fatal(err)
	}
	if !slices.ContainsFunc(all, func(m testserver.RawMailbox) bool { return m.Name == "INBOX.Work.2020" }) {
		t.Errorf("no INBOX.Work.2020 among %v", all)
	}
}

func TestCyrusTakesNamesBelowInbox(t *testing.T) {
	server := testserver.StartCyrus(t, testserver.CyrusOptions{DotSeparator: true, BelowInbox: true})
	server.Users(t, "ada")
	tryNames(t, server)
}

func tryNames(t *testing.T, server *testserver.Server) {
	t.Helper()
	s := open(t, settings(t, server, "ada"), false)
	wanted := []migrate.Path{"Work/2020/Q1", "Work/2020", "Entwürfe", "日本語/部", "Q&A", "&", "a&AOQ-b", "quo\"te", "wild*card%", "back\\slash", "sp ace", " lead", "trail ",
		migrate.NewPath("dot.ted"), migrate.NewPath("sla/sh"), "INBOX/child", "😀", "tilde~", "{x}", "x(y)", "[z]"}
	taken := map[migrate.Path]bool{}
	for _, path := range wanted {
		if err := s.Create(t.Context(), migrate.Mailbox{Path: path, Subscribed: true}); err != nil {
			t.Logf("%s takes no %q: %v", server.Name, path, err)
			if s.conn.Err() != nil {
				t.Fatal(s.conn.Err())
			}
			continue
		}
		if err := s.Append(t.Context(), path, migrate.Message{}, textBody("Subject: "+encodeName(string(path))+"\r\n\r\nx\r\n")); err != nil {
			t.Fatal(err)
		}
		stored, err := s.Commit(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		if stored[0].Err != nil {
			t.Logf("%s creates, but does not fill %q: %v", server.Name, path, stored[0].Err)
			continue
		}
		taken[path] = true
	}
	if len(taken) < 12 {
		t.Errorf("only %d names were taken", len(taken))
	}
	renamed := map[migrate.Path]string{}
	for _, r := range s.acct.RenamedMailboxes() {
		renamed[r.Path] = r.Name
		t.Logf("renamed %q to %q", r.Path, r.Name)
	}
	second := open(t, settings(t, server, "ada"), true)
	mailboxes, err := second.Mailboxes(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	have := map[migrate.Path]migrate.Mailbox{}
	for i, m := range mailboxes {
		have[m.Path] = m
		if parent := m.Path.Parent(); parent != "" {
			if at := slices.IndexFunc(mailboxes, func(p migrate.Mailbox) bool { return p.Path == parent }); at > i {
				t.Errorf("%q comes before its parent", m.Path)
			}
		}
	}
	for path := range taken {
		m, ok := have[path]
		if renamed[path] != "" {
			continue
		}
		if !ok || !m.Subscribed || m.NoSelect {
			t.Errorf("%q was made and is listed as %+v", path, m)
			continue
		}
		status, err := second.Status(t.Context(), path)
		if err != nil || status.Messages != 1 || status.UIDValidity == 0 || status.UIDNext < 2 {
			t.Errorf("%q: %+v, %v", path, status, err)
		}
		for m, err := range second.Messages(t.Context(), path) {
			if err != nil {
				t.Fatal(err)
			}
			for f, err := range second.Fetch(t.Context(), path, []migrate.Message{m}) {
				if err != nil || f.Err != nil {
					t.Fatal(err, f.Err)
				}
				octets, _ := io.ReadAll(f.Body)
				if !strings.HasPrefix(string(octets), "Subject: "+encodeName(string(path))+"\r\n") {
					t.Errorf("%q holds %q", path, octets)
				}
			}
		}
	}
	if status, err := second.Status(t.Context(), "Not/There"); err != nil || status != (migrate.Status{}) {
		t.Errorf("what is not there: %+v, %v", status, err)
	}
	if second.conn.Err() != nil {
		t.Error(second.conn.Err())
	}
}

// TestServersKeepMany puts in well over a thousand messages, with dates, zones, flags and keywords, and reads them back.
func TestServersKeepMany(t *testing.T) {
	eachServer(t, func(t *testing.T, server *testserver.Server) {
		s := open(t, settings(t, server, "ada"), false)
		const count = 1200
		if err := s.Create(t.Context(), migrate.Mailbox{Path: "Many"}); err != nil {
			t.Fatal(err)
		}
		sent := map[migrate.Key]migrate.Message{}
		bodies := map[migrate.Key]string{}
		var waiting []migrate.Message
		var texts []string
		commit := func() {
			stored, err := s.Commit(t.Context())
			if err != nil || len(stored) != len(waiting) {
				t.Fatal(len(stored), err)
			}
			for i, st := range stored {
				if st.Err != nil || st.Key.IsZero() || len(st.Dropped) > 0 {
					t.Fatalf("message %d: %+v", i, st)
				}
				sent[st.Key], bodies[st.Key] = waiting[i], texts[i]
			}
			waiting, texts = nil, nil
		}
		began := time.Now()
		for i := range count {
			zone := time.FixedZone("", (i%27-13)*3600+i%2*1800)
			m := migrate.Message{InternalDate: time.Date(1995+i%30, time.Month(1+i%12), 1+i%28, i%24, i%60, (i*7)%60, 0, zone)}
			m.Flags = migrate.NewFlags([][]string{{}, {`\Seen`}, {`\Answered`, `\Flagged`, "$Forwarded"}, {"$Label1", `\Draft`}}[i%4]...)
			text := fmt.Sprintf("Subject: %d\r\nX-Long: %s\r\n\r\n.\r\nFrom %d\r\n", i, strings.Repeat("y", i%5000), i)
			waiting, texts = append(waiting, m), append(texts, text)
			if err := s.Append(t.Context(), "Many", m, textBody(text)); err != nil {
				t.Fatal(err)
			}
			if len(waiting) == 200 {
				commit()
			}
		}
		commit()
		t.Logf("append: %.0f messages/s", count/time.Since(began).Seconds())
		source := open(t, settings(t, server, "ada"), true)
		began = time.Now()
		seen := 0
		var group []migrate.Message
		read := func() {
			for f, err := range source.Fetch(t.Context(), "Many", group) {
				if err != nil || f.Err != nil {
					t.Fatal(err, f.Err)
				}
				octets, err := io.ReadAll(f.Body)
				if err != nil || string(octets) != bodies[f.Message.Key] || f.Body.Size != int64(len(octets)) {
					t.Fatalf("%s: %d octets, %v", f.Message.Key, len(octets), err)
				}
				seen++
			}
			group = nil
		}
		for m, err := range source.Messages(t.Context(), "Many") {
			if err != nil {
				t.Fatal(err)
			}
			want := sent[m.Key]
			if !m.InternalDate.Equal(want.InternalDate) || !m.Flags.Equal(want.Flags) || m.Size != int64(len(bodies[m.Key])) {
				t.Fatalf("%s is %+v, was sent as %+v", m.Key, m, want)
			}
			if group = append(group, m); len(group) == 500 {
				read() // in the middle of the listing
			}
		}
		read()
		t.Logf("list and fetch: %.0f messages/s", count/time.Since(began).Seconds())
		if seen != count {
			t.Errorf("%d of %d came back", seen, count)
		}
		// Flags, on half of them.
		var changes []migrate.FlagChange
		for key, m := range sent {
			if key.UID%2 == 0 {
				changes = append(changes, migrate.FlagChange{Key: key, Flags: migrate.NewFlags(`\Flagged`, "$Done")})
				m.Flags = changes[len(changes)-1].Flags
				sent[key] = m
			}
		}
		if err := s.SetFlags(t.Context(), "Many", changes); err != nil {
			t.Fatal(err)
		}
		for m, err := range source.Messages(t.Context(), "Many") {
			if err != nil || !m.Flags.Equal(sent[m.Key].Flags) {
				t.Fatalf("%s has %v, not %v (%v)", m.Key, m.Flags, sent[m.Key].Flags, err)
			}
		}
		heads := 0
		for h, err := range source.Headers(t.Context(), "Many", slices.Collect(keysOf(sent))) {
			if err != nil || h.Err != nil || !strings.HasPrefix(string(h.Octets), "Subject: ") {
				t.Fatalf("%q, %v, %v", h.Octets, h.Err, err)
			}
			heads++
		}
		if heads != count {
			t.Errorf("%d headers", heads)
		}
	})
}

func keysOf(sent map[migrate.Key]migrate.Message) func(func(migrate.Message) bool) {
	return func(yield func(migrate.Message) bool) {
		for key := range sent {
			if !yield(migrate.Message{Key: key}) {
				return
			}
		}
	}
}

// TestServersTakeManySessions has sessions of one account write and read side by side.
func TestServersTakeManySessions(t *testing.T) {
	eachServer(t, func(t *testing.T, server *testserver.Server) {
		acct := New(settings(t, server, "ada"))
		var group errgroup.Group
		for i := range 4 {
			group.Go(func() error {
				s, err := acct.Open(t.Context(), false)
				if err != nil {
					return err
				}
				defer s.Close()
				path := migrate.Path(fmt.Sprintf("Side/by side %d", i))
				if err := s.Create(t.Context(), migrate.Mailbox{Path: path, Subscribed: true}); err != nil {
					return err
				}
				for range 3 {
					for k := range 20 {
						if err := s.Append(t.Context(), path, migrate.Message{}, textBody(fmt.Sprintf("Subject: %d %d\r\n\r\nx\r\n", i, k))); err != nil {
							return err
						}
					}
					if _, err := s.Commit(t.Context()); err != nil {
						return err
					}
				}
				read := 0
				var all []migrate.Message
				for m, err := range s.Messages(t.Context(), path) {
					if err != nil {
						return err
					}
					all = append(all, m)
				}
				for f, err := range s.Fetch(t.Context(), path, all) {
					if err != nil || f.Err != nil {
						return errors.Join(err, f.Err)
					}
					read++
				}
				if read != 60 {
					return fmt.Errorf("%d of 60 in %q", read, path)
				}
				return nil
			})
		}
		if err := group.Wait(); err != nil {
			t.Error(err)
		}
	})
}

const noiseHead = "Subject: noise\r\n\r\n"

// A noise gives size octets that do not repeat soon, in lines.
type noise struct{ at, size int64 }

func (n *noise) Read(p []byte) (int, error) {
	if n.at == n.size {
		return 0, io.EOF
	}
	count := 0
	for count < len(p) && n.at < n.size {
		switch at := n.at % 78; {
		case n.at < int64(len(noiseHead)):
			p[count] = noiseHead[n.at]
		case n.at == n.size-2 || at == 76 && n.at != n.size-1:
			p[count] = '\r'
		case n.at == n.size-1 || at == 77:
			p[count] = '\n'
		default:
			p[count] = byte('a' + (n.at*7919+n.at/78)%26)
		}
		count++
		n.at++
	}
	return count, nil
}

// TestServersKeepOneLarge moves 60 MB each way, of known and of unknown length, in little memory.
func TestServersKeepOneLarge(t *testing.T) {
	eachServer(t, func(t *testing.T, server *testserver.Server) {
		const size = 60 << 20 / 78 * 78
		hash := sha256.New()
		io.Copy(hash, &noise{size: size})
		want := hash.Sum(nil)
		s := open(t, settings(t, server, "ada"), false)
		stop := watchHeap()
		for _, announced := range []int64{size, -1} {
			if err := s.Append(t.Context(), "INBOX", migrate.Message{}, migrate.Body{Reader: &noise{size: size}, Size: announced}); err != nil {
				t.Fatal(err)
			}
		}
		stored, err := s.Commit(t.Context())
		if err != nil || stored[0].Err != nil || stored[1].Err != nil {
			t.Fatal(stored, err)
		}
		for f, err := range s.Fetch(t.Context(), "INBOX", []migrate.Message{{Key: stored[0].Key}, {Key: stored[1].Key}}) {
			if err != nil || f.Err != nil {
				t.Fatal(err, f.Err)
			}
			hash.Reset()
			if n, err := io.Copy(hash, f.Body); n != size || err != nil || string(hash.Sum(nil)) != string(want) {
				t.Errorf("%s: %d octets, %v, not those that were sent", f.Message.Key, n, err)
			}
		}
		peak := stop()
		t.Logf("peak of the heap: %d KB", peak>>10)
		if peak > 24<<20 {
			t.Errorf("the heap grew to %d MB", peak>>20)
		}
	})
}

// watchHeap samples the heap until the returned function is called, which gives the peak.
func watchHeap() (stop func() uint64) {
	runtime.GC()
	quit, done := make(chan struct{}), make(chan uint64)
	go func() {
		var peak uint64
		for {
			var stats runtime.MemStats
			runtime.ReadMemStats(&stats)
			peak = max(peak, stats.HeapInuse)
			select {
			case <-quit:
				done <- peak
				return
			case <-time.After(20 * time.Millisecond):
			}
		}
	}()
	return func() uint64 { close(quit); return <-done }
}

func TestDovecotOverQuota(t *testing.T) {
	server := testserver.StartDovecot(t, testserver.DovecotOptions{Quota: "storage=100K"})
	server.Users(t, "ada")
	t.Setenv("TMPDIR", t.TempDir()) // where nobody else spools
	s := open(t, settings(t, server, "ada"), false)
	sizes := []int{20 << 10, 300 << 10, 20 << 10, 50 << 10, 60 << 10, 5 << 20, 5 << 10}
	stored := deliver(t, s, "INBOX", len(sizes), func(i int) migrate.Body {
		return migrate.Body{Reader: &noise{size: int64(sizes[i])}, Size: int64(sizes[i])}
	})
	var refused []bool
	for _, st := range stored {
		refused = append(refused, st.Err != nil)
		if st.Err != nil && migrate.KindOf(st.Err) != migrate.Refused {
			t.Errorf("kind %d: %v", migrate.KindOf(st.Err), st.Err)
		}
	}
	if diff := cmp.Diff([]bool{false, true, false, false, true, true, false}, refused); diff != "" {
		t.Error(diff)
	}
	status, err := s.Status(t.Context(), "INBOX")
	kept := 0
	for _, r := range refused {
		if !r {
			kept++
		}
	}
	if err != nil || status.Messages != int64(kept) {
		t.Errorf("%d were taken, %d are there (%v)", kept, status.Messages, err)
	}
	if files, _ := os.ReadDir(os.TempDir()); slices.ContainsFunc(files, func(f os.DirEntry) bool { return strings.HasPrefix(f.Name(), "postcask-spool") }) {
		t.Error("a spool file was left")
	}
}
