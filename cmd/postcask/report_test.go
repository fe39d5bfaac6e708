package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"runtime/debug"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"postcask/migrate"
)

func testTerminal() (t *terminal, stdout, stderr *bytes.Buffer) {
	stdout, stderr = new(bytes.Buffer), new(bytes.Buffer)
	return &terminal{stdout: stdout, stderr: stderr, color: "auto"}, stdout, stderr
}

var someSummary = migrate.Summary{
	Mailboxes: 3, KeywordsDropped: 2, Retries: 1, Elapsed: 2 * time.Second,
	Counts: migrate.Counts{Messages: 5200, Copied: 4000, Present: 1190, Filtered: 5, Quarantined: 1, Failed: 4, FlagsUpdated: 7, Octets: 123_456_789},
}

var someEvents = []migrate.Event{
	{Type: migrate.EventProgress, Progress: migrate.Progress{Mailbox: "INBOX", Mailboxes: 1, MailboxesTotal: 3, Messages: 10, MessagesTotal: 5000, Octets: 99, OctetsTotal: 200}},
	{Type: migrate.EventMessage, Mailbox: "INBOX", Destination: "INBOX", Message: migrate.Message{Key: migrate.Key{UID: 7, Validity: 9}, Size: 5000}, Outcome: migrate.Copied, Dropped: []string{"$X"}},
	{Type: migrate.EventMessage, Mailbox: "INBOX", Message: migrate.Message{Key: migrate.Key{UID: 8}, Size: -1}, Outcome: migrate.Left,
		Err: &migrate.Error{End: "source imap.example.org", Mailbox: "INBOX", Key: migrate.Key{UID: 8}, Err: errors.New("NO \x1b[31m[SERVERBUG]")}},
	{Type: migrate.EventMessage, Mailbox: "Lists", Message: migrate.Message{Key: migrate.Key{Name: "u1"}, Size: -1}, Outcome: migrate.Quarantined, Err: errors.New("too large")},
	{Type: migrate.EventWarning, Mailbox: "Odd", Err: errors.New(`"Odd": cannot be read`)},
	{Type: migrate.EventRetry, Err: errors.New("connection reset"), Delay: 1500 * time.Millisecond},
	{Type: migrate.EventMailbox, Mailbox: "INBOX", Destination: "Old/INBOX", Counts: migrate.Counts{Messages: 3, Copied: 1, Failed: 2, Octets: 5000}},
}

// Without a terminal: one line for each mailbox to standard error, one summary to standard output; with --quiet only
// what is wrong.
func TestReport(t *testing.T) {
	for name, test := range map[string]struct {
		set            func(*terminal)
		stdout, stderr string
	}{
		"plain": {func(*terminal) {}, `backup: 5,200 messages in 3 mailboxes: 4,000 copied (123 MB), 1,190 present, 5 filtered, 1 quarantined, 4 left behind, 7 with new flags; 2s, 2,000 messages/s; 2 keywords not kept by the destination
`, `postcask: warning: source imap.example.org: "INBOX", UID 8: NO \x1b[31m[SERVERBUG]; left behind
postcask: warning: "Lists", "u1": too large; quarantined
postcask: warning: "Odd": cannot be read
postcask: connection reset; trying again in 1.5s
postcask: "INBOX" to "Old/INBOX": 1 copied (5.0 kB), 2 left behind
postcask: warning: backup: 4 messages and 0 mailboxes were left behind; run the same command again to try them once more
postcask: warning: backup: 1 message could not move: the reason is in aside; tried again when something has changed, and after a week
`},
		"verbose": {func(t *terminal) { t.verbose = 1 }, `backup: 5,200 messages in 3 mailboxes: 4,000 copied (123 MB), 1,190 present, 5 filtered, 1 quarantined, 4 left behind, 7 with new flags; 2s, 2,000 messages/s; 2 keywords not kept by the destination
`, `postcask: "INBOX", UID 7: copied, 5.0 kB, without $X
postcask: warning: source imap.example.org: "INBOX", UID 8: NO \x1b[31m[SERVERBUG]; left behind
postcask: warning: "Lists", "u1": too large; quarantined
postcask: warning: "Odd": cannot be read
postcask: connection reset; trying again in 1.5s
postcask: "INBOX" to "Old/INBOX": 1 copied (5.0 kB), 2 left behind
postcask: warning: backup: 4 messages and 0 mailboxes were left behind; run the same command again to try them once more
postcask: warning: backup: 1 message could not move: the reason is in aside; tried again when something has changed, and after a week
`},
		"quiet": {func(t *terminal) { t.quiet = true }, "", `postcask: warning: source imap.example.org: "INBOX", UID 8: NO \x1b[31m[SERVERBUG]; left behind
postcask: warning: "Lists", "u1": too large; quarantined
postcask: warning: "Odd": cannot be read
postcask: warning: backup: 4 messages and 0 mailboxes were left behind; run the same command again to try them once more
postcask: warning: backup: 1 message could not move: the reason is in aside; tried again when something has changed, and after a week
`},
	} {
		t.Run(name, func(t *testing.T) {
			term, stdout, stderr := testTerminal()
			test.set(term)
			r := &report{term: term, command: "backup", source: "s", destination: "d", aside: "aside"}
			r.begin()
			for _, e := range someEvents {
				r.event(e)
			}
			if status := exitStatus(r.end(someSummary, nil)); status != exitIncomplete {
				t.Errorf("status %d", status)
			}
			if diff := cmp.Diff(test.stdout, stdout.String()); diff != "" {
				t.Error(diff)
			}
			if diff := cmp.Diff(test.stderr, stderr.String()); diff != "" {
				t.Error(diff)
			}
		})
	}
}

