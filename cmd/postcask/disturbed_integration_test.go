//go:build integration

package main_test

import (
	"fmt"
	"math/rand/v2"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"postcask/migrate/testserver"
)

// disturbedMemory bounds what the program may need, however much mail there is and however often it is disturbed.
const disturbedMemory = 150 << 20

// A disturbed job is a long one that is disturbed again and again: its lines are cut and the program is killed.
type disturbed struct {
	bin         *program
	env         environment
	random      *rand.Rand
	octets      int64 // of all mail
	cuts, kills int64 // that are wanted, the cuts on each line
	lines       []*line
	peak        int64
}

// TestDisturbedAllTheWhile moves one large account in one go, with connections cut and the program killed all the while, and then looks
// at each message. POSTCASK_DISTURBED says how many messages there are (make torture wants 20,000); many bring many kills.
func TestDisturbedAllTheWhile(t *testing.T) {
	t.Parallel() // it waits more than it works
	bin, server, messages := binary(t), testserver.Start(t, "dovecot"), number(t, "POSTCASK_DISTURBED", 200)
	seedOf := number(t, "POSTCASK_SEED", int(time.Now().UnixNano()%1e9))
	t.Logf("POSTCASK_SEED=%d", seedOf)
	server.Users(t, "old", "new")
	seed(t, server, "old", messages)
	want := account(t, server, "old")
	whole := bin.summary(t, state(t), "backup", imapURL(server, "old"), filepath.Join(t.TempDir(), "calm"))
	whole.expect(t, 0, messages, messages)
	for i, job := range []struct {
		name  string
		check func(t *testing.T, archive string)
	}{
		{"backup", func(t *testing.T, archive string) {
			sameArchive(t, want, read(t, archive, "maildir"))
			(&torture{bin: bin, env: state(t)}).whole(t, archive, messages)
		}},
		{"migrate", func(t *testing.T, _ string) { sameAccount(t, want, account(t, server, "new")) }},
	} {
		t.Run(job.name, func(t *testing.T) {
			t.Parallel()
			s := &disturbed{bin: bin, env: state(t), random: rand.New(rand.NewPCG(uint64(seedOf), uint64(i))), octets: whole.Octets,
				cuts: int64(min(50, messages/80)), kills: int64(min(20, messages/150))}
			archive := filepath.Join(t.TempDir(), "mail")
			args := []string{job.name, "imap://old@" + s.line(t, server), archive}
			if job.name == "migrate" {
				args[2] = "imap://new@" + s.line(t, server)
			}
			for n := range s.kills {
				s.kill(t, args, n)
			}
			last := s.complete(t, args)
			job.check(t, archive)
			if last.Messages != messages || last.Quarantined+last.Failed != 0 {
				t.Errorf("%+v", last)
			}
			cuts := int64(0)
			for _, l := range s.lines {
				cuts += l.cuts.Load()
			}
			if want := s.cuts * int64(len(s.lines)); cuts != want {
				t.Errorf("the lines were cut %d times, not %d", cuts, want)
			}
			if s.peak > disturbedMemory {
				t.Errorf("it took %d MiB of memory", s.peak>>20)
			}
			t.Logf("%d messages, %d MB, %d cuts, %d kills: 0 lost, 0 doubled, 0 corrupt; %d MiB of memory at most",
				messages, s.octets/1e6, cuts, s.kills, s.peak>>20)
		})
	}
}

// line is the address of a line to the server on which a connection ends within each of so many equal shares of all octets:
// since all mail has to come over, as it is and not compressed, none of these cuts can fail to come.
func (s *disturbed) line(t *testing.T, server *testserver.Server) string {
	t.Helper()
	var marks []int64
	for i := range s.cuts {
		marks = append(marks, (i*s.octets+s.random.Int64N(s.octets))/s.cuts)
	}
	l := startLine(t, server.IMAPAddr, func() cut { return cut{} }, marks...)
	s.lines = append(s.lines, l)
	return l.addr + "?tls=none&compress=off"
}

// kill runs the program and kills it when a random share of all octets, on average all of them parted by the kills, has gone over the lines.
func (s *disturbed) kill(t *testing.T, args []string, n int64) {
	t.Helper()
	cmd := exec.Command(s.bin.path, args...)
	cmd.Env = s.env
	before, bound := s.moved(), 200+s.random.Int64N(2*s.octets/s.kills)
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	ended, peak := make(chan struct{}), make(chan int64, 1)
	go func() { peak <- peakMemory(cmd.Process.Pid, ended) }()
	var killing sync.WaitGroup
	killing.Go(func() {
		for s.moved()-before < bound {
			select {
			case <-ended:
				return
			case <-time.After(2 * time.Millisecond):
			}
		}
		cmd.Process.Kill()
	})
	err := cmd.Wait()
	close(ended)
	killing.Wait()
	s.peak = max(s.peak, <-peak)
	if status := cmd.ProcessState.ExitCode(); status != -1 && status != 0 && status != 3 && status != 5 {
		t.Fatalf("kill %d: %s: %v", n, strings.Join(args, " "), err)
	}
}

func (s *disturbed) moved() (octets int64) {
	for _, l := range s.lines {
		octets += l.moved.Load()
	}
	return octets
}

// complete runs the program until all has arrived; where lines still break it may take more than one run.
func (s *disturbed) complete(t *testing.T, args []string) summary {
	t.Helper()
	for n := 1; ; n++ {
		last := s.bin.summary(t, s.env, args...)
		s.peak = max(s.peak, last.result.peak)
		if last.Exit == 0 {
			again := s.bin.summary(t, s.env, args...)
			if again.Exit != 0 || again.Copied != 0 {
				t.Errorf("once more: %+v", again)
			}
			return last
		}
		if n == 5 || last.Exit != 3 && last.Exit != 5 {
			t.Fatalf("run %d: %+v\n%s", n, last, head(fmt.Sprint(last.result.stderr)))
		}
	}
}
