//go:build !unix

package main

import "time"

// cpuTimes is not known here.
func cpuTimes() (user, system time.Duration) { return 0, 0 }
