package testserver

import (
	"bytes"
	"os"
	"path/filepath"
	"strconv"
	"syscall"
)

// isolate gives the child a process group, a death signal and, where it wants one, a mount and a process namespace.
func (p *process) isolate() error {
	if p.cmd.SysProcAttr == nil {
		p.cmd.SysProcAttr = &syscall.SysProcAttr{}
	}
	attr := p.cmd.SysProcAttr
	attr.Setpgid = true
	attr.Pdeathsig = syscall.SIGTERM
	if p.namespace {
		// The first process of a namespace ignores signals that it has no handler for, but not this one.
		attr.Pdeathsig = syscall.SIGKILL
		attr.Cloneflags |= syscall.CLONE_NEWNS | syscall.CLONE_NEWPID
	}
	return nil
}

// asUser makes the child run as the user and group of these numbers, and with further groups.
func asUser(uid, gid uint32, groups ...uint32) *syscall.SysProcAttr {
	return &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: uid, Gid: gid, Groups: groups}}
}

// signalProcess sends a signal to a process, or to a group if pid is negative; one that is gone is no error.
func signalProcess(pid int, signal syscall.Signal) { _ = syscall.Kill(pid, signal) }

// groupAlive tells whether a process of the group runs still. Zombies that init has yet to collect do not count.
func groupAlive(pgid int) bool {
	stats, _ := filepath.Glob("/proc/[0-9]*/stat")
	for _, path := range stats {
		octets, err := os.ReadFile(path)
		if err != nil {
			continue // it has just ended
		}
		// pid (name) state ppid pgrp …, where the name may hold anything
		fields := bytes.Fields(octets[bytes.LastIndexByte(octets, ')')+1:])
		if len(fields) < 3 || string(fields[2]) != strconv.Itoa(pgid) {
			continue
		}
		if state := fields[0][0]; state != 'Z' && state != 'X' {
			return true
		}
	}
	return false
}
