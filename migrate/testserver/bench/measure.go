//go:build linux

package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// A sample is what one run of a program cost.
type sample struct {
	weight
	server time.Duration // CPU of the server meanwhile
}

// patience is how long a program may take for one piece of work.
const patience = 30 * time.Minute

// time runs a program. What was written before is on the disk by then, so that nobody pays for others.
func (b *bench) time(ctx context.Context, cmd *exec.Cmd) (s sample, err error) {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	syscall.Sync()
	before, err := b.serverCPU()
	if err != nil {
		return s, err
	}
	told := filepath.Join(b.dir, "weight")
	weighed := exec.CommandContext(ctx, b.self, append([]string{"weigh", told}, cmd.Args...)...)
	weighed.Dir, weighed.Env = cmd.Dir, cmd.Env
	weighed.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	weighed.Cancel = func() error { return syscall.Kill(-weighed.Process.Pid, syscall.SIGKILL) }
	if output, err := weighed.CombinedOutput(); ctx.Err() != nil {
		return s, context.Cause(ctx)
	} else if err != nil {
		return s, fmt.Errorf("%w: %s", err, strings.ReplaceAll(lastLines(string(output)), b.dir, "DIR")) // it comes into the page
	}
	octets, err := os.ReadFile(told)
	if err != nil {
		return s, err
	}
	if err := json.Unmarshal(octets, &s.weight); err != nil {
		return s, err
	}
	time.Sleep(200 * time.Millisecond) // for what the server does after its last answer
	after, err := b.serverCPU()
	s.server = after - before
	return s, err
}

func lastLines(text string) string {
	lines := strings.Split(strings.TrimSpace(text), "\n")
	return strings.Join(lines[max(0, len(lines)-3):], " / ")
}

// serverCPU tells the CPU time of the server's master, of what it has waited for, and of its children.
func (b *bench) serverCPU() (time.Duration, error) {
	text, err := os.ReadFile(filepath.Join(b.server.Dir(), "run", "master.pid"))
	if err != nil {
		return 0, err
	}
	master := strings.TrimSpace(string(text))
	stats, err := filepath.Glob("/proc/[0-9]*/stat")
	if err != nil {
		return 0, err
	}
	ticks := 0
	for _, path := range stats {
		octets, err := os.ReadFile(path)
		if err != nil {
			continue // it has ended meanwhile
		}
		// Behind the name in parentheses: state, parent, … and utime, stime, cutime, cstime as fields 14 to 17 (proc(5)).
		fields := strings.Fields(string(octets[bytes.LastIndexByte(octets, ')')+1:]))
		if len(fields) < 15 {
			continue
		}
		last := 11
		if filepath.Base(filepath.Dir(path)) == master {
			last = 15
		} else if fields[1] == master {
			last = 13
		}
		for _, field := range fields[11:last] {
			n, err := strconv.Atoi(field)
			if err != nil {
				return 0, errors.New("what the kernel tells of processes cannot be read")
			}
			ticks += n
		}
	}
	return time.Duration(ticks) * 10 * time.Millisecond, nil // USER_HZ is 100 on every Linux there is
}

// median is the middle of some samples, field by field.
func median(samples []sample) sample {
	middle := func(field func(sample) int64) int64 {
		values := make([]int64, len(samples))
		for i, s := range samples {
			values[i] = field(s)
		}
		slices.Sort(values)
		return values[len(values)/2]
	}
	return sample{weight{
		Wall:   time.Duration(middle(func(s sample) int64 { return int64(s.Wall) })),
		User:   time.Duration(middle(func(s sample) int64 { return int64(s.User) })),
		System: time.Duration(middle(func(s sample) int64 { return int64(s.System) })),
		Memory: middle(func(s sample) int64 { return s.Memory }),
	}, time.Duration(middle(func(s sample) int64 { return int64(s.server) }))}
}
