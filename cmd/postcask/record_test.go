package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"path/filepath"
	"strings"
	"testing"

	"postcask/archive"
	"postcask/migrate/testserver"
)

// An archive remembers the runs that filled it, with how they ended.
func TestRunsAreRecorded(t *testing.T) {
	server := testserver.StartPOP3(t)
	if err := server.AddUser("me", canary); err != nil {
		t.Fatal(err)
	}
	for i := range 5 {
		server.Deliver("me", letter("pop", i))
	}
	t.Setenv("POSTCASK_PASSWORD", canary)
	dir := filepath.Join(t.TempDir(), "mail")
	source := "pop3s://me@" + server.POP3SAddr + "?ca=" + server.CAFile
	for _, extra := range [][]string{{"--max-bytes", "1"}, {}, {"--dry-run"}} {
		run(t, append([]string{"backup", source, dir}, extra...)...)
	}
	store, err := archive.Open(t.Context(), dir, archive.Options{ReadOnly: true})
	if err != nil {
		t.Fatal(err)
	}
	defer store.Close()
	runs, err := store.Index().Runs(t.Context(), 10)
	if err != nil {
		t.Fatal(err)
	}
	if len(runs) != 2 || runs[0].Exit != exitDone || runs[1].Exit != exitLimit {
		t.Fatalf("%+v", runs)
	}
	for _, r := range runs {
		var summary map[string]any
		if err := json.Unmarshal([]byte(r.Summary), &summary); err != nil {
			t.Fatal(err)
		}
		if r.Command != "backup" || r.Source != "pop3s://me@"+server.POP3SAddr || r.Ended.IsZero() || summary["exit"] != float64(r.Exit) {
			t.Errorf("%+v", r)
		}
	}
}

// A listing that is cut short still ends with an error on a line of its own.
func TestListingCutShort(t *testing.T) {
	for _, messages := range []bool{false, true} {
		term, stdout, _ := testTerminal()
		term.json = true
		show := (&cli{term: term}).newListing(&endpoint{protocol: archiveDir, dir: "mail"}, messages)
		show.mailbox(mailboxRow{Mailbox: "INBOX", Messages: known(3), Octets: known(-1)})
		if messages {
			show.message(messageRow{Subject: "<&>\x1b"})
		}
		show.end(errors.New("cut"))
		term.object(errorLine{Type: "error", Exit: 5, Message: "cut"})
		lines := strings.Split(strings.TrimSpace(stdout.String()), "\n")
		var last errorLine
		if err := json.Unmarshal([]byte(lines[len(lines)-1]), &last); err != nil || last.Exit != 5 {
			t.Errorf("%v in %s", err, stdout)
		}
	}
	term, stdout, _ := testTerminal()
	term.json = true
	show := (&cli{term: term}).newListing(&endpoint{protocol: archiveDir, dir: "mail"}, true)
	show.end(nil)
	if want := `{"endpoint":"mail","mailboxes":[]}`; !bytes.Equal(bytes.TrimSpace(stdout.Bytes()), []byte(want)) {
		t.Errorf("an empty listing: %s", stdout)
	}
}
