package archive

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path"
	"strconv"
	"strings"
	"time"

	"postcask/archive/lines"
	"postcask/archive/maildir"
	"postcask/archive/mbox"
	"postcask/migrate"
	"postcask/migrate/ledger"
)

// An examiner makes rows of the index from the mail alone. Its errors about mail that is not whole are errChanged.
type examiner struct {
	hasher   *migrate.Hasher
	wire     lines.Reader
	unquoter mbox.Unquoter
	buf      []byte
	head     []byte
}

func newExaminer() *examiner {
	return &examiner{hasher: migrate.NewHasher(), buf: make([]byte, bufferSize)}
}

// read reads a wire form to its end, and puts into row what it tells.
func (x *examiner) read(ctx context.Context, wire io.Reader, row *ledger.Message) (ends bool, err error) {
	x.hasher.Reset()
	x.head = x.head[:0]
	last := byte(0)
	for {
		if err := ctx.Err(); err != nil {
			return false, err
		}
		n, err := wire.Read(x.buf)
		if n > 0 {
			piece := x.buf[:n]
			_, _ = x.hasher.Write(piece) // never fails
			x.head = append(x.head, piece[:min(n, headBound-len(x.head))]...)
			ends = ends || bytes.ContainsAny(piece, "\r\n")
			last = piece[n-1]
		}
		if err == io.EOF {
			break
		}
		if err != nil {
			return false, err
		}
	}
	row.Identity, row.MessageID, row.NoFinalNewline = x.hasher.Identity(), messageID(x.head), last != '\n'
	return ends, nil
}

// maildirFile makes a row of a file of a Maildir that postcask wrote; name is its path in dir.
func (x *examiner) maildirFile(ctx context.Context, dir *folder, name string, keywords *maildir.Keywords) (row ledger.Message, err error) {
	base, letters := maildir.Split(path.Base(name))
	sizes, err := maildir.ParseBase(base)
	if err != nil {
		return row, fmt.Errorf("%w: %w", errChanged, err)
	}
	sub, err := dir.sub(path.Dir(name))
	if err != nil {
		return row, err
	}
	f, err := sub.open(path.Base(name), os.O_RDONLY)
	if err = errors.Join(err, sub.close()); err != nil {
		return row, err
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return row, broken("look at", f.Name(), err)
	}
	if info.Size() != sizes.Disk {
		return row, fmt.Errorf("%w: %d octets are there where the name tells of %d", errChanged, info.Size(), sizes.Disk)
	}
	row = ledger.Message{Base: base, Length: sizes.Disk, InternalDate: info.ModTime().UTC().Truncate(time.Second), Flags: maildir.Flags(letters, keywords)}
	var wire io.Reader = f
	if sizes.Disk != sizes.Wire {
		x.wire.Reset(f)
		wire = &x.wire
	}
	ends, err := x.read(ctx, wire, &row)
	if err != nil {
		return row, broken("read", f.Name(), err)
	}
	if row.Identity.Size != sizes.Wire {
		return row, fmt.Errorf("%w: the wire form has %d octets where the name tells of %d", errChanged, row.Identity.Size, sizes.Wire)
	}
	row.Raw = sizes.Disk == sizes.Wire && ends
	if seconds, err := strconv.ParseInt(strings.SplitN(base, ".", 2)[0], 10, 64); err == nil {
		row.Added = time.Unix(seconds, 0).UTC()
	}
	return row, nil
}

// A stretch of an mbox file is a message with its "From " line and what ends it, or, where err is set, what is none.
type stretch struct {
	start, end int64
	row        ledger.Message
	err        error // errChanged
}

// mboxFile walks over the octets of an mbox file from at, where a "From " line is expected, to end, and calls do for each
// stretch in the order in which they lie. Since every line of a message that could be taken for one is quoted, a
// line that begins with "From " begins the next stretch.
func (x *examiner) mboxFile(ctx context.Context, f io.ReaderAt, at, end int64, do func(stretch) error) error {
	r := bufio.NewReaderSize(io.NewSectionReader(f, at, end-at), bufferSize)
	var first []byte // line of the stretch in hand
	start, pos, fresh := at, at, true
	finish := func(to int64) error {
		if to == start {
			return nil
		}
		found := stretch{start: start, end: to}
		found.row, found.err = x.mboxMessage(ctx, f, start, to, first)
		if found.err != nil && !errors.Is(found.err, errChanged) {
			return found.err
		}
		return do(found)
	}
	for {
		line, err := r.ReadSlice('\n')
		if err != nil && err != io.EOF && err != bufio.ErrBufferFull {
			return err
		}
		if fresh && (pos == at || bytes.HasPrefix(line, []byte("From "))) {
			if err := finish(pos); err != nil {
				return err
			}
			start, first = pos, append(first[:0], line[:min(len(line), 200)]...)
		}
		pos += int64(len(line))
		fresh = err == nil
		if err == io.EOF {
			return finish(pos)
		}
	}
}

// mboxMessage makes a row of the stretch from start to end, whose first line is given.
func (x *examiner) mboxMessage(ctx context.Context, f io.ReaderAt, start, end int64, first []byte) (row ledger.Message, err error) {
	mark, date, err := mbox.ParseFromLine(first)
	if err != nil {
		return row, fmt.Errorf("%w: %w", errChanged, err)
	}
	if want := mbox.FromLine(mark, date); !bytes.Equal(first, want) {
		return row, fmt.Errorf(`%w: its "From " line is %.60q and should be %.60q`, errChanged, first, want)
	}
	row = ledger.Message{InternalDate: date, Raw: mark.Raw}
	row.Offset = start + int64(len(first))
	after := int64(1)
	if mark.Open {
		after = 2
	}
	if row.Length = end - row.Offset - after; row.Length < 0 {
		return row, fmt.Errorf("%w: it ends in its frame", errChanged)
	}
	var tail [2]byte
	if _, err := f.ReadAt(tail[:], end-2); err != nil && err != io.EOF {
		return row, err
	}
	if tail != [2]byte{'\n', '\n'} {
		return row, fmt.Errorf("%w: no empty line is behind it", errChanged)
	}
	x.unquoter.Reset(io.NewSectionReader(f, row.Offset, row.Length))
	var wire io.Reader = &x.unquoter
	if !mark.Raw {
		x.wire.Reset(wire)
		wire = &x.wire
	}
	if _, err := x.read(ctx, wire, &row); err != nil {
		return row, err
	}
	if row.NoFinalNewline != mark.Open {
		return row, fmt.Errorf(`%w: it does not end as its "From " line tells`, errChanged)
	}
	row.Added = time.Now().UTC().Truncate(time.Second)
	return row, nil
}
