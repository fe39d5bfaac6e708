//go:build !linux

package archive

import "os"

func hurry(*os.File, int64, int64) {}
