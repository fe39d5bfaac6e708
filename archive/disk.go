package archive

import (
	"crypto/rand"
	"encoding/base32"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path"
	"runtime"
	"strings"
	"syscall"
	"time"

	"postcask/migrate"
	"postcask/migrate/step"
)

// A disk makes the file system calls that decide whether mail is safe. It is the seam where tests let the n-th call
// fail and stop the clock.
type disk struct {
	fault func(op, name string) error // asked before each call; an error is what the call then gives
	now   func() time.Time
	host  string // made fit for file names
	pid   int

	gather    int // octets that are gathered before they are written
	openFiles int // files of a group that wait for their sync
}

func (d *disk) before(op, name string) error {
	if d.fault == nil {
		return nil
	}
	return d.fault(op, name)
}

// create makes a new file in dir, mode 0600 whatever the umask.
func (d *disk) create(dir *folder, name string) (*os.File, error) {
	if err := d.before("create", name); err != nil {
		return nil, dir.broken("create", name, err)
	}
	f, err := dir.createFile(name)
	if err != nil {
		return nil, dir.broken("create", name, err)
	}
	if !dir.private.Load() {
		if err := d.makePrivate(dir, f); err != nil {
			return nil, dir.broken("create", name, errors.Join(err, f.Close(), dir.root.Remove(name)))
		}
	}
	step.Done("file created")
	return f, nil
}

// makePrivate gives a new file its mode. Where it has it already, so will the next ones in this directory.
func (d *disk) makePrivate(dir *folder, f *os.File) error {
	info, err := f.Stat()
	if err == nil && info.Mode().Perm() == 0o600 {
		dir.private.Store(true)
		return nil
	}
	return f.Chmod(0o600)
}

// setTime sets the times of a file of dir.
func (d *disk) setTime(dir *folder, name string, t time.Time) error {
	err := d.before("times", name)
	if err == nil {
		err = dir.setTime(name, t)
	}
	if err != nil {
		return dir.broken("set the time of", name, err)
	}
	return nil
}

func (d *disk) writeAt(f *os.File, p []byte, at int64) error {
	err := d.before("write", f.Name())
	if err == nil {
		_, err = f.WriteAt(p, at)
		step.Done("octets written")
	}
	return broken("write", f.Name(), err)
}

func (d *disk) truncate(f *os.File, size int64) error {
	err := d.before("truncate", f.Name())
	if err == nil {
		err = f.Truncate(size)
		step.Done("file cut")
	}
	return broken("truncate", f.Name(), err)
}

func (d *disk) sync(f *os.File) error {
	err := d.before("sync", f.Name())
	if err == nil {
		err = f.Sync()
		step.Done("file synced")
	}
	return broken("sync", f.Name(), err)
}

// syncfs makes everything durable on the file system that f lies on, as far as the kernel knows.
func (d *disk) syncfs(f *os.File) error {
	for {
		err := d.before("syncfs", f.Name())
		if err == nil {
			err = syncfs(f)
			step.Done("file system synced")
		}
		if !errors.Is(err, syscall.EINTR) {
			return broken("sync the file system of", f.Name(), err)
		}
	}
}

// close ends the use of a file. Some file systems tell only then that there was no room.
func (d *disk) close(f *os.File) error {
	err := d.before("close", f.Name())
	return broken("close", f.Name(), errors.Join(err, f.Close()))
}

// syncDir makes the names in dir durable. Windows has no such call and needs none.
func (d *disk) syncDir(dir *folder) error {
	if err := d.before("syncdir", dir.name); err != nil {
		return dir.broken("sync", "", err)
	}
	if runtime.GOOS == "windows" {
		return nil
	}
	f, err := dir.handle()
	if err == nil {
		err = f.Sync()
	}
	if err != nil {
		return dir.broken("sync", "", err)
	}
	step.Done("directory synced")
	return nil
}

// rename moves a file below dir; both names are relative to it.
func (d *disk) rename(dir *folder, from, to string) error {
	err := d.before("rename", from)
	if err == nil {
		err = dir.root.Rename(from, to)
		step.Done("file renamed")
	}
	if err != nil {
		return dir.broken("rename", from, err)
	}
	return nil
}

// move takes a file from one folder to another; both lie in parent.
func (d *disk) move(parent, from *folder, name string, to *folder, as string) error {
	err := d.before("rename", name)
	if err == nil {
		err = from.moveFile(parent, name, to, as)
		step.Done("file renamed")
	}
	if err != nil {
		return from.broken("rename", name, err)
	}
	return nil
}

// remove takes a file of dir away, if it is there.
func (d *disk) remove(dir *folder, name string) error {
	err := d.before("remove", name)
	if err == nil {
		err = dir.root.Remove(name)
		step.Done("file removed")
	}
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return dir.broken("remove", name, err)
	}
	return nil
}

// replace writes a small file of dir beside, syncs it, renames it into place, and syncs dir.
func (d *disk) replace(dir *folder, name string, text []byte) error {
	beside := ".postcask-" + word() + ".tmp" // no mailbox is called so, and nobody else's file
	f, err := d.create(dir, beside)
	if err != nil {
		return err
	}
	err = d.writeAt(f, text, 0)
	if err == nil {
		err = d.sync(f)
	}
	if err = errors.Join(err, d.close(f)); err == nil {
		err = d.rename(dir, beside, name)
	}
	if err != nil {
		_ = d.remove(dir, beside) // the first error is the one to tell
		return err
	}
	return d.syncDir(dir)
}

// word gives a random word of lower-case letters and digits.
func word() string {
	var b [5]byte
	_, _ = rand.Read(b[:]) // never fails
	return strings.ToLower(base32.HexEncoding.EncodeToString(b[:]))
}

func (f *folder) broken(op, name string, err error) error {
	return broken(op, path.Join(f.name, name), err)
}

// broken words an error of the file system: what was done, where, and the cause, with a kind where it has one.
func broken(op, where string, err error) error {
	if err == nil {
		return nil
	}
	var known *migrate.Error
	if errors.As(err, &known) {
		return err
	}
	err = fmt.Errorf("%s %q: %w", op, where, systemCause(err))
	switch {
	case errors.Is(err, syscall.ENOSPC), errors.Is(err, syscall.EDQUOT):
		return &migrate.Error{Kind: migrate.Refused, Err: err, Hint: "make room on the disk and run the same command again; it goes on from there"}
	case errors.Is(err, fs.ErrPermission), errors.Is(err, syscall.EROFS):
		return &migrate.Error{Kind: migrate.Refused, Err: err, Hint: "see who owns the archive and whether the disk can be written"}
	}
	return err
}

// systemCause gives what the system said, without the operation and the path that the os package adds.
func systemCause(err error) error {
	var onPath *fs.PathError
	var onLink *os.LinkError
	switch {
	case errors.As(err, &onPath):
		err = onPath.Err
	case errors.As(err, &onLink):
		err = onLink.Err
	}
	if number, ok := err.(syscall.Errno); ok {
		return diskError(number)
	}
	return err
}

// A diskError is a syscall.Errno that does not pass for a net.Error, and so for trouble that another try may mend.
type diskError syscall.Errno

func (e diskError) Error() string { return syscall.Errno(e).Error() }

// Is lets errors.Is find the syscall.Errno and what it stands for.
func (e diskError) Is(target error) bool {
	return target == syscall.Errno(e) || syscall.Errno(e).Is(target)
}
