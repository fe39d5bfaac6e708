//go:build unix

package main

import (
	"syscall"
	"testing"
	"time"
)

// Two signals end it at once, and still nothing that was reported is lost. What it has in hand never comes to its end, so
// that one signal alone would end it when its patience does.
func TestInterruptTwice(t *testing.T) {
	t.Parallel()
	server, dir := slowServer(t, slowMail), t.TempDir()
	line := startGate(t, server.IMAPSAddr)
	if status, last := startBackup(t, dir, server, line.addr, "--max-bytes", "1M").end(t); status != exitLimit {
		t.Fatalf("some of it: status %d, %v", status, last)
	}
	line.hold(1<<20, 0)
	r := startBackup(t, dir, server, line.addr)
	<-line.spent
	r.Process.Signal(syscall.SIGINT)
	r.stderr.await(t, "once more to leave now")
	began := time.Now()
	r.Process.Signal(syscall.SIGINT)
	status, last := r.end(t)
	if took := time.Since(began); status != exitInterrupted || took > patience {
		t.Errorf("status %d after %v; %s", status, took, r.stderr)
	}
	r.whole(t, last)
}
