//go:build integration

package main_test

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"postcask/migrate/testserver"
)

// onServer gives the messages of INBOX, less the line ends at their end, with their UIDs.
func onServer(t *testing.T, imap *testserver.RawIMAP) map[string]uint32 {
	t.Helper()
	messages, err := imap.Messages("INBOX")
	if err != nil {
		t.Fatal(err)
	}
	found := map[string]uint32{}
	for _, m := range messages {
		found[string(bytes.TrimRight(m.Body, "\r\n"))] = m.UID
	}
	return found
}

// inMaildir gives the same of an archive's INBOX, with the paths of their files.
func inMaildir(t *testing.T, dir string) map[string]string {
	t.Helper()
	paths, err := filepath.Glob(filepath.Join(dir, "INBOX", "cur", "*"))
	if err != nil {
		t.Fatal(err)
	}
	found := map[string]string{}
	for _, path := range paths {
		octets, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		found[string(bytes.TrimRight(wireForm(octets), "\r\n"))] = path
	}
	return found
}

func fill(t *testing.T, imap *testserver.RawIMAP, from, to int) {
	t.Helper()
	for i := from; i < to; i++ {
		letter := fmt.Appendf(nil, "Subject: %d\r\nMessage-ID: <%d@example.org>\r\n\r\nbody of %d\r\n", i, i, i)
		if err := imap.Append("INBOX", "", "05-Feb-2021 04:03:02 +0100", letter); err != nil {
			t.Fatal(err)
		}
	}
}

// What goes from a real server is exactly what is safe: in sessions of a hundred and one more, with a damaged copy that
// keeps its message there, and with what another program has flagged left alone.
func TestDeleteAfterOnRealServers(t *testing.T) {
	t.Parallel()
	bin := binary(t)
	for _, name := range testserver.Named(t) {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			server := testserver.Start(t, name)
			server.Users(t, "me", "other")
			for user, where := range map[string]func(*testserver.Server, string) string{"me": popURL, "other": imapURL} {
				t.Run(strings.SplitN(where(server, user), ":", 2)[0], func(t *testing.T) {
					imap := testserver.OpenIMAP(t, server, user, testserver.Password)
					fill(t, imap, 0, 130)
					dir, env, account := filepath.Join(t.TempDir(), "mail"), state(t), where(server, user)
					bin.summary(t, env, "backup", account, dir).expect(t, 0, 130, 130)
					spoilt := "Subject: 7\r\nMessage-ID: <7@example.org>\r\n\r\nbody of 7"
					path := inMaildir(t, dir)[spoilt]
					octets, err := os.ReadFile(path)
					if err == nil {
						octets[len(octets)/2] ^= 4
						err = os.WriteFile(path, octets, 0o600)
					}
					if err != nil {
						t.Fatal(err)
					}
					fill(t, imap, 130, 133)
					foreign := fmt.Sprint(onServer(t, imap)["Subject: 132\r\nMessage-ID: <132@example.org>\r\n\r\nbody of 132"])
					if _, err := imap.Do("SELECT INBOX"); err != nil {
						t.Fatal(err)
					}
					if _, err := imap.Do("UID STORE " + foreign + ` +FLAGS (\Deleted)`); err != nil {
						t.Fatal(err)
					}
					// Nothing of the last three is backed up by this run, since the archive is only tried.
					if s := bin.run(t, env, "backup", account, dir, "-n", "--delete-after", "0"); s.exit != 10 || !strings.Contains(s.stdout, "129 messages to delete") {
						t.Errorf("dry run: %d, %s%s", s.exit, s.stdout, s.stderr)
					}
					args := []string{"backup", account, dir, "--delete-after", "0"}
					if user == "other" { // letters of three digits are not chosen, so what the other program has flagged stays
						args = append(args, "--max-size", "58")
						if s := bin.run(t, env, append(args, "--max-delete", "3")...); s.exit != 11 || len(onServer(t, imap)) != 133 {
							t.Errorf("--max-delete: %d, %s%s", s.exit, s.stdout, s.stderr)
						}
					}
					s := bin.run(t, env, args...)
					if s.exit != 10 || !strings.Contains(s.stderr, "it stays at the source") {
						t.Errorf("exit %d, want 10: %s%s", s.exit, s.stdout, s.stderr)
					}
					left := onServer(t, imap)
					if _, there := left[spoilt]; !there {
						t.Error("the message whose copy is damaged has gone")
					}
					kept := inMaildir(t, dir)
					for i := range 133 {
						letter := fmt.Sprintf("Subject: %d\r\nMessage-ID: <%d@example.org>\r\n\r\nbody of %d", i, i, i)
						_, onTheServer := left[letter]
						if _, safe := kept[letter]; !safe && !onTheServer {
							t.Errorf("message %d is lost", i)
						}
						if chosen := user == "me" || len(letter)+2 <= 58; onTheServer == chosen && i != 7 {
							t.Errorf("message %d is on the server: %v, want %v", i, onTheServer, !chosen)
						}
					}
				})
			}
		})
	}
}

// Another program deletes and delivers while we do: whatever it does, each message is on the server, in the archive, or
// was deleted by it.
func TestDeleteAfterWhileAnotherDeletes(t *testing.T) {
	t.Parallel()
	bin := binary(t)
	for _, name := range testserver.Named(t) {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			server := testserver.Start(t, name)
			server.Users(t, "me")
			imap, other := testserver.OpenIMAP(t, server, "me", testserver.Password), testserver.OpenIMAP(t, server, "me", testserver.Password)
			fill(t, imap, 0, 300)
			dir, env := filepath.Join(t.TempDir(), "mail"), state(t)
			stop, begun, done := make(chan struct{}), make(chan struct{}), make(chan map[string]bool)
			begin := sync.OnceFunc(func() { close(begun) })
			go func() {
				gone := map[string]bool{}
				defer func() { done <- gone }()
				for i := 0; ; i++ {
					select {
					case <-stop:
						return
					case <-time.After(20 * time.Millisecond):
					}
					messages, err := other.Messages("INBOX")
					if err != nil || len(messages) == 0 {
						continue
					}
					m := messages[len(messages)/2]
					gone[string(bytes.TrimRight(m.Body, "\r\n"))] = true
					other.Do("SELECT INBOX")
					other.Do(fmt.Sprintf(`UID STORE %d +FLAGS (\Deleted)`, m.UID))
					other.Do(fmt.Sprintf("UID EXPUNGE %d", m.UID))
					begin()
				}
			}()
			<-begun
			for range 2 {
				if s := bin.run(t, env, "backup", imapURL(server, "me"), dir, "--delete-after", "0"); s.exit != 0 && s.exit != 3 {
					t.Errorf("exit %d: %s%s", s.exit, s.stdout, s.stderr)
				}
			}
			close(stop)
			gone := <-done
			bin.ok(t, env, "backup", imapURL(server, "me"), dir, "--delete-after", "0")
			if left := onServer(t, imap); len(left) != 0 {
				t.Errorf("%d messages are left on the server", len(left))
			}
			kept := inMaildir(t, dir)
			for i := range 300 {
				letter := fmt.Sprintf("Subject: %d\r\nMessage-ID: <%d@example.org>\r\n\r\nbody of %d", i, i, i)
				if _, safe := kept[letter]; !safe && !gone[letter] {
					t.Errorf("message %d is lost", i)
				}
			}
			if len(gone) == 0 {
				t.Error("the other program has deleted nothing")
			}
			bin.ok(t, env, "verify", dir)
		})
	}
}
