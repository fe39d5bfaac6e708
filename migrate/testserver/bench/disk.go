//go:build linux

package main

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// syncFileSystem has the kernel write out all that is written below dir.
func syncFileSystem(dir string) error {
	file, err := os.Open(dir)
	if err != nil {
		return err
	}
	defer file.Close()
	return unix.Syncfs(int(file.Fd()))
}

// fileSystem tells in words what dir lies on, with what matters for the cost of writing.
func fileSystem(dir string) (string, error) {
	mounts, err := os.ReadFile("/proc/self/mountinfo")
	if err != nil {
		return "", err
	}
	best, kind := "", ""
	for line := range strings.Lines(string(mounts)) {
		before, after, _ := strings.Cut(line, " - ")
		fields, rest := strings.Fields(before), strings.Fields(after)
		if len(fields) < 6 || len(rest) < 2 {
			continue
		}
		if at := fields[4]; len(at) >= len(best) && (at == "/" || dir == at || strings.HasPrefix(dir, at+"/")) {
			best, kind = at, rest[0]
			options := strings.Split(fields[5]+","+rest[len(rest)-1], ",")
			for _, option := range []string{"nobarrier", "barrier=0", "data=writeback", "noatime"} {
				if slices.Contains(options, option) {
					kind += ", " + option
				}
			}
			if strings.HasPrefix(rest[0], "ext") {
				if journals, err := filepath.Glob("/proc/fs/jbd2/" + filepath.Base(rest[1]) + "-*"); err == nil && len(journals) == 0 {
					kind += ", without a journal"
				}
			}
		}
	}
	return kind, nil
}

// fsyncCost measures what it takes to make a new file of 4 KiB safe: the middle of a hundred.
func fsyncCost(dir string) (time.Duration, error) {
	var costs []time.Duration
	octets := make([]byte, 4<<10)
	for i := range 100 {
		path := filepath.Join(dir, fmt.Sprintf("fsync-%d", i))
		file, err := os.Create(path)
		if err != nil {
			return 0, err
		}
		_, err = file.Write(octets)
		began := time.Now()
		if err == nil {
			err = file.Sync()
		}
		costs = append(costs, time.Since(began))
		if closing := file.Close(); err == nil {
			err = closing
		}
		if removing := os.Remove(path); err == nil {
			err = removing
		}
		if err != nil {
			return 0, err
		}
	}
	slices.Sort(costs)
	return costs[len(costs)/2], nil
}
