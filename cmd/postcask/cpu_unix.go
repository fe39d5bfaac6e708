//go:build unix

package main

import (
	"syscall"
	"time"
)

// cpuTimes tells the CPU time of this process up to now.
func cpuTimes() (user, system time.Duration) {
	var usage syscall.Rusage
	if syscall.Getrusage(syscall.RUSAGE_SELF, &usage) != nil {
		return 0, 0
	}
	return time.Duration(usage.Utime.Nano()), time.Duration(usage.Stime.Nano())
}
