//go:build integration && soak

package main_test

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"postcask/migrate/testserver"
)

// The bounds of a long run: a message costs about as much among very many as among some, and memory does not follow
// their number.
const (
	longBase   = 20_000
	longGrowth = 1.2
	longMemory = 48 << 20
)

// TestLongRun backs up an account of POSTCASK_SOAK small messages (make soak wants 1,000,000), twice with nothing new and
// once with 100 new ones, beside one of 20,000, to both formats. The server makes its messages as they are asked for.
// Time is that of the processor, which other work on the machine disturbs least. TMPDIR says where the mail goes.
func TestLongRun(t *testing.T) {
	bin, many := binary(t), number(t, "POSTCASK_SOAK", 100_000)
	for _, format := range []string{"mbox", "maildir"} {
		t.Run(format, func(t *testing.T) {
			few := longJob(t, bin, format, longBase)
			lot := longJob(t, bin, format, many)
			if ratio := lot.perMessage() / few.perMessage(); ratio > longGrowth {
				t.Errorf("a message among %d takes %.2f times what it takes among %d", many, ratio, longBase)
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

func longJob(t *testing.T, bin *program, format string, messages int) longAccount {
	server, env := testserver.StartLarge(t, messages), state(t)
	dir := t.TempDir()
	archive := filepath.Join(dir, "mail")
	job := []string{"backup", "imap://me@" + server.IMAPAddr + "/?tls=none", archive, "--format", format, "--quiet"}
	s := longAccount{messages: messages, full: runLong(t, bin, env, job)}
	index := indexSize(t, archive)
	t.Logf("%-8s %9d messages: %v; %.0f µs of CPU and %d octets of index a message", format, messages, s.full,
		s.perMessage()*1e6, index/int64(messages))
	for range 2 {
		t.Logf("%-8s %9s nothing new: %v", format, "", runLong(t, bin, env, job))
	}
	server.Grow(100)
	t.Logf("%-8s %9s 100 new: %v", format, "", runLong(t, bin, env, job))
	if found := bin.summary(t, env, job[:3]...); found.Messages != messages+100 || found.Present != messages+100 {
		t.Errorf("the archive has %d of %d messages", found.Present, found.Messages)
	}
	if err := os.RemoveAll(dir); err != nil { // a million files are not kept until the end
		t.Error(err)
	}
	return s
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

// indexSize gives the octets of the index with all that belongs to it.
func indexSize(t *testing.T, archive string) (octets int64) {
	t.Helper()
	files, err := filepath.Glob(filepath.Join(archive, ".postcask", "index.db*"))
	if err != nil || len(files) == 0 {
		t.Fatal("there is no index", err)
	}
	for _, name := range files {
		info, err := os.Stat(name)
		if err != nil {
			t.Fatal(err)
		}
		octets += info.Size()
	}
	return octets
}
