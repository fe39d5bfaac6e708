package ledger

import (
	"context"
	"errors"
	"fmt"
	"syscall"

	"modernc.org/sqlite"
	sqlite3 "modernc.org/sqlite/lib"

	"postcask/migrate"
)

const (
	damagedHint = "the mail itself is not touched by this; the index of an archive is made anew by postcask doctor --rebuild ARCHIVE"
	lockedHint  = "another run is at work on it; wait for that one to end"
	roomHint    = "make room on the disk and run the same command again; it goes on from there"
	brokenHint  = "see whether the disk is sound, and whether a quota or a limit on files is reached; then run the same command again"
	ownerHint   = "see who owns the file and whether the disk can be written"
	newerHint   = "it was written by a newer postcask; use that one, or a newer one still"
)

// fault adds to err, which came from the database, what was being done, and the kind it is of.
func fault(ctx context.Context, doing string, err error) error {
	if err == nil {
		return nil
	}
	var told *migrate.Error
	if errors.As(err, &told) {
		return fmt.Errorf("%s: %w", doing, err)
	}
	var native *sqlite.Error
	if !errors.As(err, &native) {
		return fmt.Errorf("%s: %w", doing, err)
	}
	switch native.Code() & 0xff { // what an extended code is a case of
	case sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB, sqlite3.SQLITE_FORMAT,
		sqlite3.SQLITE_ERROR: // what is asked is always the same, so tables or the file's head are not what they should be
		return &migrate.Error{Kind: migrate.Damaged, Err: fmt.Errorf("%s: %w", doing, err), Hint: damagedHint}
	case sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED:
		return &migrate.Error{Kind: migrate.Locked, Err: fmt.Errorf("%s: %w", doing, err), Hint: lockedHint}
	case sqlite3.SQLITE_FULL:
		return &migrate.Error{Kind: migrate.Refused, Err: fmt.Errorf("%s: %w: %w", doing, diskError(syscall.ENOSPC), err), Hint: roomHint}
	case sqlite3.SQLITE_READONLY, sqlite3.SQLITE_PERM:
		return &migrate.Error{Kind: migrate.Refused, Err: fmt.Errorf("%s: %w", doing, err), Hint: ownerHint}
	case sqlite3.SQLITE_IOERR:
		if native.Code() == sqlite3.SQLITE_IOERR_SHMSIZE { // SQLite does not say so, but it is what keeps a file from growing
			return &migrate.Error{Kind: migrate.Refused, Err: fmt.Errorf("%s: %w: %w", doing, diskError(syscall.ENOSPC), err), Hint: roomHint}
		}
		return &migrate.Error{Kind: migrate.Failed, Err: fmt.Errorf("%s: %w: %w", doing, diskError(syscall.EIO), err), Hint: brokenHint}
	case sqlite3.SQLITE_INTERRUPT:
		if cause := ctx.Err(); cause != nil {
			return fmt.Errorf("%s: %w", doing, cause)
		}
	}
	return fmt.Errorf("%s: %w", doing, err)
}

// A diskError is what a system call would have said. A syscall.Errno as it is would pass for a net.Error, and so for
// something that another try may mend.
type diskError syscall.Errno

func (e diskError) Error() string { return syscall.Errno(e).Error() }

// Is lets errors.Is find the syscall.Errno, and what that stands for.
func (e diskError) Is(target error) bool {
	return target == syscall.Errno(e) || syscall.Errno(e).Is(target)
}

// codeOf gives the primary code of an error of SQLite, or -1.
func codeOf(err error) int {
	var native *sqlite.Error
	if errors.As(err, &native) {
		return native.Code() & 0xff
	}
	return -1
}
