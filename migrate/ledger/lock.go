package ledger

import (
	"fmt"
	"os"

	"github.com/gofrs/flock"

	"postcask/migrate"
)

// Lock takes the lock whose file is at path, made with mode 0600 where it is missing, and does not wait: an error of
// kind Locked tells that another run, in this process or another, holds it. A link in its place is refused. The system
// lets go of the lock when the process ends, however it ends; the file stays, since to remove it would let two in.
// The lock of a ledger lies beside it, at its path + ".lock". What release does a second time is nothing.
func Lock(path string) (release func() error, err error) {
	if info, err := os.Lstat(path); err == nil && !info.Mode().IsRegular() {
		return nil, migrate.Errorf(migrate.Unsafe, "lock %q: not a plain file but %s", path, fileKind(info.Mode()))
	}
	lock := flock.New(path, flock.SetFlag(os.O_CREATE|os.O_RDONLY|noFollow), flock.SetPermissions(0o600))
	held, err := lock.TryLock()
	if err != nil {
		return nil, fmt.Errorf("lock %q: %w", path, err)
	}
	if !held {
		return nil, &migrate.Error{Kind: migrate.Locked, Err: fmt.Errorf("lock %q: held by another run", path), Hint: lockedHint}
	}
	if err := isStillThere(lock, path); err != nil {
		_ = lock.Unlock()
		return nil, fmt.Errorf("lock %q: %w", path, err)
	}
	return lock.Unlock, nil
}

// isStillThere makes sure that what was locked is what the next one will try to lock.
func isStillThere(lock *flock.Flock, path string) error {
	held, err := lock.Stat()
	if err != nil {
		return err
	}
	named, err := os.Lstat(path)
	if err != nil {
		return err
	}
	if !held.Mode().IsRegular() || !os.SameFile(held, named) {
		return migrate.Errorf(migrate.Unsafe, "the file was exchanged meanwhile")
	}
	return nil
}
