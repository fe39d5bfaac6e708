package archive

import (
	"os"

	"golang.org/x/sys/unix"
)

// hurry has the kernel begin to write a stretch of a file to the disk, and does not wait. It promises nothing: what goes
// wrong shows when the file is synced, and one that cannot be hurried is as safe then.
func hurry(f *os.File, from, octets int64) {
	_ = unix.SyncFileRange(int(f.Fd()), from, octets, unix.SYNC_FILE_RANGE_WRITE)
}
