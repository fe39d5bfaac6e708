package ledger

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"

	"postcask/migrate"
)

// prepare refuses what is no plain file, makes a missing one with O_EXCL, which follows no link, and takes others'
// permissions away. An existing file is not opened here: closing it would drop the locks that SQLite holds in this process.
func prepare(path string, o Options) error {
	if o.Create && !o.ReadOnly {
		if err := create(path, os.O_EXCL); !errors.Is(err, fs.ErrExist) {
			return err
		}
	}
	info, err := os.Lstat(path)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return &migrate.Error{Kind: migrate.Damaged, Err: err, Hint: damagedHint}
	case err != nil:
		return err
	case !info.Mode().IsRegular():
		return damaged("not a plain file but %s", fileKind(info.Mode()))
	case info.Size() == 0 && (o.ReadOnly || !o.Create):
		return damaged("it is empty")
	case info.Size() == 0: // a creation was cut off
		return create(path, 0)
	}
	if loose := info.Mode().Perm() & 0o077; loose != 0 && !o.ReadOnly {
		return os.Chmod(path, info.Mode().Perm()&^0o077)
	}
	return nil
}

// create makes a database without tables, durably. Its first page tells SQLite to leave room for sums in every other.
func create(path string, flag int) error {
	file, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE|flag|noFollow, 0o600)
	if err != nil {
		return err
	}
	err = file.Chmod(0o600) // an umask may have taken more than it should
	if err == nil {
		_, err = file.WriteAt(emptyDatabase(), 0)
	}
	if err == nil {
		err = file.Sync()
	}
	if err = errors.Join(err, file.Close()); err != nil {
		return err
	}
	return syncDir(filepath.Dir(path))
}

func fileKind(mode fs.FileMode) string {
	switch {
	case mode&fs.ModeSymlink != 0:
		return "a link"
	case mode.IsDir():
		return "a directory"
	}
	return "a device or pipe"
}

// syncDir makes a new name in the directory durable. Windows has no such call and needs none.
func syncDir(dir string) error {
	if runtime.GOOS == "windows" {
		return nil
	}
	file, err := os.Open(dir)
	if err != nil {
		return err
	}
	return errors.Join(file.Sync(), file.Close())
}

// DefaultPath gives the path of the ledger between two servers, whose names are opaque here, and makes its directory with
// mode 0700: $XDG_STATE_HOME/postcask, or ~/.local/state/postcask where that is unset or, against the XDG Base
// Directory Specification, relative. The file is named after a digest of both names. The lock for it is path + ".lock".
func DefaultPath(source, destination string) (string, error) {
	state := os.Getenv("XDG_STATE_HOME")
	if !filepath.IsAbs(state) {
		home, err := os.UserHomeDir()
		if err != nil {
			return "", fmt.Errorf("find a place for the ledger: %w", err)
		}
		state = filepath.Join(home, ".local", "state")
	}
	dir := filepath.Join(state, "postcask")
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return "", fmt.Errorf("find a place for the ledger: %w", err)
	}
	if err := os.Chmod(dir, 0o700); err != nil {
		return "", fmt.Errorf("find a place for the ledger: %w", err)
	}
	sum := sha256.Sum256(fmt.Appendf(nil, "%d %s%s", len(source), source, destination))
	return filepath.Join(dir, hex.EncodeToString(sum[:12])+".db"), nil
}
