//go:build !linux

package testserver

import (
	"errors"
	"syscall"
)

func (p *process) isolate() error { return errors.New("real servers are tested on Linux alone") }

func asUser(uid, gid uint32, groups ...uint32) *syscall.SysProcAttr { return nil }

func signalProcess(pid int, signal syscall.Signal) {}

func groupAlive(pgid int) bool { return false }
