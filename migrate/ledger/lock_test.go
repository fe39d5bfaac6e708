package ledger

import (
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"postcask/migrate"
)

func TestLock(t *testing.T) {
	path := filepath.Join(t.TempDir(), "lock")
	release, err := Lock(path)
	must(t, err)
	if _, err := Lock(path); migrate.KindOf(err) != migrate.Locked || migrate.HintOf(err) == "" {
		t.Errorf("taken twice: %v", err)
	}
	must(t, release())
	must(t, release())
	release, err = Lock(path)
	must(t, err)
	must(t, release())
	if _, err := os.Lstat(path); err != nil {
		t.Error("the file is gone:", err)
	}
}

func TestOneOfManyGetsTheLock(t *testing.T) {
	path := filepath.Join(t.TempDir(), "lock")
	const contenders = 20
	results := make(chan func() error, contenders)
	for range contenders {
		go func() {
			release, err := Lock(path)
			if err != nil && migrate.KindOf(err) != migrate.Locked {
				t.Error(err)
			}
			results <- release
		}()
	}
	var held []func() error
	for range contenders {
		if release := <-results; release != nil {
			held = append(held, release)
		}
	}
	same(t, "holders", len(held), 1)
	for _, release := range held {
		must(t, release())
	}
}

func TestALockThatIsNoPlainFileIsRefused(t *testing.T) {
	for name, make := range map[string]func(path string) error{
		"a link":           func(path string) error { return os.Symlink(path+".target", path) },
		"a directory":      func(path string) error { return os.Mkdir(path, 0o700) },
		"a device or pipe": func(path string) error { return syscall.Mkfifo(path, 0o600) },
	} {
		path := filepath.Join(t.TempDir(), "lock")
		must(t, make(path))
		if _, err := Lock(path); migrate.KindOf(err) != migrate.Unsafe || !strings.Contains(err.Error(), name) {
			t.Errorf("%s: %v", name, err)
		}
		if _, err := os.Lstat(path + ".target"); err == nil {
			t.Error("made through a link")
		}
	}
	if _, err := Lock(filepath.Join(t.TempDir(), "no", "lock")); err == nil {
		t.Error("locked in a directory that is not there")
	}
}

func TestDefaultPath(t *testing.T) {
	home := t.TempDir()
	t.Setenv("HOME", home)
	t.Setenv("XDG_STATE_HOME", filepath.Join(home, "elsewhere"))
	of := func(source, destination string) string {
		t.Helper()
		path, err := DefaultPath(source, destination)
		must(t, err)
		return path
	}
	path := of("imaps://me@example.org", "imaps://me@example.net")
	same(t, "directory", filepath.Dir(path), filepath.Join(home, "elsewhere", "postcask"))
	same(t, "again", of("imaps://me@example.org", "imaps://me@example.net"), path)
	seen := map[string]bool{}
	for _, pair := range [][2]string{{"a", "b"}, {"b", "a"}, {"ab", ""}, {"", "ab"}, {"a", "b "}, {"1 a", "b"}} {
		seen[of(pair[0], pair[1])] = true
	}
	same(t, "pairs told apart", len(seen), 6)
	for _, unset := range []string{"", "relative"} {
		t.Setenv("XDG_STATE_HOME", unset)
		same(t, "directory", filepath.Dir(of("a", "b")), filepath.Join(home, ".local", "state", "postcask"))
	}
	dir := filepath.Dir(of("a", "b"))
	must(t, os.Chmod(dir, 0o755))
	of("a", "b")
	info, err := os.Stat(dir)
	must(t, err)
	same(t, "permissions", info.Mode().Perm(), os.FileMode(0o700))
	t.Setenv("XDG_STATE_HOME", filepath.Join(home, "file"))
	must(t, os.WriteFile(filepath.Join(home, "file"), nil, 0o600))
	if _, err := DefaultPath("a", "b"); err == nil {
		t.Error("a place under a file")
	}
}
