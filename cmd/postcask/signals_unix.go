//go:build unix

package main

import (
	"os"
	"os/signal"
	"syscall"
)

var (
	endSignals = []os.Signal{os.Interrupt, syscall.SIGTERM, syscall.SIGHUP}
	askSignals = []os.Signal{syscall.SIGUSR1}
)

func isAsking(sig os.Signal) bool { return sig == syscall.SIGUSR1 }

// ignoreBrokenPipes lets a run go on when nobody reads its output any more: the mail matters more than the words.
func ignoreBrokenPipes() { signal.Ignore(syscall.SIGPIPE) }
