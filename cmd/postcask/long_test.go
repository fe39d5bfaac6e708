//go:build integration && soak

package main_test

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"postcask/migrate/ledger"
	"postcask/migrate/testserver"
)

// The bounds of a long run: a message costs about as much among very many as among some, and memory does not follow
// their number.
const (
	longBase   = 20_000
	longNew    = 100 // of these, come in later
	longGrowth = 1.2
	longMemory = 48 << 20
)

// longWays are the ways that mail is moved.
var longWays = map[string]func(t *testing.T, source *testserver.Large, archive string) *longWay{
	"mbox": func(_ *testing.T, source *testserver.Large, archive string) *longWay {
		return longBackup(source, archive, "mbox")
	},
	"maildir": func(_ *testing.T, source *testserver.Large, archive string) *longWay {
		return longBackup(source, archive, "maildir")
	},
	"pop3": func(_ *testing.T, source *testserver.Large, archive string) *longWay {
		way := longBackup(source, archive, "mbox")
		way.args[1] = "pop3://me@" + source.POP3Addr + "/?tls=none"
		return way
	},
	"migrate": func(t *testing.T, source *testserver.Large, _ string) *longWay {
		return longMigration(source, testserver.StartLarge(t, 0))
	},
	"held": func(t *testing.T, source *testserver.Large, _ string) *longWay { // the destination has all of it already
		return longMigration(source, testserver.StartLarge(t, source.Len()))
	},
	"archived": func(t *testing.T, source *testserver.Large, archive string) *longWay { // from another server
		way := longBackup(source, archive, "mbox")
		way.before = longBackup(testserver.StartLarge(t, source.Len()), archive, "mbox").args
		return way
	},
}

// A longWay is one way to move mail: what postcask is told, and where mail goes.
type longWay struct {
	before  []string // what it is told first
	args    []string
	archive string            // or
	to      *testserver.Large // a server
}

func longMigration(source, to *testserver.Large) *longWay {
	return &longWay{to: to, args: []string{"migrate", "imap://me@" + source.IMAPAddr + "/?tls=none", "imap://me@" + to.IMAPAddr + "/?tls=none"}}
}

func longBackup(source *testserver.Large, archive, format string) *longWay {
	return &longWay{archive: archive, args: []string{"backup", "imap://me@" + source.IMAPAddr + "/?tls=none", archive, "--format", format}}
}

// TestLongRun moves an account of POSTCASK_SOAK small messages (make soak wants 1,000,000), twice with nothing new, once
// more where an archive has to be put right first, and once with 100 new ones, beside one of 20,000, in the ways that POSTCASK_SOAK_WAYS names. The servers make their messages
// as they are asked for, and keep none. Time is that of the processor, which other work on the machine disturbs least.
// TMPDIR says where the mail goes.
func TestLongRun(t *testing.T) {
	bin, many := binary(t), number(t, "POSTCASK_SOAK", 100_000)
	for _, name := range strings.Fields(os.Getenv("POSTCASK_SOAK_WAYS")) {
		way := longWays[name]
		if way == nil {
			t.Fatalf("there is no way %q", name)
		}
		t.Run(name, func(t *testing.T) {
			few := longJob(t, bin, name, longBase)
			lot := longJob(t, bin, name, many)
			ratio := lot.perMessage() / few.perMessage()
			t.Logf("%-8s a message among %d takes %.2f times what it takes among %d", name, many, ratio, longBase)
			if ratio > longGrowth {
				t.Errorf("that is more than %.1f times", longGrowth)
			}
		})
	}
}

// longAccount is what one account has cost.
type longAccount struct {
	messages int
	full     longRun
}

func (s longAccount) perMessage() float64 { return s.full.cpu.Seconds() / float64(s.messages) }

