package archive

import (
	"context"
	"errors"
	"os"
	"path"
	"time"

	"golang.org/x/sync/errgroup"

	"postcask/archive/maildir"
	"postcask/migrate"
	"postcask/migrate/ledger"
)

const (
	openFiles = 64 // files that wait for their sync, at most
	syncLanes = 8  // files synced at once: the disk puts their journal commits together
)

// A maildirGroup writes messages to tmp/, and moves them to cur/ when all of them are synced.
type maildirGroup struct {
	a        *Archive
	box      *box
	dir, tmp *folder
	in       *intake
	cursor   *cursor
	waiting  []*os.File // written, not synced yet
	names    []string   // in tmp/, one for each message
	moved    []string   // in cur/
}

func (a *Archive) openMaildirGroup(b *box, in *intake, c *cursor) (group, error) {
	dir, err := a.top.sub(b.names...)
	if err != nil {
		return nil, err
	}
	tmp, err := dir.sub("tmp")
	if err != nil {
		return nil, errors.Join(err, dir.close())
	}
	return &maildirGroup{a: a, box: b, dir: dir, tmp: tmp, in: in, cursor: c}, nil
}

func (g *maildirGroup) add(ctx context.Context, m migrate.Message, body migrate.Body) (row ledger.Message, err error) {
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
		if err := g.tmp.root.Chtimes(unique, date, date); err != nil {
			return row, g.tmp.broken("set the time of", unique, err)
		}
	}
	if len(g.waiting) >= openFiles {
		if err := g.sync(); err != nil {
			return row, err
		}
	}
	g.waiting, g.names = append(g.waiting, f), append(g.names, unique)
	row = g.in.row(m, now)
	row.Base = maildir.Name{Unique: unique, Disk: row.Length, Wire: row.Identity.Size}.Base()
	return row, nil
}

// sync makes durable, and closes, the files that wait for it. A failed sync is final: what the disk holds then cannot
// be known, so the group must be dropped.
func (g *maildirGroup) sync() error {
	var lanes errgroup.Group
	lanes.SetLimit(syncLanes)
	for _, f := range g.waiting {
		lanes.Go(func() error {
			return errors.Join(g.a.disk.sync(f), g.a.disk.close(f))
		})
	}
	g.waiting = g.waiting[:0]
	return lanes.Wait()
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
	cur, err := g.dir.sub("cur")
	if err != nil {
		return -1, err
	}
	defer cur.close()
	for i, row := range rows {
		if err := ctx.Err(); err != nil {
			return -1, err
		}
		to := path.Join("cur", maildir.Join(row.Base, maildir.Letters(row.Flags, keywords)))
		if err := g.a.disk.rename(g.dir, path.Join("tmp", g.names[i]), to); err != nil {
			return -1, err
		}
		g.moved = append(g.moved, to)
	}
	return -1, g.a.disk.syncDir(cur)
}

func (g *maildirGroup) drop() error {
	var errs []error
	for _, f := range g.waiting {
		errs = append(errs, f.Close())
	}
	g.waiting = nil
	for i, name := range g.names {
		name = path.Join("tmp", name)
		if i < len(g.moved) {
			name = g.moved[i]
		}
		errs = append(errs, g.a.disk.remove(g.dir, name))
	}
	g.names, g.moved = nil, nil
	return errors.Join(errs...)
}

func (g *maildirGroup) close() error { return errors.Join(g.tmp.close(), g.dir.close()) }

// row gives what the index keeps of the message that was taken in last; the format adds where it lies.
func (in *intake) row(m migrate.Message, now time.Time) ledger.Message {
	return ledger.Message{
		Length: in.lines.Disk(), Raw: in.lines.Raw(), NoFinalNewline: in.lines.Open(),
		InternalDate: m.InternalDate, Flags: m.Flags, Identity: in.hasher.Identity(), MessageID: messageID(in.head),
		Added: now.UTC().Truncate(time.Second),
	}
}
