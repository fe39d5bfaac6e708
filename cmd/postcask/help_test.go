package main

import (
	"flag"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

var update = flag.Bool("update", false, "rewrite the golden files")

// Help is read like prose: a change of it shows in the diff of its golden file.
func TestHelp(t *testing.T) {
	for _, command := range []string{"", "backup", "restore", "migrate", "verify", "ls", "doctor", "version"} {
		t.Run("postcask "+command, func(t *testing.T) {
			status, got, errs := run(t, append(strings.Fields(command), "--help")...)
			if status != exitDone || errs != "" {
				t.Fatalf("status %d, %s", status, errs)
			}
			for line := range strings.Lines(got) {
				if n := len([]rune(line)); n > 140 {
					t.Errorf("a line of %d characters: %s", n, line)
				}
			}
			path := filepath.Join("testdata", "help", strings.TrimSpace("postcask "+command)+".golden")
			if *update {
				if err := os.WriteFile(path, []byte(got), 0o644); err != nil {
					t.Fatal(err)
				}
			}
			want, err := os.ReadFile(path)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(string(want), got); diff != "" {
				t.Error(diff)
			}
		})
	}
}
