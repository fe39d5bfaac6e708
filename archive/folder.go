package archive

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path"
	"strings"
	"sync"
	"sync/atomic"

	"postcask/migrate"
	"postcask/migrate/step"
)

// A folder is an open directory of the archive. Its names lead nowhere else: os.Root keeps them inside, and no link is
// followed on the way, not even one that stays inside.
type folder struct {
	root *os.Root
	name string // for messages

	opening sync.Once
	dir     *os.File // the directory itself, once it was asked for
	cannot  error
	private atomic.Bool // a file made here has mode 0600 as asked; the umask may take more away
}

func openFolder(dir string) (*folder, error) {
	root, err := os.OpenRoot(dir)
	if err != nil {
		return nil, broken("open", dir, err)
	}
	return &folder{root: root, name: dir}, nil
}

func (f *folder) close() error {
	f.opening.Do(func() { f.cannot = os.ErrClosed })
	if f.dir != nil {
		return errors.Join(f.dir.Close(), f.root.Close())
	}
	return f.root.Close()
}

// handle gives the directory itself, which stays open as long as the folder.
func (f *folder) handle() (*os.File, error) {
	f.opening.Do(func() { f.dir, f.cannot = f.root.Open(".") })
	return f.dir, f.cannot
}

// sub opens a directory below, step by step.
func (f *folder) sub(names ...string) (*folder, error) {
	at := f
	for _, name := range names {
		next, err := at.step(name)
		if at != f {
			err = errors.Join(err, at.close())
		}
		if err != nil {
			return nil, err
		}
		at = next
	}
	return at, nil
}

func (f *folder) step(name string) (*folder, error) {
	where := path.Join(f.name, name)
	named, err := f.root.Lstat(name)
	if err != nil {
		return nil, broken("open", where, err)
	}
	if !named.IsDir() {
		return nil, planted(where, named.Mode(), "directory")
	}
	root, err := f.root.OpenRoot(name)
	if err != nil {
		return nil, broken("open", where, err)
	}
	held, err := root.Stat(".")
	if err != nil || !os.SameFile(named, held) {
		return nil, errors.Join(migrate.Errorf(migrate.Unsafe, "%q was exchanged for something else meanwhile", where), err, root.Close())
	}
	return &folder{root: root, name: where}, nil
}

// open opens a file that is there already; flag is os.O_RDONLY or os.O_RDWR.
func (f *folder) open(name string, flag int) (*os.File, error) {
	where := path.Join(f.name, name)
	named, err := f.root.Lstat(name)
	if err != nil {
		return nil, broken("open", where, err)
	}
	if !named.Mode().IsRegular() {
		return nil, planted(where, named.Mode(), "plain file")
	}
	file, err := f.root.OpenFile(name, flag, 0)
	if err != nil {
		return nil, broken("open", where, err)
	}
	held, err := file.Stat()
	if err != nil || !os.SameFile(named, held) {
		return nil, errors.Join(migrate.Errorf(migrate.Unsafe, "%q was exchanged for something else meanwhile", where), err, file.Close())
	}
	return file, nil
}

// mkdir makes a directory unless it is there, mode 0700 whatever the umask, and tells whether it made it.
func (d *disk) mkdir(f *folder, name string) (bool, error) {
	if err := d.before("mkdir", name); err != nil {
		return false, f.broken("create", name, err)
	}
	err := f.root.Mkdir(name, 0o700)
	if errors.Is(err, fs.ErrExist) {
		return false, nil
	}
	if err == nil {
		err = f.root.Chmod(name, 0o700)
	}
	if err != nil {
		return false, f.broken("create", name, err)
	}
	step.Done("directory made")
	return true, nil
}

// make opens a directory below and makes what is missing of the way there, each durable before the next.
func (d *disk) make(f *folder, names ...string) (*folder, error) {
	at := f
	for _, name := range names {
		made, err := d.mkdir(at, name)
		if err == nil && made {
			err = d.syncDir(at)
		}
		var next *folder
		if err == nil {
			next, err = at.step(name)
		}
		if at != f {
			err = errors.Join(err, at.close())
		}
		if err != nil {
			return nil, err
		}
		at = next
	}
	return at, nil
}

// planted words the refusal of something that is not what an archive has in its place.
func planted(where string, mode fs.FileMode, want string) error {
	what := "something else"
	switch {
	case mode&fs.ModeSymlink != 0:
		what = "a link, which is not followed"
	case mode.IsDir():
		what = "a directory"
	case mode.IsRegular():
		what = "a file"
	}
	return &migrate.Error{
		Kind: migrate.Unsafe,
		Err:  fmt.Errorf("%q should be a %s but is %s", where, want, what),
		Hint: "an archive holds plain files and directories only; look who put it there, and remove it",
	}
}

// elements splits a relative path of the index, whose parts are separated by "/". The index may be damaged, so it is not trusted.
func elements(file string) ([]string, error) {
	if !fs.ValidPath(file) || file == "." || strings.ContainsAny(file, "\\\x00") || strings.HasPrefix(file, ownDir) {
		return nil, migrate.Errorf(migrate.Damaged, "the index names a place that no mailbox has: %.200q", file)
	}
	return strings.Split(file, "/"), nil
}
