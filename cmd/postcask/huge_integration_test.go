//go:build integration

package main_test

import (
	"bytes"
	"path/filepath"
	"testing"

	"postcask/migrate/testserver"
)

// TestHugeMessage sends one message of 200 MB each way and looks at the most memory that any of it took.
func TestHugeMessage(t *testing.T) {
	t.Parallel()
	const bound = 96 << 20
	bin := binary(t)
	server := testserver.StartDovecot(t)
	server.Users(t, "old", "new", "moved", "popped")
	line := []byte("0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789abcd\r\n")
	message := append([]byte("Subject: huge\r\n\r\n"), bytes.Repeat(line, 200_000_000/len(line))...)
	if err := testserver.OpenIMAP(t, server, "old", "secret").Append("INBOX", "()", "17-Jul-2015 02:44:25 -0700", message); err != nil {
		t.Fatal(err)
	}
	want := digest(message)
	message = nil
	archives := map[string]string{"maildir": filepath.Join(t.TempDir(), "maildir"), "mbox": filepath.Join(t.TempDir(), "mbox"), "pop": filepath.Join(t.TempDir(), "pop")}
	env := state(t)
	for _, args := range [][]string{
		{"backup", imapURL(server, "old"), archives["maildir"]},
		{"backup", imapURL(server, "old"), archives["mbox"], "--format", "mbox"},
		{"backup", popURL(server, "old"), archives["pop"]},
		{"restore", archives["maildir"], imapURL(server, "new")},
		{"migrate", imapURL(server, "old"), imapURL(server, "moved")},
		{"migrate", popURL(server, "old"), imapURL(server, "popped")},
	} {
		s := bin.summary(t, env, args...)
		s.expect(t, 0, 1, 1)
		if s.result.peak > bound {
			t.Errorf("postcask %s took %d MB", s.args, s.result.peak>>20)
		}
		t.Logf("postcask %s %s…: %d MB", args[0], args[1][:5], s.result.peak>>20)
	}
	for _, user := range []string{"new", "moved", "popped"} {
		if got := account(t, server, user).letters; len(got) != 1 || got[0].octets != want {
			t.Errorf("%s: the message is not as it was", user)
		}
	}
	for name, archive := range archives {
		if r := bin.ok(t, env, "verify", archive); r.peak > bound {
			t.Errorf("verify of %s took %d MB", name, r.peak>>20)
		}
	}
}
