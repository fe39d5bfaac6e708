//go:build integration

package pop3

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"postcask/migrate"
	"postcask/migrate/testserver"
	"postcask/migrate/wire"
)

// mail is what goes in, by name.
func mail() map[string][]byte {
	const head = "From: a@example.org\r\nSubject: s\r\n"
	messages := map[string][]byte{
		"dots":       []byte(head + "\r\n.\r\n..\r\n...a\r\n.b\r\n\r\n.\r\n"),
		"no body":    []byte(head + "\r\n"),
		"header end": []byte(head),
		"eight bits": []byte("From: a@example.org\r\nSubject: \xc3\xa4\xc3\xb6\r\nContent-Type: text/plain; charset=utf-8\r\nContent-Transfer-Encoding: 8bit\r\n\r\n\xe2\x82\xac\r\n"),
		"long line":  []byte(head + "\r\n" + strings.Repeat("x", 100_000) + "\r\n"),
		"5 MB":       []byte(head + "\r\n" + strings.Repeat(strings.Repeat("y", 76)+"\r\n", 64_000)),
		"From":       []byte(head + "\r\nFrom here\r\n>From there\r\n"),
	}
	for n := range 60 {
		messages["plain "+strconv.Itoa(n)] = fmt.Appendf(nil, "%s\r\nmessage %d\r\n%s", head, n, strings.Repeat("z\r\n", n*10))
	}
	return messages
}

// mechanisms are what each server offers, beyond what auto takes.
var mechanisms = map[string][]string{
	"dovecot": {"user", "plain"},
	"cyrus":   {"user", "plain", "login", "cram-md5", "scram-sha-256"},
	"courier": {"user", "plain", "login"},
}

// configFor gives the way to a server.
func configFor(t *testing.T, s *testserver.Server, mode wire.TLSMode, auth string) wire.Config {
	t.Helper()
	address := s.POP3Addr
	if mode == wire.Implicit {
		address = s.POP3SAddr
	}
	_, port, err := net.SplitHostPort(address)
	if err != nil {
		t.Fatal(err)
	}
	number, err := strconv.Atoi(port)
	if err != nil {
		t.Fatal(err)
	}
	return wire.Config{Host: "localhost", Port: number, TLS: mode, CAFile: s.CAFile, Auth: auth, User: "me", Timeout: 30 * time.Second,
		Password: func(context.Context) (string, error) { return testserver.Password, nil }}
}

// Every way in gives the same messages under the same names, octet for octet what IMAP gives, but for line ends at the
// very end.
func TestRealServers(t *testing.T) {
	for _, name := range testserver.Named(t) {
		t.Run(name, func(t *testing.T) {
			server := testserver.Start(t, name)
			server.Users(t, "me", "other")
			imap := testserver.OpenIMAP(t, server, "me", testserver.Password)
			for what, octets := range mail() {
				if err := imap.Append("INBOX", "", "05-Feb-2021 04:03:02 +0100", octets); err != nil {
					t.Fatalf("%s: %v", what, err)
				}
			}
			stored, err := imap.Messages("INBOX")
			if err != nil {
				t.Fatal(err)
			}
			want := map[migrate.Digest]int{}
			for _, m := range stored {
				want[identity(m.Body).Trimmed]++
			}
			var known []string
			for _, way := range []struct {
				what string
				mode wire.TLSMode
				auth string
			}{
				{"implicit TLS, auto", wire.Implicit, "auto"}, {"STLS, USER", wire.StartTLS, "user"},
				{"STLS, auto", wire.StartTLS, "auto"}, {"clear, auto", wire.Plain, "auto"},
			} {
				t.Run(way.what, func(t *testing.T) {
					s := openAt(t, configFor(t, server, way.mode, way.auth))
					t.Logf("capabilities: %v", s.capabilities)
					got, uidls := readAll(t, s)
					if diff := cmp.Diff(want, got); diff != "" {
						t.Errorf("digests of messages, -IMAP +POP3:\n%s", diff)
					}
					if known == nil {
						known = uidls
					}
					if diff := cmp.Diff(known, uidls); diff != "" {
						t.Errorf("names, -first session +this one:\n%s", diff)
					}
					if status, err := s.Status(t.Context(), migrate.Inbox); err != nil || status.Messages != int64(len(stored)) {
						t.Errorf("status: %+v, %v; want %d messages", status, err, len(stored))
					}
					checkHeaders(t, s, uidls)
					s.Close()
				})
			}
			for _, auth := range mechanisms[name] {
				t.Run("auth="+auth, func(t *testing.T) {
					if _, err := openAt(t, configFor(t, server, wire.StartTLS, auth)).Status(t.Context(), migrate.Inbox); err != nil {
						t.Error(err)
					}
				})
			}
			t.Run("empty maildrop", func(t *testing.T) {
				cfg := configFor(t, server, wire.Implicit, "auto")
				cfg.User = "other"
				if got, err := names(openAt(t, cfg)); got != nil || err != nil {
					t.Errorf("got %q, %v", got, err)
				}
			})
			t.Run("left in the midst, and taken up", func(t *testing.T) {
				s := openAt(t, configFor(t, server, wire.Implicit, "auto"))
				for f, err := range s.Fetch(t.Context(), migrate.Inbox, messages(known...)) {
					if err != nil {
						t.Fatal(err)
					}
					io.ReadFull(f.Body, make([]byte, 10))
					break
				}
				if got, err := fetch(t.Context(), s, known[len(known)-1]); err != nil || len(got) != 1 {
					t.Errorf("%d messages, %v", len(got), err)
				}
			})
			t.Run("wrong password", func(t *testing.T) {
				cfg := configFor(t, server, wire.Implicit, "auto")
				cfg.Password = func(context.Context) (string, error) { return "wrong", nil }
				if _, err := New(cfg).Open(t.Context()); migrate.KindOf(err) != migrate.Auth {
					t.Errorf("got %v, want kind Auth", err)
				}
			})
		})
	}
}

func identity(octets []byte) migrate.Identity {
	h := migrate.NewHasher()
	h.Write(octets)
	return h.Identity()
}

// readAll lists and fetches everything: the digests, and the names in order.
func readAll(t *testing.T, s *Session) (map[migrate.Digest]int, []string) {
	t.Helper()
	var listed []migrate.Message
	var uidls []string
	for m, err := range s.Messages(t.Context(), migrate.Inbox) {
		if err != nil {
			t.Fatal(err)
		}
		listed, uidls = append(listed, m), append(uidls, m.Key.Name)
	}
	got := map[migrate.Digest]int{}
	begin := time.Now()
	for f, err := range s.Fetch(t.Context(), migrate.Inbox, listed) {
		if err != nil || f.Err != nil {
			t.Fatal(err, f.Err)
		}
		h := migrate.NewHasher()
		if _, err := io.Copy(h, f.Body); err != nil {
			t.Fatal(err)
		}
		got[h.Identity().Trimmed]++
	}
	t.Logf("%d messages in %v", len(listed), time.Since(begin))
	return got, uidls
}

func checkHeaders(t *testing.T, s *Session, uidls []string) {
	t.Helper()
	count := 0
	for f, err := range s.Headers(t.Context(), "INBOX", messages(uidls...)) {
		if err != nil || f.Err != nil {
			t.Fatal(err, f.Err)
		}
		if header := f.Octets; !bytes.Contains(header, []byte("From: a@example.org\r\n")) || len(header) > 2000 {
			t.Errorf("header of %s: %.200q", f.Message.Key, header)
		}
		count++
	}
	if count != len(uidls) {
		t.Errorf("%d headers, want %d", count, len(uidls))
	}
}
