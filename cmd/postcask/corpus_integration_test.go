//go:build integration

package main_test

import (
	"bytes"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"postcask/migrate/testserver"
)

// TestCorpusCircle puts real and awkward mail into Dovecot and sends it around. What the account gives for a message is
// what has to come out at the end; where Dovecot changes a message itself on APPEND, the message is named.
func TestCorpusCircle(t *testing.T) {
	t.Parallel()
	bin := binary(t)
	server := testserver.StartDovecot(t)
	server.Users(t, "old", "new", "third")
	client := testserver.OpenIMAP(t, server, "old", "secret")
	if err := client.Create("Corpus"); err != nil {
		t.Fatal(err)
	}
	var sent []string            // the files, in the order that they went there
	digests := map[string]bool{} // of what was sent
	refused := 0
	eml := filepath.Join(corpus(t), "eml")
	err := filepath.WalkDir(eml, func(path string, entry fs.DirEntry, err error) error {
		if err != nil || entry.IsDir() {
			return err
		}
		octets, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		if !bytes.Contains(octets, []byte("\r\n")) {
			octets = bytes.ReplaceAll(octets, []byte("\n"), []byte("\r\n"))
		}
		if err := client.Append("Corpus", `(\Seen)`, "17-Jul-2015 02:44:25 -0700", octets); err != nil {
			t.Logf("Dovecot refuses %s: %v", strings.TrimPrefix(path, eml), err)
			refused++
			return nil
		}
		sent = append(sent, strings.TrimPrefix(path, eml))
		digests[digest(octets)] = true
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	count := len(sent)
	if count < 900 || refused > 5 {
		t.Fatalf("%d messages were taken, %d refused", count, refused)
	}
	names := map[string]string{} // of the messages that the account has, by digest
	messages, err := client.Messages("Corpus")
	if err != nil || len(messages) != count {
		t.Fatalf("%d messages, %v", len(messages), err)
	}
	for i, m := range messages {
		names[digest(m.Body)] = sent[i]
		if !digests[digest(m.Body)] {
			t.Logf("Dovecot changes on APPEND: %s", sent[i])
		}
	}
	want := account(t, server, "old")
	for _, format := range []string{"maildir", "mbox"} {
		t.Run(format, func(t *testing.T) {
			user := map[string]string{"maildir": "new", "mbox": "third"}[format]
			from, to := imapURL(server, "old"), imapURL(server, user)
			first, second := filepath.Join(t.TempDir(), "first"), filepath.Join(t.TempDir(), "second")
			env := state(t)
			bin.summary(t, env, "backup", from, first, "--format", format).expect(t, 0, count, count)
			bin.ok(t, env, "verify", first, "--against", from)
			bin.summary(t, env, "restore", first, to).expect(t, 0, count, count)
			changed := compareLetters(t, want, account(t, server, user), names)
			bin.summary(t, env, "restore", first, to).expect(t, 0, count, 0)
			bin.summary(t, env, "backup", to, second, "--format", format).expect(t, 0, count, count)
			bin.summary(t, env, "backup", to, second).expect(t, 0, count, 0)
			bin.ok(t, env, "verify", second)
			if changed > 5 {
				t.Errorf("%d messages were changed on the way", changed)
			}
		})
	}
}

// compareLetters names each message that did not come through as it was, and fails for those whose octets differ by
// more than a server may change at the very end. It gives their number.
func compareLetters(t *testing.T, want, got mail, names map[string]string) int {
	t.Helper()
	if len(want.letters) != len(got.letters) {
		t.Errorf("%d messages, want %d", len(got.letters), len(want.letters))
	}
	have := map[letter]int{}
	for _, l := range got.letters {
		have[l]++
	}
	changed := 0
	for _, l := range want.letters {
		if have[l]--; have[l] < 0 {
			t.Logf("Dovecot changed on APPEND: %s (%s)", names[l.octets], l.octets)
			changed++
		}
	}
	if diff := cmp.Diff(want.mailboxes, got.mailboxes); diff != "" {
		t.Error(diff)
	}
	return changed
}

// corpus is where the awkward mail of others lies. In CI it has to be there.
func corpus(t *testing.T) string {
	t.Helper()
	dir := os.Getenv("POSTCASK_CORPUS")
	if dir == "" {
		t.Fatal("POSTCASK_CORPUS does not say where the corpus is")
	}
	return dir
}
