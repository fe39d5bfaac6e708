package archive

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"time"

	"postcask/archive/mbox"
	"postcask/migrate"
	"postcask/migrate/ledger"
)

// An mboxGroup appends messages to an mbox file, which nobody else writes to meanwhile.
type mboxGroup struct {
	a        *Archive
	box      *box
	file     *os.File
	in       *intake
	cursor   *cursor
	appender mbox.Appender
	start    int64 // end of what the index names
	hurried  int64 // end of what is on its way to the disk
}

// hurryOctets are written before they are sent on their way: nobody else can write to the file until it is synced, and so the
// disk works while they come.
const hurryOctets = 4 << 20

func (a *Archive) openMboxGroup(ctx context.Context, b *box, in *intake, c *cursor) (_ group, err error) {
	if err := b.acquire(ctx); err != nil {
		return nil, err
	}
	g := &mboxGroup{a: a, box: b, in: in, cursor: c}
	defer func() {
		if err != nil {
			err = errors.Join(err, g.close())
		}
	}()
	known, _, err := a.index.MailboxOf(ctx, b.path)
	if err != nil {
		return nil, err
	}
	if g.file, err = a.openMbox(b, os.O_RDWR); err != nil {
		return nil, err
	}
	g.start, g.hurried = known.End, known.End
	if err := a.cutTail(b, g.file, known.End); err != nil {
		return nil, err
	}
	g.cursor.reset(a.disk, g.file, g.start)
	return g, nil
}

// openMbox opens the file of a mailbox.
func (a *Archive) openMbox(b *box, flag int) (*os.File, error) {
	dir, err := a.top.sub(b.names[:len(b.names)-1]...)
	if err != nil {
		return nil, err
	}
	f, err := dir.open(b.names[len(b.names)-1]+mboxSuffix, flag)
	return f, errors.Join(err, closeBelow(a, dir))
}

func (g *mboxGroup) add(ctx context.Context, m migrate.Message, body migrate.Body) (row ledger.Message, err error) {
	c := g.cursor
	start := c.pos()
	now := g.a.disk.now().UTC().Truncate(time.Second)
	defer func() {
		if err == nil {
			return
		}
		if undo := c.rewind(start); undo != nil {
			err = fmt.Errorf("%w; %v", undo, err) // not a readError any more: the group is of no use
		}
	}()
	date := m.InternalDate
	if date.IsZero() {
		date = now
	}
	if err := g.appender.Begin(c, date); err != nil {
		return row, err
	}
	at := c.pos()
	if err := g.in.copy(ctx, &g.appender, func() error { return c.widen(at) }, body); err != nil {
		return row, err
	}
	if err := g.appender.Flush(); err != nil {
		return row, err
	}
	end := c.pos()
	if err := g.appender.End(); err != nil {
		return row, err
	}
	row = g.in.row(m, now)
	row.Offset, row.Length = at, end-at
	if mark := markOf(row); mark != (mbox.Mark{}) {
		if err := c.flush(); err != nil {
			return row, err
		}
		if err := mbox.Patch(seamFile{g.a.disk, g.file}, start, mark); err != nil {
			return row, err
		}
	}
	if written := c.at - g.hurried; written >= hurryOctets {
		hurry(g.file, g.hurried, written)
		g.hurried = c.at
	}
	return row, nil
}

// markOf gives the mark in the "From " line of a message.
func markOf(row ledger.Message) mbox.Mark {
	return mbox.Mark{Open: row.NoFinalNewline, Raw: row.Raw}
}

func (g *mboxGroup) settle(ctx context.Context, _ []ledger.Message) (int64, error) {
	if err := g.cursor.flush(); err != nil {
		return 0, err
	}
	if err := ctx.Err(); err != nil {
		return 0, err
	}
	return g.cursor.pos(), g.a.disk.sync(g.file)
}

func (g *mboxGroup) drop() error { return g.cursor.rewindAll(g.start) }

// rewindAll makes the file end at to, whether or not everything has been written.
func (c *cursor) rewindAll(to int64) error {
	c.buf, c.at = c.buf[:0], to
	return c.disk.truncate(c.file, to)
}

func (g *mboxGroup) close() error {
	g.box.release()
	if g.file == nil {
		return nil
	}
	return g.file.Close()
}

// cutTail moves what lies behind end, which a run that was cut off or another program left there, to the quarantine,
// and makes the file end there. The caller holds the right to write to the file.
func (a *Archive) cutTail(b *box, f *os.File, end int64) error {
	info, err := f.Stat()
	if err != nil {
		return broken("look at", f.Name(), err)
	}
	switch {
	case info.Size() == end:
		return nil
	case info.Size() < end:
		return &migrate.Error{
			Kind: migrate.Damaged, Mailbox: b.path, Hint: "verify tells which messages are concerned",
			Err: fmt.Errorf("%q has %d octets where the index knows of %d", f.Name(), info.Size(), end),
		}
	}
	quarantine, err := a.disk.make(a.own, quarantineDir)
	if err != nil {
		return err
	}
	defer quarantine.close()
	if err := a.saveTail(quarantine, io.NewSectionReader(f, end, info.Size()-end)); err != nil {
		return fmt.Errorf("set aside the tail of %q: %w", f.Name(), err)
	}
	a.setAsideOne()
	if err := a.disk.truncate(f, end); err != nil {
		return err
	}
	return a.disk.sync(f)
}

func (a *Archive) saveTail(quarantine *folder, tail io.Reader) (err error) {
	now := a.disk.now()
	kept, err := a.disk.create(quarantine, fmt.Sprintf("tail-%d-%s%s", now.Unix(), word(), mboxSuffix))
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, a.disk.close(kept)) }()
	if _, err := io.Copy(io.NewOffsetWriter(seamFile{a.disk, kept}, 0), tail); err != nil {
		return err
	}
	if err := a.disk.sync(kept); err != nil {
		return err
	}
	return a.disk.syncDir(quarantine)
}
