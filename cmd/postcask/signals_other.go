//go:build !unix

package main

import "os"

var (
	endSignals = []os.Signal{os.Interrupt}
	askSignals []os.Signal
)

func isAsking(os.Signal) bool { return false }

func ignoreBrokenPipes() {}
