package main

import (
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/rogpeppe/go-internal/testscript"

	"postcask/migrate/ledger"
	"postcask/migrate/testserver"
)

func TestMain(m *testing.M) {
	testscript.Main(shared{m}, map[string]func(){"postcask": main})
}

// shared is all tests, with a folder for what they share, which is gone after the last of them.
type shared struct{ *testing.M }

func (s shared) Run() int {
	moreAtOnce()
	dir, err := os.MkdirTemp("", "postcask-test-")
	if err == nil {
		defer os.RemoveAll(dir)
		err = os.Setenv("POSTCASK_TEST_DIR", dir)
	}
	for _, own := range []string{"POSTCASK_PASSWORD", "POSTCASK_SOURCE_PASSWORD", "POSTCASK_DESTINATION_PASSWORD"} {
		err = errors.Join(err, os.Unsetenv(own)) // of who runs the tests
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	for _, sig := range endSignals { // programs that are started hear them, also where a shell runs the tests in the background
		if signal.Ignored(sig) {
			signal.Notify(make(chan os.Signal, 1), sig)
		}
	}
	return s.M.Run()
}

// moreAtOnce has more tests run at once than there are processors, unless somebody has said how many: they wait for disks and
// servers more than they work.
func moreAtOnce() {
	flag.Parse()
	told := false
	flag.Visit(func(f *flag.Flag) { told = told || f.Name == "test.parallel" })
	if !told {
		flag.Set("test.parallel", strconv.Itoa(2*runtime.GOMAXPROCS(0)))
	}
}

// canary is every user's password in the stories. It may appear in no output and in no file that postcask writes.
const canary = "c4n4ry-s3cret"

type serversKey struct{}

// servers are those of one story.
type servers struct {
	imap, next *testserver.IMAP // the old server and the new one
	pop3       *testserver.POP3
}

func TestScripts(t *testing.T) {
	testscript.Run(t, testscript.Params{
		Dir:                 "testdata/script",
		Setup:               setup,
		RequireExplicitExec: true,
		RequireUniqueNames:  true,
		Cmds: map[string]func(ts *testscript.TestScript, neg bool, args []string){
			"status":     cmdStatus,
			"mailbox":    cmdMailbox,
			"seed":       cmdSeed,
			"expunge":    cmdExpunge,
			"same":       cmdSame,
			"commands":   cmdCommands,
			"jsonlines":  cmdJSONLines,
			"field":      cmdField,
			"nocanary":   cmdNoCanary,
			"corrupt":    cmdCorrupt,
			"permission": cmdPermission,
			"jq":         cmdJQ,
			"envsubst":   cmdEnvsubst,
			"hold":       cmdHold,
		},
	})
}

// setup starts the servers of one story. OLD and NEW are IMAP, POP is POP3; me has an account on each.
func setup(env *testscript.Env) error {
	s := &servers{}
	var err error
	if s.imap, err = testserver.RunIMAP(testserver.IMAPOptions{}); err != nil {
		return err
	}
	if s.next, err = testserver.RunIMAP(testserver.IMAPOptions{RefuseAppend: func(_ int, _, mailbox string) string {
		if mailbox == "Full" {
			return "NO [OVERQUOTA] Mailbox is full"
		}
		return ""
	}}); err != nil {
		return errors.Join(err, s.imap.Stop())
	}
	if s.pop3, err = testserver.RunPOP3(testserver.POP3Options{}); err != nil {
		return errors.Join(err, s.imap.Stop(), s.next.Stop())
	}
	env.Defer(func() {
		if err := errors.Join(s.imap.Stop(), s.next.Stop(), s.pop3.Stop()); err != nil {
			env.T().Log(err)
			env.T().FailNow()
		}
	})
	if err := errors.Join(s.imap.AddUser("me", canary), s.next.AddUser("me", canary), s.next.AddUser("full", canary), s.pop3.AddUser("me", canary)); err != nil {
		return err
	}
	env.Values[serversKey{}] = s
	// Copied into the story's own folder, as the servers remove theirs.
	for name, from := range map[string]string{"OLD": s.imap.IMAPSAddr, "NEW": s.next.IMAPSAddr, "POP": s.pop3.POP3SAddr} {
		env.Setenv(name, from)
	}
	env.Setenv("OLDPLAIN", s.imap.IMAPAddr)
	env.Setenv("POPPLAIN", s.pop3.POP3Addr)
	env.Setenv("OLDCA", s.imap.CAFile)
	env.Setenv("NEWCA", s.next.CAFile)
	env.Setenv("POPCA", s.pop3.CAFile)
	env.Setenv("XDG_CONFIG_HOME", filepath.Join(env.WorkDir, "config"))
	env.Setenv("XDG_STATE_HOME", filepath.Join(env.WorkDir, "state"))
	env.Setenv("POSTCASK_PASSWORD", canary)
	env.Setenv("CANARY", canary)
	return nil
}

func serversOf(ts *testscript.TestScript) *servers {
	return ts.Value(serversKey{}).(*servers)
}

func (s *servers) named(ts *testscript.TestScript, name string) *testserver.IMAP {
	switch name {
	case "old":
		return s.imap
	case "new":
		return s.next
	}
	ts.Fatalf("there is no server %q", name)
	return nil
}

// cmdStatus runs a command and compares its exit status: status 3 postcask backup …
func cmdStatus(ts *testscript.TestScript, _ bool, args []string) {
	want, err := strconv.Atoi(args[0])
	ts.Check(err)
	err = ts.Exec(args[1], args[2:]...)
	got := 0
	if exit := (*exec.ExitError)(nil); errors.As(err, &exit) {
		got = exit.ExitCode()
	} else if err != nil {
		ts.Fatalf("%v", err)
	}
	if got != want {
		ts.Fatalf("exit status %d, want %d\nstdout: %sstderr: %s", got, want, ts.ReadFile("stdout"), ts.ReadFile("stderr"))
	}
}

// cmdMailbox makes a mailbox: mailbox old NAME [\Role]
func cmdMailbox(ts *testscript.TestScript, _ bool, args []string) {
	ts.Check(serversOf(ts).named(ts, args[0]).CreateMailbox("me", args[1], args[2:]...))
}

// cmdSeed delivers messages: seed old MAILBOX N [user], seed pop N, and seed old MAILBOX -file FILE
func cmdSeed(ts *testscript.TestScript, _ bool, args []string) {
	s := serversOf(ts)
	if args[0] == "pop" {
		n, err := strconv.Atoi(args[1])
		ts.Check(err)
		for i := range n {
			s.pop3.Deliver("me", letter("pop", i))
		}
		return
	}
	server := s.named(ts, args[0])
	if args[2] == "-file" {
		octets := strings.ReplaceAll(ts.ReadFile(args[3]), "\n", "\r\n")
		_, err := server.Deliver("me", args[1], testserver.Mail{Date: someDay(0), Octets: []byte(octets)})
		ts.Check(err)
		return
	}
	n, err := strconv.Atoi(args[2])
	ts.Check(err)
	have, err := server.Messages("me", args[1])
	ts.Check(err)
	for i := len(have); i < len(have)+n; i++ {
		_, err := server.Deliver("me", args[1], testserver.Mail{Flags: someFlags(i), Date: someDay(i), Octets: letter(args[1], i)})
		ts.Check(err)
	}
}

// cmdExpunge takes a message off the old server: expunge MAILBOX UID
func cmdExpunge(ts *testscript.TestScript, _ bool, args []string) {
	uid, err := strconv.ParseUint(args[1], 10, 32)
	ts.Check(err)
	ts.Check(serversOf(ts).imap.Expunge("me", args[0], uint32(uid)))
}

// cmdSame compares a mailbox of the old server with one of the new: same MAILBOX [OTHER]
func cmdSame(ts *testscript.TestScript, _ bool, args []string) {
	s := serversOf(ts)
	type mail struct{ Date, Flags, Octets string }
	read := func(server *testserver.IMAP, mailbox string) []mail {
		messages, err := server.Messages("me", mailbox)
		ts.Check(err)
		var all []mail
		for _, m := range messages {
			all = append(all, mail{m.Date.Format("2006-01-02T15:04:05-0700"), strings.Join(m.Flags, " "), string(m.Octets)})
		}
		return all
	}
	want, got := read(s.imap, args[0]), read(s.next, args[len(args)-1])
	if diff := cmp.Diff(want, got); diff != "" || len(want) == 0 {
		ts.Fatalf("%d messages on the old server, %d on the new (-old +new):\n%s", len(want), len(got), diff)
	}
}

// cmdCommands tells whether a client of a server has sent a command: commands old 'STORE'
func cmdCommands(ts *testscript.TestScript, neg bool, args []string) {
	s := serversOf(ts)
	var lines []string
	if args[0] == "pop" {
		lines = s.pop3.Commands()
	} else {
		lines = s.named(ts, args[0]).Commands()
	}
	if found := strings.Contains(strings.Join(lines, "\n"), args[1]); found == neg {
		ts.Fatalf("%q found: %v, in\n%s", args[1], found, strings.Join(lines, "\n"))
	}
}

// cmdJSONLines checks that standard output is what docs/scripting.md promises, and that the counts of a transfer close.
func cmdJSONLines(ts *testscript.TestScript, _ bool, args []string) {
	lines := objects(ts)
	for i, line := range lines {
		kind, _ := line["type"].(string)
		last := i == len(lines)-1
		switch kind {
		case "summary", "error":
			if last {
				if _, ok := line["exit"].(float64); !ok {
					ts.Fatalf("no exit in %v", line)
				}
			}
		case "start", "mailbox", "message", "warning", "retry", "progress", "problem", "missing":
			if last {
				ts.Fatalf("the last line is of type %s", kind)
			}
		default:
			ts.Fatalf("type %q is not known", kind)
		}
	}
	if len(args) == 0 {
		return
	}
	last := lines[len(lines)-1]
	for _, name := range []string{"exit", "source", "destination", "mailboxes", "messages", "copied", "present", "filtered",
		"quarantined", "failed", "flags_updated", "octets", "seconds", "messages_per_second", "retries"} {
		if _, ok := last[name]; !ok {
			ts.Fatalf("the summary lacks %s: %v", name, last)
		}
	}
	n := func(name string) float64 { return last[name].(float64) }
	if n("messages") != n("copied")+n("present")+n("filtered")+n("quarantined")+n("failed") {
		ts.Fatalf("the counts don't close: %v", last)
	}
}

func objects(ts *testscript.TestScript) []map[string]any {
	var lines []map[string]any
	for line := range strings.Lines(ts.ReadFile("stdout")) {
		var object map[string]any
		if err := json.Unmarshal([]byte(line), &object); err != nil {
			ts.Fatalf("%v in %s", err, line)
		}
		lines = append(lines, object)
	}
	if len(lines) == 0 {
		ts.Fatalf("there is no JSON")
	}
	return lines
}

// cmdField compares fields of the last JSON line: field exit=0 copied=3
func cmdField(ts *testscript.TestScript, _ bool, args []string) {
	lines := objects(ts)
	last := lines[len(lines)-1]
	for _, arg := range args {
		name, want, _ := strings.Cut(arg, "=")
		if got := fmt.Sprint(last[name]); got != want {
			ts.Fatalf("%s is %s, want %s, in %v", name, got, want, last)
		}
	}
}

// cmdNoCanary looks for the password in what was printed last and in every file below the story's folder, but those
// named.
func cmdNoCanary(ts *testscript.TestScript, _ bool, args []string) {
	for _, name := range []string{"stdout", "stderr"} {
		if strings.Contains(ts.ReadFile(name), canary) {
			ts.Fatalf("the password is in %s", name)
		}
	}
	ts.Check(filepath.WalkDir(ts.Getenv("WORK"), func(path string, entry fs.DirEntry, err error) error {
		if err != nil || !entry.Type().IsRegular() {
			return err
		}
		for _, own := range args {
			if filepath.Base(path) == own {
				return nil
			}
		}
		octets, err := os.ReadFile(path)
		if strings.Contains(string(octets), canary) {
			ts.Fatalf("the password is in %s", path)
		}
		return err
	}))
}

// cmdCorrupt flips a bit near the end of the one file that matches: corrupt GLOB
func cmdCorrupt(ts *testscript.TestScript, _ bool, args []string) {
	paths, err := filepath.Glob(ts.MkAbs(args[0]))
	ts.Check(err)
	if len(paths) == 0 {
		ts.Fatalf("nothing matches %s", args[0])
	}
	octets, err := os.ReadFile(paths[0])
	ts.Check(err)
	octets[len(octets)-3] ^= 1
	ts.Check(os.WriteFile(paths[0], octets, 0o600))
}

// cmdPermission checks that nobody else may read what is below a folder: permission mail
func cmdPermission(ts *testscript.TestScript, _ bool, args []string) {
	ts.Check(filepath.WalkDir(ts.MkAbs(args[0]), func(path string, entry fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		info, err := entry.Info()
		if err == nil && info.Mode().Perm()&0o077 != 0 {
			ts.Fatalf("%s is open to others: %v", path, info.Mode())
		}
		return err
	}))
}

// run runs the command line in this process.
func run(t *testing.T, args ...string) (status int, stdout, stderr string) {
	t.Helper()
	var out, errs strings.Builder
	status = execute(context.Background(), args, &out, &errs, func(context.Context, string) (string, error) { return "", errNoTerminal })
	return status, out.String(), errs.String()
}

// cmdJQ checks that standard output is one JSON document with a field: jq mailboxes
func cmdJQ(ts *testscript.TestScript, _ bool, args []string) {
	var document map[string]any
	if err := json.Unmarshal([]byte(ts.ReadFile("stdout")), &document); err != nil {
		ts.Fatalf("%v in %s", err, ts.ReadFile("stdout"))
	}
	if _, ok := document[args[0]]; !ok {
		ts.Fatalf("no %s in %v", args[0], document)
	}
}

// cmdEnvsubst puts variables into a file: envsubst FILE
func cmdEnvsubst(ts *testscript.TestScript, _ bool, args []string) {
	path := ts.MkAbs(args[0])
	ts.Check(os.WriteFile(path, []byte(os.Expand(ts.ReadFile(args[0]), ts.Getenv)), 0o600))
}

// cmdHold holds a lock as another run would, to the end of the story: hold mail/.postcask/lock
func cmdHold(ts *testscript.TestScript, _ bool, args []string) {
	release, err := ledger.Lock(ts.MkAbs(args[0]))
	ts.Check(err)
	ts.Defer(func() { ts.Check(release()) })
}
