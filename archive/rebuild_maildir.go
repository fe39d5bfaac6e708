package archive

import (
	"context"
	"errors"
	"io"
	"io/fs"
	"os"
	"path"
	"slices"

	"postcask/archive/maildir"
	"postcask/migrate/ledger"
)

// maildir takes up what lies in a Maildir; a directory that is none holds other mailboxes only.
func (r *rebuilding) maildir(ctx context.Context, dir *folder, b *box) error {
	info, err := dir.root.Lstat("cur")
	none := errors.Is(err, fs.ErrNotExist) || err == nil && !info.IsDir()
	if err != nil && !none {
		return dir.broken("look at", "cur", err)
	}
	if ok, err := r.note(ctx, b, none); !ok || err != nil || none {
		return err
	}
	keywords, err := readKeywords(dir)
	if err != nil {
		return err
	}
	var names []string
	err = eachFile(dir, func(where, name string) error {
		if base, _ := maildir.Split(name); maildir.Run(base) == "" {
			r.tell(Problem{What: Unnamed, Mailbox: b.path, File: path.Join(b.file, where, name), Err: errors.New("a file of another program; it stays where it is")})
			return nil
		}
		names = append(names, path.Join(where, name))
		return nil
	})
	if err != nil {
		return err
	}
	slices.SortFunc(names, byArrival) // so that the messages have their old order
	var rows []ledger.Message
	last := ""
	for _, name := range names {
		row, err := r.x.maildirFile(ctx, dir, name, keywords)
		if err == nil && row.Base == last {
			err = errTwice
		}
		switch {
		case errors.Is(err, errChanged), errors.Is(err, errTwice):
			r.broken = append(r.broken, brokenFile{b, name})
			r.tell(Problem{What: Unnamed, Mailbox: b.path, File: path.Join(b.file, name), Err: err})
			continue
		case err != nil && ctx.Err() != nil:
			return err
		case err != nil: // a link, or octets that the disk does not give
			r.tell(Problem{What: Unreadable, Mailbox: b.path, File: path.Join(b.file, name), Err: err})
			continue
		}
		rows, last = append(rows, row), row.Base
		if len(rows) == fetchPage {
			if err := r.add(ctx, b, rows, -1); err != nil {
				return err
			}
			rows = rows[:0]
		}
	}
	return r.add(ctx, b, rows, -1)
}

var errTwice = errors.New("another file has the same name but for flags")

// readSmall reads a small file.
func (f *folder) readSmall(name string) ([]byte, error) {
	file, err := f.open(name, os.O_RDONLY)
	if err != nil {
		return nil, err
	}
	defer file.Close()
	text, err := io.ReadAll(io.LimitReader(file, 64<<10))
	if err != nil {
		return nil, f.broken("read", name, err)
	}
	return text, nil
}
