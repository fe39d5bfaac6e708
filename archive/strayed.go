package archive

import (
	"errors"
	"io"
	"io/fs"
	"os"
	"time"

	"postcask/archive/maildir"
)

// strayed remembers under which names the files of a Maildir lie, for when they are not under the one that the index
// expects: a mail reader sets flags by renaming. Few octets a file are kept, since a mailbox may hold many.
type strayed struct {
	at    [2]time.Time // when cur and new were last changed before they were read; zero where that was just now
	names *baseNames   // with the number of the info of each
	infos []string     // directory and what follows the base name
}

var readable = [...]string{"cur", "new"}

// find gives the present path, relative to the Maildir, of the file with this base name. Both directories are read
// again only when they have changed since the last time; the caller holds the box's mutex.
func (s *strayed) find(dir *folder, base string) (string, bool, error) {
	var at [2]time.Time
	for i, name := range readable {
		info, err := dir.root.Lstat(name)
		if errors.Is(err, fs.ErrNotExist) {
			continue
		}
		if err != nil {
			return "", false, dir.broken("look at", name, err)
		}
		at[i] = info.ModTime()
	}
	if s.names == nil || at != s.at {
		if err := s.read(dir); err != nil {
			return "", false, err
		}
		s.at = at
		if settled := time.Now().Add(-2 * time.Second); at[0].After(settled) || at[1].After(settled) {
			s.at = [2]time.Time{} // another change in the same tick of the clock would not show
		}
	}
	number := s.names.find(base)
	if number == nil {
		return "", false, nil
	}
	info := s.infos[*number]
	return info[:len("cur/")] + base + info[len("cur/"):], true, nil
}

// read learns the names of all files.
func (s *strayed) read(dir *folder) error {
	s.names, s.infos = nil, nil
	names := newBaseNames(0)       // to count them first would read the directories twice
	numbers := map[string]uint32{} // by info
	err := eachFile(dir, func(where, name string) error {
		base, _ := maildir.Split(name)
		info := where + "/" + name[len(base):]
		number, known := numbers[info]
		if !known {
			number = uint32(len(s.infos))
			numbers[info], s.infos = number, append(s.infos, info)
		}
		names.add(base, number)
		return nil
	})
	if err != nil {
		return err
	}
	names.sort()
	s.names = names
	return nil
}

// eachFile calls do for every file in cur and new of a Maildir.
func eachFile(dir *folder, do func(where, name string) error) error {
	for _, where := range readable {
		sub, err := dir.sub(where)
		if errors.Is(err, fs.ErrNotExist) {
			continue
		}
		if err != nil {
			return err
		}
		err = eachName(sub, func(name string) error {
			if name[0] == '.' {
				return nil
			}
			return do(where, name)
		})
		if err = errors.Join(err, sub.close()); err != nil {
			return err
		}
	}
	return nil
}

// eachEntry calls do for every entry of a directory, in no order, a bounded number at a time.
func eachEntry(dir *folder, do func(e fs.DirEntry) error) error {
	return eachOf(dir, (*os.File).ReadDir, do)
}

// eachName is eachEntry for the names alone, for which the files need not be looked at.
func eachName(dir *folder, do func(name string) error) error {
	return eachOf(dir, (*os.File).Readdirnames, do)
}

func eachOf[E any](dir *folder, read func(*os.File, int) ([]E, error), do func(E) error) (err error) {
	f, err := dir.root.OpenFile(".", os.O_RDONLY, 0)
	if err != nil {
		return dir.broken("read", "", err)
	}
	defer func() { err = errors.Join(err, f.Close()) }()
	for {
		entries, err := read(f, 500)
		for _, e := range entries {
			if err := do(e); err != nil {
				return err
			}
		}
		if err == io.EOF {
			return nil
		}
		if err != nil {
			return dir.broken("read", "", err)
		}
	}
}
