//go:build !linux

package archive

import (
	"errors"
	"os"
)

// openForSyncfs gives nil: only Linux has the call.
func openForSyncfs(*folder) *os.File { return nil }

func sameFileSystem(*os.File, *folder) bool { return false }

func syncfs(*os.File) error { return errors.ErrUnsupported }
