package main

import (
	"encoding/json"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"postcask/migrate/testserver"
)

// TestWhatIsRefusedOrUnreadableIsSetAside has a source that cannot give one message and a destination that refuses
// another: a backup keeps a note of the one, a migration the octets of the other, and the next runs ask for neither.
func TestWhatIsRefusedOrUnreadableIsSetAside(t *testing.T) {
	tries := 0
	source := testserver.StartIMAP(t, testserver.IMAPOptions{RefuseFetch: func(_, _ string, uid uint32) string {
		if uid != 2 {
			return ""
		}
		tries++
		return "NO [SERVERBUG] unreadable"
	}})
	destination := testserver.StartIMAP(t, testserver.IMAPOptions{AppendLimit: 2000})
	for _, s := range []*testserver.IMAP{source, destination} {
		if err := s.AddUser("me", canary); err != nil {
			t.Fatal(err)
		}
	}
	large := append(letter("INBOX", 3), strings.Repeat("large\r\n", 1000)...)
	for _, octets := range [][]byte{letter("INBOX", 1), letter("INBOX", 2), large} {
		if _, err := source.Deliver("me", "INBOX", testserver.Mail{Date: someDay(1), Octets: octets}); err != nil {
			t.Fatal(err)
		}
	}
	dir := t.TempDir()
	from := "imaps://me@" + source.IMAPSAddr + "?ca=" + source.CAFile
	to := "imaps://me@" + destination.IMAPSAddr + "?ca=" + destination.CAFile
	for run := range 2 {
		first := tries
		for _, test := range []struct {
			args                      []string
			aside                     string
			files                     int
			copied, quarantined, seen float64
		}{
			{[]string{"backup", from, "mail"}, "mail/.postcask/quarantine", 1, 2, 1, 3},
			{[]string{"migrate", from, to, "--ledger", "ledger"}, "ledger.quarantine", 3, 1, 2, 3},
		} {
			cmd := exec.Command("postcask", append(test.args, "--json", "--no-input")...)
			cmd.Dir, cmd.Env = dir, append(os.Environ(), "POSTCASK_PASSWORD="+canary, "POSTCASK_SOURCE_PASSWORD="+canary, "POSTCASK_DESTINATION_PASSWORD="+canary)
			out, err := cmd.Output()
			if exit, ok := errors.AsType[*exec.ExitError](err); !ok || exit.ExitCode() != exitIncomplete {
				t.Fatalf("%v\n%s", err, out)
			}
			lines := strings.Split(strings.TrimSpace(string(out)), "\n")
			var last map[string]any
			if err := json.Unmarshal([]byte(lines[len(lines)-1]), &last); err != nil {
				t.Fatal(err)
			}
			if run > 0 {
				test.copied = 0
			}
			if last["copied"] != test.copied || last["quarantined"] != test.quarantined || last["failed"] != 0.0 || last["messages"] != test.seen {
				t.Errorf("run %d: %s", run, lines[len(lines)-1])
			}
			if files, err := os.ReadDir(filepath.Join(dir, test.aside)); err != nil || len(files) != test.files {
				t.Errorf("%s holds %d files, %v", test.aside, len(files), err)
			}
		}
		if run > 0 && tries != first {
			t.Errorf("the unreadable message was asked for again")
		}
	}
	kept, err := filepath.Glob(filepath.Join(dir, "ledger.quarantine", "*.eml"))
	if err != nil || len(kept) != 1 {
		t.Fatalf("%q, %v", kept, err)
	}
	if octets, err := os.ReadFile(kept[0]); err != nil || string(octets) != string(large) {
		t.Errorf("%d octets, %v", len(octets), err)
	}
	if mail, err := destination.Messages("me", "INBOX"); err != nil || len(mail) != 1 {
		t.Errorf("%d messages at the destination, %v", len(mail), err)
	}
}