// A run that an error ended says how far it came, and what to do.
func TestReportError(t *testing.T) {
	term, stdout, stderr := testTerminal()
	r := &report{term: term, command: "restore"}
	r.begin()
	r.event(someEvents[0])
	full := &migrate.Error{Kind: migrate.Refused, End: "destination imap.example.org", Mailbox: "Archive/2019",
		Err: errors.New("quota exceeded (NO [OVERQUOTA] Mailbox is full)"), Hint: "make room"}
	if status := exitStatus(r.end(someSummary, full)); status != exitRefused {
		t.Errorf("status %d", status)
	}
	if !strings.HasPrefix(stdout.String(), "restore stopped: 5,200 messages") {
		t.Error(stdout)
	}
	want := `postcask: error: destination imap.example.org: "Archive/2019": quota exceeded (NO [OVERQUOTA] Mailbox is full)
postcask: hint: make room; 4,000 of 5,000 new messages have arrived; run the same command again, it goes on from there
`
	if diff := cmp.Diff(want, stderr.String()); diff != "" {
		t.Error(diff)
	}
}

// The names of the JSON are a promise; so is that each line is one object and the last of type summary or error.
func TestReportJSON(t *testing.T) {
	term, stdout, stderr := testTerminal()
	term.json, term.verbose = true, 1
	r := &report{term: term, command: "migrate", source: "s", destination: "d"}
	r.begin()
	for _, e := range someEvents {
		r.event(e)
	}
	r.end(someSummary, nil)
	golden := filepath.Join("testdata", "report.jsonl")
	if *update {
		if err := os.WriteFile(golden, stdout.Bytes(), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(golden)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(want), stdout.String()); diff != "" {
		t.Error(diff)
	}
	for line := range strings.Lines(stdout.String()) {
		if !json.Valid([]byte(line)) {
			t.Errorf("no JSON: %s", line)
		}
	}
	if strings.Contains(stderr.String(), "INBOX") {
		t.Errorf("told twice: %s", stderr)
	}
}

// The bar can be moved past what was announced, taken off for a line and drawn again; server text in it is cleaned.
func TestBar(t *testing.T) {
	term, _, stderr := testTerminal()
	term.showBar(newBar(stderr))
	for _, p := range []migrate.Progress{
		{Mailbox: "evil\x1b[2Jname", Messages: 1, MessagesTotal: 5, Octets: 10, OctetsTotal: 100},
		{Mailbox: "INBOX", Messages: 6, MessagesTotal: 5, Octets: 5000, OctetsTotal: 100},
	} {
		time.Sleep(barPause + 20*time.Millisecond)
		term.progress(func() string { return "place" }, p)
		term.warn("look")
	}
	term.showBar(nil)
	got := stderr.String()
	for _, says := range []string{`evil\x1b[2Jname 1/5`, "INBOX 6/5", "\rpostcask: warning: look\n"} {
		if !strings.Contains(got, says) {
			t.Errorf("%q lacks %q", got, says)
		}
	}
	if strings.Contains(got, "\x1b[2J") {
		t.Errorf("the server's escape reached the terminal: %q", got)
	}
}

func TestColor(t *testing.T) {
	for _, test := range []struct {
		color, noColor string
		want           bool
	}{{"always", "1", true}, {"never", "", false}, {"auto", "", false}, {"auto", "1", false}} {
		t.Setenv("NO_COLOR", test.noColor)
		term, _, stderr := testTerminal()
		term.color = test.color
		term.warn("look")
		if got := strings.Contains(stderr.String(), "\x1b["); got != test.want {
			t.Errorf("%+v: coloured %v", test, got)
		}
	}
}

// A fault of the program is one line; its stack goes to the log file alone.
func TestFault(t *testing.T) {
	term, _, stderr := testTerminal()
	term.logFile = filepath.Join(t.TempDir(), "log")
	if err := term.setup(); err != nil {
		t.Fatal(err)
	}
	if status := term.fault("boom\x1b[0m", debug.Stack()); status != exitFailed {
		t.Errorf("status %d", status)
	}
	term.close()
	if got := stderr.String(); !strings.HasPrefix(got, `postcask: error: a fault in postcask itself: boom\x1b[0m`) || strings.Contains(got, "goroutine") {
		t.Error(got)
	}
	log, err := os.ReadFile(term.logFile)
	if err != nil || !strings.Contains(string(log), "goroutine") {
		t.Errorf("%v, %s", err, log)
	}
}
