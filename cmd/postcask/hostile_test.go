package main

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"postcask/migrate/testserver"
)

const (
	hostileTimeout = 2 * time.Second  // where the server falls silent
	hostileSpan    = 20 * time.Second // where it does not: however slow the machine, its answers come in time
	hostileGrace   = 5 * time.Second
	hostileHang    = time.Minute // more, and it hangs; less, and it may be the machine that was slow
	hostileTries   = 3
	hostileMemory  = 128 << 20
	hostileAtOnce  = 6 // programs at once: most of their time they wait
)

// TestHostile runs the program against each dialogue below testdata/hostile: servers that lie, stall, flood and attack.
// The comments at the top of a dialogue tell what is to come of it:
//
//	# expect: exit 3 holds one    the exit status, and the messages of the script that the archive has afterwards
//	# expect: exit 0 holds 2      or only their number
//	# expect: exit 7 sent 1       of a restore: how many messages it says it has copied
//	# says: a few words           stand on standard error
//	# command: restore            instead of backup: an archive with the messages one and two goes to the server
//	# url: imap ?tls=none         scheme and parameters, where it isn't TLS from the start
//	# flags: --timeout 1s         more of them
//	# within: 20s                 where trying again takes longer, as it should, than time-out and grace
//
// Whatever is expected, nothing may leave the archive's folder, no credential go over the line in the clear or into any
// file, no control character reach the terminal, memory stay small, and the archive pass verify.
func TestHostile(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	program := filepath.Join(dir, "postcask")
	// Not the test binary itself: the race detector's memory is not the program's.
	if out, err := exec.Command("go", "build", "-o", program, ".").CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	stored := &hostileRun{program: program, dialogue: dialogue{path: "testdata/hostile/imap/healthy.part", command: "backup", scheme: "imaps", exit: 0, holds: []string{"one", "two"}}}
	stored.dialogue.timeout = hostileSpan
	if !t.Run("healthy", func(t *testing.T) { stored.play(t, filepath.Join(dir, "healthy")) }) {
		return
	}
	var paths []string
	for _, folder := range []string{"imap", "pop3"} {
		found, err := filepath.Glob(filepath.Join("testdata/hostile", folder, "*.txt"))
		if err != nil {
			t.Fatal(err)
		}
		paths = append(paths, found...)
	}
	if len(paths) < 150 {
		t.Errorf("there are only %d dialogues", len(paths))
	}
	waiting := make(chan string)
	t.Run("dialogues", func(t *testing.T) {
		// Not t.Parallel: it has few at once, and these do little but wait.
		var workers sync.WaitGroup
		for range hostileAtOnce {
			workers.Go(func() {
				for path := range waiting {
					name := strings.TrimSuffix(strings.TrimPrefix(path, "testdata/hostile/"), ".txt")
					t.Run(name, func(t *testing.T) { playDialogue(t, program, path, stored.archive) })
				}
			})
		}
		for _, path := range paths {
			waiting <- path
		}
		close(waiting)
		workers.Wait()
	})
}

func playDialogue(t *testing.T, program, path, stored string) {
	d, err := readDialogue(path)
	if err != nil {
		t.Fatal(err)
	}
	// A program that waits for too long does so each time; other work on the machine does not make it late each time.
	for try := 1; !t.Failed(); try++ {
		h := &hostileRun{program: program, dialogue: d, stored: stored}
		took := h.play(t, t.TempDir())
		switch {
		case took <= d.within:
			return
		case try == hostileTries:
			t.Errorf("it took %v, and no less before", took)
		}
	}
}

// A dialogue is what the comments of a script ask for.
type dialogue struct {
	path               string
	command            string
	scheme, parameters string
	flags, says        []string
	exit               int
	holds              []string // names of messages
	sent               int      // by a restore
	timeout, within    time.Duration
	floods             bool // and so its trace would be a flood
}

// silences are the steps of a server that has the program wait for it in vain.
var silences = regexp.MustCompile(`(?m)^(STALL|DRIP|SLEEP)\b`)

