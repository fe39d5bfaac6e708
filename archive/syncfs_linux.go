package archive

import (
	"os"
	"strconv"
	"strings"
	"syscall"

	"golang.org/x/sys/unix"
)

// openForSyncfs opens dir for syncfs(2), or gives nil where that call does not vouch for the octets of files: before
// Linux 5.8 it told of no error, and on file systems of the network, or upon another, it is not sure to.
func openForSyncfs(dir *folder) *os.File {
	if !since(5, 8) {
		return nil
	}
	f, err := dir.root.Open(".")
	if err != nil {
		return nil
	}
	var info unix.Statfs_t
	if err := unix.Fstatfs(int(f.Fd()), &info); err == nil {
		switch int64(info.Type) & 0xFFFFFFFF {
		case unix.EXT4_SUPER_MAGIC, unix.XFS_SUPER_MAGIC, unix.BTRFS_SUPER_MAGIC, unix.F2FS_SUPER_MAGIC:
			return f
		}
	}
	_ = f.Close() // nothing was written through it
	return nil
}

// since tells whether the kernel has at least this version.
func since(major, minor int) bool {
	var name unix.Utsname
	if err := unix.Uname(&name); err != nil {
		return false
	}
	parts := strings.SplitN(unix.ByteSliceToString(name.Release[:]), ".", 3)
	if len(parts) < 3 {
		return false
	}
	have, err := strconv.Atoi(parts[0])
	if err != nil || have != major {
		return have > major
	}
	have, err = strconv.Atoi(parts[1])
	return err == nil && have >= minor
}

// sameFileSystem tells whether syncfs by f reaches what lies in dir, which may be a mount point.
func sameFileSystem(f *os.File, dir *folder) bool {
	here, err := f.Stat()
	if err != nil {
		return false
	}
	there, err := dir.root.Stat(".")
	if err != nil {
		return false
	}
	one, ok := here.Sys().(*syscall.Stat_t)
	other, both := there.Sys().(*syscall.Stat_t)
	return ok && both && one.Dev == other.Dev
}

func syncfs(f *os.File) error { return unix.Syncfs(int(f.Fd())) }
