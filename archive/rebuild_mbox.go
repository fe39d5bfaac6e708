package archive

import (
	"context"
	"errors"
	"fmt"
	"os"

	"postcask/migrate/ledger"
)

// mboxFile takes up an mbox file. What lies behind the last message goes to the quarantine, what lies between two
// stays.
func (r *rebuilding) mboxFile(ctx context.Context, b *box) (err error) {
	if ok, err := r.note(ctx, b, false); !ok || err != nil {
		return err
	}
	f, err := r.a.openMbox(b, os.O_RDWR)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, f.Close()) }()
	info, err := f.Stat()
	if err != nil {
		return broken("look at", f.Name(), err)
	}
	var rows []ledger.Message
	end := int64(0)
	err = r.x.mboxFile(ctx, f, 0, info.Size(), func(s stretch) error {
		if s.err != nil {
			r.tell(Problem{What: Unnamed, Mailbox: b.path, File: b.file, Err: fmt.Errorf("octets %d to %d: %w", s.start, s.end, s.err)})
			return nil
		}
		rows, end = append(rows, s.row), s.end
		if len(rows) < fetchPage {
			return nil
		}
		err := r.add(ctx, b, rows, end)
		rows = rows[:0]
		return err
	})
	if err == nil {
		err = r.add(ctx, b, rows, end)
	}
	if err == nil {
		err = r.disk.sync(f)
	}
	if end < info.Size() {
		r.tails = append(r.tails, tail{b, end})
	}
	return err
}
