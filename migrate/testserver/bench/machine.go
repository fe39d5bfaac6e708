//go:build linux

package main

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"runtime"
	"strings"
	"time"
)

// A machine is what the figures depend on besides the programs.
type machine struct {
	date       time.Time
	processor  string
	cores      int
	memory     string
	system     string // distribution and kernel
	fileSystem string
	fsync      time.Duration
	dovecot    string
	load       string // how busy it was before
}

func lookAround(ctx context.Context, dir string) (machine, error) {
	m := machine{date: time.Now().UTC(), cores: runtime.NumCPU(), processor: fieldOf("/proc/cpuinfo", "model name"), memory: fieldOf("/proc/meminfo", "MemTotal")}
	m.system = strings.Trim(valueOf("/etc/os-release", "PRETTY_NAME="), `"`)
	if release, err := os.ReadFile("/proc/sys/kernel/osrelease"); err == nil {
		m.system += ", Linux " + strings.TrimSpace(string(release))
	}
	if load, err := os.ReadFile("/proc/loadavg"); err == nil {
		m.load, _, _ = strings.Cut(string(load), " ")
	}
	version, err := exec.CommandContext(ctx, "dovecot", "--version").Output()
	if err != nil {
		return m, fmt.Errorf("dovecot: %w; .ci/install-servers puts it in place", err)
	}
	m.dovecot = strings.TrimSpace(string(version))
	if m.fileSystem, err = fileSystem(dir); err != nil {
		return m, err
	}
	m.fsync, err = fsyncCost(dir)
	return m, err
}

// fieldOf gives the first value of a "name : value" file.
func fieldOf(file, name string) string {
	_, value, _ := strings.Cut(valueOf(file, name), ":")
	return strings.TrimSpace(value)
}

// valueOf gives what follows prefix on the first line that begins so.
func valueOf(file, prefix string) string {
	text, err := os.ReadFile(file)
	if err != nil {
		return "unknown"
	}
	for line := range strings.Lines(string(text)) {
		if rest, ok := strings.CutPrefix(line, prefix); ok {
			return strings.TrimSpace(rest)
		}
	}
	return "unknown"
}
