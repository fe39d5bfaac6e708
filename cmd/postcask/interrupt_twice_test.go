//go:build unix

package main

import (
	"syscall"
	"testing"
	"time"
)

// Two signals end it at once, and still nothing that was reported is lost.
func TestInterruptTwice(t *testing.T) {
	t.Parallel()
	r := slowBackup(t)
	began := time.Now()
	r.Process.Signal(syscall.SIGINT)
	time.Sleep(50 * time.Millisecond)
	r.Process.Signal(syscall.SIGINT)
	status, last := r.end(t)
	if took := time.Since(began); status != exitInterrupted || took > 5*time.Second {
		t.Errorf("status %d after %v; %s", status, took, r.stderr)
	}
	r.whole(t, last)
}
