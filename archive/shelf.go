package archive

import (
	"context"
	"errors"
	"io"
	"io/fs"
	"os"
	"path"

	"postcask/archive/lines"
	"postcask/archive/maildir"
	"postcask/archive/mbox"
	"postcask/migrate"
	"postcask/migrate/ledger"
)

// A shelf is a mailbox open for reading.
type shelf struct {
	a        *Archive
	box      *box
	dir, cur *folder           // Maildir
	keywords *maildir.Keywords // Maildir
	file     *os.File          // mbox

	unquoter mbox.Unquoter
	wire     lines.Reader
}

func (a *Archive) openShelf(ctx context.Context, mbox migrate.Path) (_ *shelf, err error) {
	b, err := a.boxOf(ctx, mbox)
	if err != nil {
		return nil, err
	}
	s := &shelf{a: a, box: b}
	if a.Format() == Mbox {
		if s.file, err = a.openMbox(b, os.O_RDONLY); err != nil {
			return nil, err
		}
		return s, nil
	}
	if s.dir, err = a.top.sub(b.names...); err != nil {
		return nil, err
	}
	if s.cur, err = s.dir.sub("cur"); err == nil {
		s.keywords, err = readKeywords(s.dir)
	}
	if err != nil {
		return nil, errors.Join(err, s.close())
	}
	return s, nil
}

func (s *shelf) close() error {
	var errs []error
	for _, f := range []*folder{s.dir, s.cur} {
		if f != nil {
			errs = append(errs, f.close())
		}
	}
	if s.file != nil {
		errs = append(errs, s.file.Close())
	}
	return errors.Join(errs...)
}

// open gives the octets of a message as they lie on disk, and how to let go of them.
func (s *shelf) open(row ledger.Message) (*io.SectionReader, func() error, error) {
	if s.file != nil {
		return io.NewSectionReader(s.file, row.Offset, row.Length), func() error { return nil }, nil
	}
	f, err := s.openFile(row)
	if err != nil {
		return nil, nil, err
	}
	return io.NewSectionReader(f, 0, 1<<62), f.Close, nil
}

// openFile opens the file of a message in a Maildir, whatever flags a mail reader gave it meanwhile.
func (s *shelf) openFile(row ledger.Message) (*os.File, error) {
	f, err := s.cur.open(s.expected(row), os.O_RDONLY)
	for range 3 { // a mail reader may be faster than we are, but hardly three times
		if !errors.Is(err, fs.ErrNotExist) {
			break
		}
		var where string
		if where, err = s.stray(row); err != nil {
			return nil, err
		}
		var dir *folder
		if dir, err = s.dir.sub(path.Dir(where)); err != nil {
			return nil, err
		}
		f, err = dir.open(path.Base(where), os.O_RDONLY)
		err = errors.Join(err, dir.close())
	}
	return f, err
}

func (s *shelf) expected(row ledger.Message) string {
	return maildir.Join(row.Base, maildir.Letters(row.Flags, s.keywords))
}

// locate gives the path of a message's file, relative to the Maildir.
func (s *shelf) locate(row ledger.Message) (string, error) {
	name := path.Join("cur", s.expected(row))
	if _, err := s.cur.root.Lstat(path.Base(name)); err == nil {
		return name, nil
	}
	return s.stray(row)
}

func (s *shelf) stray(row ledger.Message) (string, error) {
	s.box.mu.Lock()
	defer s.box.mu.Unlock()
	where, ok, err := s.box.strayed.find(s.dir, row.Base)
	if err == nil && !ok {
		err = s.dir.broken("find", path.Join("cur", row.Base), fs.ErrNotExist)
	}
	return where, err
}

// wireForm gives the octets of a message as they went over the wire.
func (s *shelf) wireForm(row ledger.Message, stored io.Reader) io.Reader {
	if s.file != nil {
		s.unquoter.Reset(stored)
		stored = &s.unquoter
	}
	if !row.Raw {
		s.wire.Reset(stored)
		stored = &s.wire
	}
	return stored
}
