//go:build unix

package archive

import (
	"io/fs"
	"os"
	"syscall"
)

// ownersKnown tells whether modes and owners of files mean anything here.
const ownersKnown = true

// strangerOf gives the owner of a file if that is not who runs this.
func strangerOf(info fs.FileInfo) (uint32, bool) {
	stat, ok := info.Sys().(*syscall.Stat_t)
	return stat.Uid, ok && int64(stat.Uid) != int64(os.Geteuid())
}
