//go:build !linux && !darwin && !freebsd

package archive

import (
	"os"
	"path"
	"time"
)

// createFile makes a file that is not there yet.
func (f *folder) createFile(name string) (*os.File, error) {
	return f.root.OpenFile(name, os.O_RDWR|os.O_CREATE|os.O_EXCL, 0o600)
}

// setTime sets both times of a file.
func (f *folder) setTime(name string, t time.Time) error { return f.root.Chtimes(name, t, t) }

// moveFile moves a file of f to the folder to; both lie in parent.
func (f *folder) moveFile(parent *folder, name string, to *folder, as string) error {
	return parent.root.Rename(path.Join(path.Base(f.name), name), path.Join(path.Base(to.name), as))
}

// filesAtOnce tells how many files a group may hold open.
func filesAtOnce() int { return fewestOpen }
