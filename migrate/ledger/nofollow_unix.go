//go:build unix

package ledger

import "syscall"

// noFollow makes open refuse a link, and not wait for the other end of a pipe.
const noFollow = syscall.O_NOFOLLOW | syscall.O_NONBLOCK