func longJob(t *testing.T, bin *program, name string, messages int) longAccount {
	source, env := testserver.StartLarge(t, messages-longNew), state(t)
	dir := t.TempDir()
	way := longWays[name](t, source, filepath.Join(dir, "mail"))
	quiet := append(way.args[:len(way.args):len(way.args)], "--quiet")
	there := 0
	if way.to != nil {
		there = way.to.Len()
	}
	if way.before != nil {
		runLong(t, bin, env, append(way.before[:len(way.before):len(way.before)], "--quiet"))
	}
	s := longAccount{messages: messages - longNew, full: runLong(t, bin, env, quiet)}
	kept, in := "ledger", strings.TrimPrefix(env[len(env)-1], "XDG_CONFIG_HOME=")
	if way.archive != "" {
		kept, in = "index", filepath.Join(way.archive, ".postcask")
	}
	index := octetsBelow(t, in)
	t.Logf("%-8s %9d messages: %v; %.0f µs, of CPU %.0f µs, and %d octets of %s a message", name, s.messages, s.full,
		s.full.wall.Seconds()/float64(s.messages)*1e6, s.perMessage()*1e6, index/int64(s.messages), kept)
	for range 2 {
		t.Logf("%-8s %9s nothing new: %v", name, "", runLong(t, bin, env, quiet))
	}
	if way.archive != "" {
		cutOff(t, way.archive)
		t.Logf("%-8s %9s put right: %v", name, "", runLong(t, bin, env, quiet))
	}
	source.Grow(longNew)
	t.Logf("%-8s %9s %d new: %v", name, "", longNew, runLong(t, bin, env, quiet))
	if found := bin.summary(t, env, way.args...); found.Messages != messages || found.Present != messages {
		t.Errorf("the destination has %d of %d messages", found.Present, found.Messages)
	}
	if way.to != nil {
		if taken, different := way.to.Taken(); taken != messages-there || different != taken {
			t.Errorf("%d messages were appended, %d different ones, of %d", taken, different, messages-there)
		}
	}
	if err := os.RemoveAll(dir); err != nil { // a million files are not kept until the end
		t.Error(err)
	}
	return s
}

// cutOff makes an archive look as if its last run had been cut off.
func cutOff(t *testing.T, archive string) {
	t.Helper()
	index, err := ledger.Open(t.Context(), filepath.Join(archive, ".postcask", "index.db"), ledger.Options{})
	if err == nil {
		err = errors.Join(index.SetMeta(t.Context(), "writing run", "0123456789ab"), index.Close())
	}
	if err != nil {
		t.Fatal(err)
	}
}

// A longRun is what one run took.
type longRun struct {
	wall, cpu time.Duration
	peak      int64 // octets of resident memory
}

func (r longRun) String() string {
	return fmt.Sprintf("%.2f s, %.2f s of CPU, %.1f MB of memory", r.wall.Seconds(), r.cpu.Seconds(), float64(r.peak)/1e6)
}

func runLong(t *testing.T, bin *program, env environment, args []string) longRun {
	t.Helper()
	cmd := exec.Command(bin.path, args...)
	cmd.Env = env
	var said strings.Builder
	cmd.Stdout, cmd.Stderr = &said, &said
	began := time.Now()
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	ended, peak := make(chan struct{}), make(chan int64, 1)
	go func() { peak <- peakMemory(cmd.Process.Pid, ended) }()
	err := cmd.Wait()
	close(ended)
	r := longRun{wall: time.Since(began), cpu: cmd.ProcessState.UserTime() + cmd.ProcessState.SystemTime(), peak: <-peak}
	if err != nil || said.Len() > 0 {
		t.Fatalf("postcask %s: %v\n%s", strings.Join(args, " "), err, head(said.String()))
	}
	if r.peak > longMemory {
		t.Errorf("it took %.1f MB of memory, more than %.1f", float64(r.peak)/1e6, longMemory/1e6)
	}
	return r
}

// octetsBelow gives the octets of all files of a folder.
func octetsBelow(t *testing.T, dir string) (octets int64) {
	t.Helper()
	err := filepath.WalkDir(dir, func(_ string, entry fs.DirEntry, err error) error {
		if err != nil || entry.IsDir() {
			return err
		}
		info, err := entry.Info()
		if err == nil {
			octets += info.Size()
		}
		return err
	})
	if err != nil || octets == 0 {
		t.Fatalf("%s holds %d octets, %v", dir, octets, err)
	}
	return octets
}
