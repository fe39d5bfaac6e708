//go:build linux || darwin || freebsd

package archive

import (
	"os"
	"path"
	"runtime"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// Here a folder makes and moves files by the descriptor of its directory and a bare name, one call each, where os.Root
// walks and looks around. A bare name leads nowhere else, and a link in the place of a new file is not followed.

// at calls do with the descriptor of the directory, again when a signal came in between; names must be bare.
func (f *folder) at(do func(fd int) error, names ...string) error {
	for _, name := range names {
		if name == "" || name == "." || name == ".." || strings.ContainsAny(name, "/\x00") {
			return syscall.EINVAL
		}
	}
	dir, err := f.handle()
	if err != nil {
		return err
	}
	defer runtime.KeepAlive(dir)
	for {
		if err := do(int(dir.Fd())); err != syscall.EINTR {
			return err
		}
	}
}

// createFile makes a file that is not there yet.
func (f *folder) createFile(name string) (*os.File, error) {
	made := -1
	err := f.at(func(fd int) (err error) {
		made, err = unix.Openat(fd, name, unix.O_RDWR|unix.O_CREAT|unix.O_EXCL|unix.O_NOFOLLOW|unix.O_CLOEXEC, 0o600)
		return err
	}, name)
	if err != nil {
		return nil, err
	}
	return os.NewFile(uintptr(made), path.Join(f.name, name)), nil
}

// setTime sets both times of a file.
func (f *folder) setTime(name string, t time.Time) error {
	spec := unix.NsecToTimespec(t.UnixNano())
	return f.at(func(fd int) error {
		return unix.UtimesNanoAt(fd, name, []unix.Timespec{spec, spec}, unix.AT_SYMLINK_NOFOLLOW)
	}, name)
}

// moveFile moves a file of f to the folder to; both lie in parent.
func (f *folder) moveFile(_ *folder, name string, to *folder, as string) error {
	return f.at(func(from int) error {
		return to.at(func(fd int) error { return unix.Renameat(from, name, fd, as) }, as)
	}, name)
}

// filesAtOnce tells how many files a group may hold open: enough for it, but a small part of what the process may.
func filesAtOnce() int {
	var limit unix.Rlimit
	if err := unix.Getrlimit(unix.RLIMIT_NOFILE, &limit); err != nil {
		return fewestOpen
	}
	return int(min(mostOpen, max(fewestOpen, uint64(limit.Cur)/16)))
}
