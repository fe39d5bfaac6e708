package archive

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"

	"postcask/archive/mbox"
	"postcask/migrate/ledger"
)

// mbox verifies an mbox file from front to back: each message, the "From " line before it and what ends it.
func (v *verifier) mbox(ctx context.Context, m ledger.Mailbox, shelf *shelf) error {
	info, err := shelf.file.Stat()
	if err != nil {
		return err
	}
	size, pos := info.Size(), int64(0)
	end := m.End
	for row, err := range v.a.index.Messages(ctx, m.Path) {
		if err != nil {
			return err
		}
		v.totals.Messages++
		v.totals.Octets += row.Identity.Size
		frame := frameOf(row)
		start := row.Offset - int64(len(frame.before))
		if row.Offset+row.Length > size { // another process may have added it since
			if info, err = shelf.file.Stat(); err != nil {
				return err
			}
			size = info.Size()
		}
		switch {
		case row.Offset+row.Length > size:
			v.problem(Missing, row, m.File, fmt.Errorf("the file ends at octet %d, before the end of the message at %d", size, row.Offset+row.Length))
		case start < pos:
			v.problem(Changed, row, m.File, errors.New("the index has it in the midst of another"))
		default:
			if start > pos {
				v.stray(m.Path, m.File, fmt.Errorf("octets %d to %d belong to no message", pos, start))
			}
			err = v.framed(ctx, shelf, row, frame)
			if err != nil && ctx.Err() == nil {
				v.problem(whatOf(err), row, m.File, err)
			}
		}
		pos = max(pos, row.Offset+row.Length+int64(len(frame.after)))
		end = max(end, pos) // another process may have added it just now
		if err := ctx.Err(); err != nil {
			return err
		}
	}
	switch {
	case size > end:
		v.stray(m.Path, m.File, fmt.Errorf("octets %d to %d belong to no message", end, size))
	case end > pos:
		v.stray(m.Path, m.File, fmt.Errorf("octets %d to %d belong to no message", pos, end))
	}
	return nil
}

// A frame is what stands around a message in an mbox file.
type frame struct{ before, after []byte }

func frameOf(row ledger.Message) frame {
	date := row.InternalDate
	if date.IsZero() {
		date = row.Added
	}
	after := []byte("\n\n")
	if !row.NoFinalNewline {
		after = after[:1]
	}
	return frame{mbox.FromLine(markOf(row), date), after}
}

func (v *verifier) framed(ctx context.Context, shelf *shelf, row ledger.Message, f frame) error {
	start := row.Offset - int64(len(f.before))
	if err := expect(io.NewSectionReader(shelf.file, start, int64(len(f.before))), f.before, `its "From " line`); err != nil {
		return err
	}
	stored := io.NewSectionReader(shelf.file, row.Offset, row.Length)
	if err := v.hash(ctx, shelf.wireForm(row, stored), row); err != nil {
		return err
	}
	return expect(io.NewSectionReader(shelf.file, row.Offset+row.Length, int64(len(f.after))), f.after, "the empty line behind it")
}

func expect(r io.Reader, want []byte, what string) error {
	have := make([]byte, len(want))
	if _, err := io.ReadFull(r, have); err != nil && err != io.ErrUnexpectedEOF && err != io.EOF {
		return err
	}
	if !bytes.Equal(have, want) {
		return fmt.Errorf("%w: %s is %.60q and should be %.60q", errChanged, what, have, want)
	}
	return nil
}
