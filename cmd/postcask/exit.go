package main

import (
	"context"
	"errors"

	"postcask/migrate"
)

// The exit statuses, a promise to scripts: docs/scripting.md.
const (
	exitDone        = 0
	exitFailed      = 1
	exitMisuse      = 2
	exitIncomplete  = 3
	exitAuth        = 4
	exitUnavailable = 5
	exitLocked      = 6
	exitRefused     = 7
	exitLimit       = 8
	exitDiffers     = 9
	exitDamaged     = 10
	exitUnsafe      = 11
	exitInterrupted = 130
)

var exitOfKind = map[migrate.Kind]int{
	migrate.Failed:      exitFailed,
	migrate.Misuse:      exitMisuse,
	migrate.Auth:        exitAuth,
	migrate.Unavailable: exitUnavailable,
	migrate.Locked:      exitLocked,
	migrate.Refused:     exitRefused,
	migrate.Limit:       exitLimit,
	migrate.Damaged:     exitDamaged,
	migrate.Unsafe:      exitUnsafe,
}

// A verdict is an exit status that is no error: the command did its work, and that is what it came to. What there is
// to say has been said.
type verdict int

func (v verdict) Error() string { return "" }

// exitStatus gives the status that err ends the program with.
func exitStatus(err error) int {
	var status verdict
	switch {
	case err == nil:
		return exitDone
	case errors.As(err, &status):
		return int(status)
	case errors.Is(err, migrate.ErrStopped), errors.Is(err, context.Canceled):
		return exitInterrupted
	}
	return exitOfKind[migrate.KindOf(err)]
}

// told wraps an error that the user has been told of already.
type told struct{ error }

func (t told) Unwrap() error { return t.error }
