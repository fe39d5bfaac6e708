package archive

import (
	"context"
	"errors"
	"os"
	"time"

	"postcask/archive/maildir"
	"postcask/migrate"
	"postcask/migrate/ledger"
)

// How many files of a group wait for their sync, as far as the process may have so many. They stay open, for that is
// how one learns of octets that could not be written.
const (
	fewestOpen = 32
	mostOpen   = 512
)

// A maildirGroup writes messages to tmp/, and moves them to cur/ when all of them are synced.
type maildirGroup struct {
	a             *Archive
	box           *box
	dir, tmp, cur *folder
	in            *intake
	cursor        *cursor
	waiting       []*os.File // written, not synced yet
	failures      uint64     // of the syncer, before the first of waiting was written
	names         []string   // in tmp/, one for each message
	moved         []string   // in cur/
}

func (a *Archive) openMaildirGroup(b *box, in *intake, c *cursor) (_ group, err error) {
	g := &maildirGroup{a: a, box: b, in: in, cursor: c}
	if g.dir, err = a.top.sub(b.names...); err == nil {
		g.tmp, err = g.dir.sub("tmp")
	}
	if err == nil {
		g.cur, err = g.dir.sub("cur")
	}
	if err != nil {
		return nil, errors.Join(err, g.close())
	}
	return g, nil
}

func (g *maildirGroup) add(ctx context.Context, m migrate.Message, body migrate.Body) (row ledger.Message, err error) {
	if len(g.waiting) >= g.a.disk.openFiles {
		if err := g.sync(); err != nil {
			return row, err
		}
	}
	if len(g.waiting) == 0 {
		g.failures = g.a.syncer.failures()
	}
	d := g.a.disk
	now := d.now()
	unique := maildir.Unique(now, d.pid, g.a.next(), g.a.run, d.host)
	f, err := d.create(g.tmp, unique)
	if err != nil {
		return row, err
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, f.Close())
			if left := d.remove(g.tmp, unique); left != nil {
				g.a.soil()
				err = errors.Join(err, left)
			}
		}
	}()
	g.cursor.reset(d, f, 0)
	if err := g.in.copy(ctx, g.cursor, func() error { return g.cursor.widen(0) }, body); err != nil {
		return row, err
	}
	if err := g.cursor.flush(); err != nil {
		return row, err
	}
	if date := m.InternalDate; date.Year() >= 1902 && date.Year() < 2262 { // what file systems and time.UnixNano can hold
		if err := d.setTime(g.tmp, unique, date); err != nil {
			return row, err
		}
	}
	g.waiting, g.names = append(g.waiting, f), append(g.names, unique)
	row = g.in.row(m, now)
	row.Base = maildir.Name{Unique: unique, Disk: row.Length, Wire: row.Identity.Size}.Base()
	return row, nil
}

// sync makes durable, and closes, the files that wait for it.
func (g *maildirGroup) sync() error {
	err := g.a.syncer.sync(g.tmp, g.waiting, g.failures)
	for _, f := range g.waiting {
		err = errors.Join(err, g.a.disk.close(f))
	}
	g.waiting = g.waiting[:0]
	return err
}

func (g *maildirGroup) settle(ctx context.Context, rows []ledger.Message) (int64, error) {
	if err := g.sync(); err != nil {
		return -1, err
	}
	flags := make([]migrate.Flags, len(rows))
	for i, row := range rows {
		flags[i] = row.Flags
	}
	g.box.mu.Lock()
	keywords, err := g.a.letter(g.dir, flags)
	g.box.mu.Unlock()
	if err != nil {
		return -1, err
	}
	for i, row := range rows {
		if err := ctx.Err(); err != nil {
			return -1, err
		}
		to := maildir.Join(row.Base, maildir.Letters(row.Flags, keywords))
		if err := g.a.disk.move(g.dir, g.tmp, g.names[i], g.cur, to); err != nil {
			return -1, err
		}
		g.moved = append(g.moved, to)
	}
	return -1, g.a.disk.syncDir(g.cur)
}

func (g *maildirGroup) drop() error {
	var errs []error
	for _, f := range g.waiting {
		errs = append(errs, f.Close())
	}
	g.waiting = nil
	for i, name := range g.names {
		if i < len(g.moved) {
			errs = append(errs, g.a.disk.remove(g.cur, g.moved[i]))
		} else {
			errs = append(errs, g.a.disk.remove(g.tmp, name))
		}
	}
	g.names, g.moved = nil, nil
	return errors.Join(errs...)
}

func (g *maildirGroup) close() error {
	var errs []error
	for _, f := range []*folder{g.cur, g.tmp, g.dir} {
		if f != nil {
			errs = append(errs, f.close())
		}
	}
	return errors.Join(errs...)
}

// row gives what the index keeps of the message that was taken in last; the format adds where it lies.
func (in *intake) row(m migrate.Message, now time.Time) ledger.Message {
	return ledger.Message{
		Length: in.lines.Disk(), Raw: in.lines.Raw(), NoFinalNewline: in.lines.Open(),
		InternalDate: m.InternalDate, Flags: m.Flags, Identity: in.identity, MessageID: messageID(in.head),
		Added: now.UTC().Truncate(time.Second),
	}
}
