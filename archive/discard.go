package archive

import (
	"context"
	"errors"
	"io/fs"
)

// Discard closes an archive that was just made and, where nothing has come into it, takes away what Create put into its
// directory; the directory itself stays. One that holds a mailbox or a message that was set aside is only closed.
func (a *Archive) Discard(ctx context.Context) error {
	empty, err := a.empty(ctx)
	if err != nil || !empty {
		return errors.Join(err, a.Close())
	}
	err = a.index.Close()
	a.index = nil
	entries, reading := fs.ReadDir(a.own.root.FS(), ".")
	err = errors.Join(err, reading)
	// The manifest first: without it the directory is no archive, whatever else is still there. The lock last.
	names := []string{manifestFile}
	for _, entry := range entries {
		if entry.Name() != manifestFile && entry.Name() != lockFile {
			names = append(names, entry.Name())
		}
	}
	for _, name := range append(names, lockFile) {
		err = errors.Join(err, a.own.root.Remove(name)) // a directory only if it is empty
	}
	if err == nil {
		err = a.top.root.Remove(ownDir)
	}
	return errors.Join(err, a.Close())
}

func (a *Archive) empty(ctx context.Context) (bool, error) {
	mailboxes, err := a.index.Mailboxes(ctx)
	if err != nil || len(mailboxes) > 0 {
		return false, err
	}
	beside, err := fs.ReadDir(a.top.root.FS(), ".")
	if err != nil || len(beside) > 1 { // a folder was made, though it is not noted yet
		return false, err
	}
	set, err := fs.ReadDir(a.own.root.FS(), quarantineDir)
	return len(set) == 0, err
}
