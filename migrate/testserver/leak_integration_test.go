//go:build integration

package testserver

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// processesNaming lists the processes that work in dir, or were given a file of it.
func processesNaming(t *testing.T, dir string) string {
	t.Helper()
	procs, err := filepath.Glob("/proc/[0-9]*")
	if err != nil {
		t.Fatal(err)
	}
	var found []string
	for _, proc := range procs {
		cwd, _ := os.Readlink(proc + "/cwd")
		cmdline, _ := os.ReadFile(proc + "/cmdline")
		if strings.HasPrefix(cwd, dir) || bytes.Contains(cmdline, []byte(dir)) {
			found = append(found, proc+" "+string(bytes.ReplaceAll(cmdline, []byte{0}, []byte{' '})))
		}
	}
	return strings.Join(found, "\n")
}