func readDialogue(path string) (dialogue, error) {
	text, err := os.ReadFile(path)
	d := dialogue{path: path, command: "backup", scheme: filepath.Base(filepath.Dir(path)) + "s", exit: -1,
		timeout: hostileSpan, within: hostileTimeout + hostileGrace, floods: strings.Contains(string(text), "\nFLOOD ")}
	for line := range strings.Lines(string(text)) {
		comment, ok := strings.CutPrefix(line, "# ")
		word, rest, told := strings.Cut(strings.TrimSpace(comment), ": ")
		if !ok || !told || err != nil {
			continue
		}
		switch word {
		case "expect":
			err = d.expect(strings.Fields(rest))
		case "says":
			d.says = append(d.says, rest)
		case "command":
			d.command = rest
		case "url":
			d.scheme, d.parameters, _ = strings.Cut(rest, " ")
		case "flags":
			d.flags = strings.Fields(rest)
		case "within":
			d.within, err = time.ParseDuration(rest)
		}
	}
	if silences.Match(text) {
		d.timeout = hostileTimeout
	}
	if d.floods {
		d.within += hostileGrace // of work: to wade through it takes as long as the machine lets it
	}
	if err == nil && d.exit < 0 {
		err = fmt.Errorf("it does not tell what to expect")
	}
	return d, err
}

func (d *dialogue) expect(words []string) (err error) {
	if len(words) < 2 || words[0] != "exit" {
		return fmt.Errorf("expect what? %q", words)
	}
	if d.exit, err = strconv.Atoi(words[1]); err != nil || len(words) < 4 {
		return err
	}
	switch words[2] {
	case "holds":
		d.holds = words[3:]
	case "sent":
		d.sent, err = strconv.Atoi(words[3])
	default:
		err = fmt.Errorf("expect what? %q", words)
	}
	return err
}

// patience is how often the program may try again. A user would rather have it half a minute and more; here it is
// enough to see where it ends.
func (d *dialogue) patience() []string {
	if d.exit == exitUnavailable {
		return []string{"--max-retries", "0"}
	}
	return []string{"--max-duration", "1m"}
}

// A hostileRun is a program, a script, and the folders that it may write to.
type hostileRun struct {
	program                string
	dialogue               dialogue
	stored                 string // the archive for a restore
	sandbox, archive, home string
	stdout, stderr         string
	status                 int
	work                   time.Duration // of the processor, by the last run
	player                 *testserver.Player
}

// make makes the sandbox: the archive lies deep, so that names which lead out of it are seen.
func (h *hostileRun) make(t *testing.T, sandbox string) {
	t.Helper()
	h.sandbox = sandbox
	h.archive = filepath.Join(sandbox, "a", "b", "c", "archive")
	h.home = filepath.Join(sandbox, "home")
	for _, dir := range []string{filepath.Dir(h.archive), h.home, filepath.Join(sandbox, "tmp")} {
		if err := os.MkdirAll(dir, 0o700); err != nil {
			t.Fatal(err)
		}
	}
	if h.dialogue.command == "restore" {
		if err := os.CopyFS(h.archive, os.DirFS(h.stored)); err != nil {
			t.Fatal(err)
		}
	}
}

// play runs the dialogue in a sandbox, checks what came of it, and tells how long it took, or how long it worked where the
// server floods it.
func (h *hostileRun) play(t *testing.T, sandbox string) (took time.Duration) {
	h.make(t, sandbox)
	d := &h.dialogue
	h.player = testserver.PlayFile(t, d.path)
	url := d.scheme + "://me@" + h.player.Addr + "?ca=" + h.player.CAFile + strings.Replace(d.parameters, "?", "&", 1)
	args := []string{d.command, url, h.archive}
	if d.command == "restore" {
		args = []string{d.command, h.archive, url}
	}
	args = append(args, "--timeout", d.timeout.String(), "--no-input", "-v")
	args = append(args, d.patience()...)
	if !d.floods {
		args = append(args, "--log-file", filepath.Join(h.home, "trace"))
	}
	if d.scheme[:4] == "imap" {
		args = append(args, "--connections", "1")
	}
	began := time.Now()
	var peak int64
	h.status, peak = h.run(t, d.within+hostileHang, append(args, d.flags...)...)
	if took = time.Since(began); d.floods {
		took = h.work
	}
	if peak > hostileMemory {
		t.Errorf("it took %d MiB of memory", peak>>20)
	}
	if h.status != d.exit {
		t.Errorf("exit status %d, not %d", h.status, d.exit)
	}
	for _, words := range d.says {
		if !strings.Contains(h.stderr, words) {
			t.Errorf("standard error does not say %q", words)
		}
	}
	h.checkOutput(t)
	h.checkSecrets(t)
	h.checkFiles(t)
	if d.command == "restore" {
		h.checkSent(t)
	} else {
		h.checkArchive(t)
	}
	if t.Failed() {
		t.Logf("postcask %s\nstdout:\n%s\nstderr:\n%s\nit said:\n%.2000q", strings.Join(args, " "), head(h.stdout), head(h.stderr), h.player.Received())
	}
	return took
}

func head(text string) string { return text[:min(len(text), 3000)] }
