package archive

import (
	"fmt"

	"postcask/migrate"
)

// mayWrite refuses to write into a directory that others could have planted something in: one that its group or
// anybody may write to, or that belongs to somebody else. Root is no exception: a user who owns the directory could
// lead root's writes astray.
func mayWrite(f *folder) error {
	info, err := f.root.Stat(".")
	if err != nil {
		return f.broken("look at", "", err)
	}
	if loose := info.Mode().Perm() & 0o022; loose != 0 && ownersKnown {
		return &migrate.Error{
			Kind: migrate.Unsafe,
			Err:  fmt.Errorf("others may write to %q (mode %04o)", f.name, info.Mode().Perm()),
			Hint: fmt.Sprintf("look whether all in it is yours, then: chmod go-w %q", f.name),
		}
	}
	if owner, ok := strangerOf(info); ok {
		return &migrate.Error{
			Kind: migrate.Unsafe,
			Err:  fmt.Errorf("%q belongs to user %d", f.name, owner),
			Hint: "run postcask as the user who owns the archive",
		}
	}
	return nil
}
