//go:build linux

package main

import (
	"encoding/json"
	"errors"
	"os"
	"os/exec"
	"syscall"
	"time"
)

// A weight is what the kernel tells of a program that has ended.
type weight struct {
	Wall, User, System time.Duration
	Memory             int64 // octets, the most that were resident
}

// weigh runs a program and writes its weight to a file. It is a process of its own, and a small one: what was resident
// in the process that starts a program counts as that program's memory.
//
//	bench weigh FILE PROGRAM [ARGUMENT...]
func weigh(args []string) error {
	if len(args) < 2 {
		return errors.New("weigh FILE PROGRAM [ARGUMENT...]")
	}
	cmd := exec.Command(args[1], args[2:]...)
	cmd.Stdout, cmd.Stderr = os.Stdout, os.Stderr
	began := time.Now()
	if err := cmd.Run(); err != nil {
		return err
	}
	w := weight{Wall: time.Since(began), User: cmd.ProcessState.UserTime(), System: cmd.ProcessState.SystemTime()}
	if usage, ok := cmd.ProcessState.SysUsage().(*syscall.Rusage); ok {
		w.Memory = usage.Maxrss << 10 // Linux tells kilobytes
	}
	octets, err := json.Marshal(w)
	if err != nil {
		return err
	}
	return os.WriteFile(args[0], octets, 0o600)
}
