package main

import (
	"io"
	"path/filepath"
	"sync/atomic"
	"testing"

	"postcask/archive"
	"postcask/migrate"
	"postcask/migrate/testserver"
)

// deletingSession is the number of the connection that deletes, after the one that downloads and the one that looks
// what is there.
const deletingSession = 2

// The session that deletes is cut here and there, in either direction: what has gone from the server is in the archive,
// and the next run finishes the work.
func TestDeletingSessionCutAnywhere(t *testing.T) {
	t.Parallel()
	for _, kind := range []string{"pop3", "imap"} {
		for _, direction := range []string{"reading", "writing"} {
			t.Run(kind+", cut while the server is "+direction, func(t *testing.T) {
				t.Parallel()
				step := map[string]int64{"reading": 17, "writing": 67}[direction]
				cuts := 0
				for at := int64(20); cutOnce(t, kind, direction == "reading", at); at += step {
					cuts++
				}
				if cuts < 5 {
					t.Errorf("the deleting session was cut %d times only", cuts)
				}
			})
		}
	}
}

// cutOnce cuts the session behind so many octets, and tells whether it came to that.
func cutOnce(t *testing.T, kind string, reading bool, at int64) (cut bool) {
	const messages = 4
	var broken atomic.Bool
	broken.Store(true)
	faults := func(n int) (f testserver.Fault) {
		switch {
		case n != deletingSession || !broken.Load():
		case reading:
			f.AfterReading = at
		default:
			f.AfterWriting = at
		}
		return f
	}
	var url string
	var left func() int
	switch kind {
	case "pop3":
		server := testserver.StartPOP3(t, testserver.POP3Options{Faults: faults})
		server.Users(t, "me")
		for i := range messages {
			server.Deliver("me", letter("INBOX", i))
		}
		url = "pop3://me@" + server.POP3Addr + "?tls=none"
		left = func() int { return len(server.Messages("me")) }
	case "imap":
		server := testserver.StartIMAP(t, testserver.IMAPOptions{Faults: faults})
		server.Users(t, "me")
		for i := range messages {
			if _, err := server.Deliver("me", "INBOX", testserver.Mail{Date: someDay(i), Octets: letter("INBOX", i)}); err != nil {
				t.Fatal(err)
			}
		}
		url = "imap://me@" + server.IMAPAddr + "?tls=none"
		left = func() int {
			all, err := server.Messages("me", "INBOX")
			if err != nil {
				t.Fatal(err)
			}
			return len(all)
		}
	}
	dir := filepath.Join(t.TempDir(), "mail")
	args := []string{"backup", url, dir, "--delete-after", "0", "--max-retries", "0", "--connections", "1", "--no-input",
		"--password-command", "echo " + testserver.Password}
	status, stdout, stderr := run(t, args...)
	if cut = status == exitUnavailable; !cut && status != exitDone {
		t.Fatalf("cut at %d: exit %d, %s%s", at, status, stdout, stderr)
	}
	if n := intact(t, dir); n != messages {
		t.Fatalf("cut at %d: %d messages are intact in the archive, want %d, whatever is left on the server", at, n, messages)
	}
	if n := left(); !cut && n != 0 {
		t.Fatalf("cut at %d: %d messages are left after a run that did it all", at, n)
	}
	broken.Store(false)
	if status, stdout, stderr := run(t, args...); status != exitDone || left() != 0 || intact(t, dir) != messages {
		t.Fatalf("cut at %d, and again: exit %d, %d left; %s%s", at, status, left(), stdout, stderr)
	}
	return cut
}

// intact counts the messages of INBOX that can be read, octet for octet.
func intact(t *testing.T, dir string) (n int) {
	t.Helper()
	store, err := archive.Open(t.Context(), dir, archive.Options{ReadOnly: true})
	if err != nil {
		t.Fatal(err)
	}
	defer store.Close()
	wanted := map[string]bool{}
	for i := range 4 {
		wanted[string(letter("INBOX", i))] = true
	}
	source := store.Source()
	var all []migrate.Message
	for m, err := range source.Messages(t.Context(), migrate.Inbox) {
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, m)
	}
	for f, err := range source.Fetch(t.Context(), migrate.Inbox, all) {
		if err != nil || f.Err != nil {
			t.Fatal(err, f.Err)
		}
		octets, err := io.ReadAll(f.Body)
		if err != nil || !wanted[string(octets)] {
			t.Fatalf("%v in %q", err, octets)
		}
		n++
	}
	return n
}
