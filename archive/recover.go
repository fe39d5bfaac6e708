package archive

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path"
	"slices"
	"strings"

	"postcask/archive/maildir"
	"postcask/migrate"
	"postcask/migrate/ledger"
)

// runMeta is where the index keeps the word of the run that writes; it is empty when the last run ended in order.
const runMeta = "writing run"

// recover makes index and mail agree again. What a run that was cut off left, which nobody was told to be safe, and
// whatever else cannot be judged goes to the quarantine, since it may be all that is left of something. Whole messages
// of a run that ended in order are taken up: the index is older than they are, as when it was put back from a backup.
// Rows whose octets are gone are forgotten, so that the next run fetches them again. After a run that ended in order
// only sizes and counts are compared, which is cheap. A cut in the midst of this leaves something that is put right
// by the same rules.
func (a *Archive) recover(ctx context.Context) error {
	run, err := a.index.Meta(ctx, runMeta)
	if err != nil {
		return err
	}
	if run != "" {
		a.recovered.CutOff = true
		if err := sweep(a.own); err != nil {
			return err
		}
	}
	for _, p := range slices.Sorted(maps.Keys(a.boxes)) {
		if err := ctx.Err(); err != nil {
			return err
		}
		b := a.boxes[p]
		known, _, err := a.index.MailboxOf(ctx, b.path)
		if err != nil {
			return err
		}
		if a.Format() == Mbox {
			err = a.recoverMbox(ctx, b, known, run)
		} else {
			err = a.recoverMaildir(ctx, b, known, run)
		}
		if errors.Is(err, fs.ErrNotExist) { // a mailbox that was only noted, or that is gone as a whole
			err = a.forgetAll(ctx, b, known)
		}
		if err != nil {
			return fmt.Errorf("put %q right: %w", b.path, err)
		}
	}
	if run == "" {
		return nil
	}
	return a.index.SetMeta(ctx, runMeta, "")
}

func (a *Archive) recoverMaildir(ctx context.Context, b *box, known ledger.Mailbox, run string) (err error) {
	dir, err := a.top.sub(b.names...)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, dir.close()) }()
	if run != "" {
		if err := a.clearUnfinished(dir); err != nil {
			return err
		}
	} else {
		count := int64(0)
		if err := eachFile(dir, func(string, string) error { count++; return nil }); err != nil || count == known.Messages {
			return err
		}
	}
	found, newest := newBaseNames(known.Messages), int64(0) // 1 where there is a file
	for row, err := range a.index.Messages(ctx, b.path) {
		if err != nil {
			return err
		}
		found.add(row.Base, 0)
		newest = row.ID
	}
	found.sort()
	var orphans []string // files of postcask that the index does not name
	err = eachFile(dir, func(where, name string) error {
		base, _ := maildir.Split(name)
		switch there := found.find(base); {
		case there != nil:
			*there = 1
		case maildir.Run(base) != "":
			orphans = append(orphans, path.Join(where, name))
		}
		return nil
	})
	if err != nil {
		return err
	}
	if err := a.forgetLost(ctx, b, found); err != nil {
		return err
	}
	return a.houseOrphans(ctx, b, dir, orphans, newest, run)
}

// clearUnfinished removes what nobody will ever finish: the lock is ours, so no other run writes.
func (a *Archive) clearUnfinished(dir *folder) error {
	if err := sweep(dir); err != nil {
		return err
	}
	tmp, err := dir.sub("tmp")
	if err != nil {
		return err
	}
	err = eachEntry(tmp, func(e fs.DirEntry) error {
		if maildir.Run(e.Name()) == "" || !e.Type().IsRegular() {
			return nil // another program's
		}
		a.recovered.Unfinished++
		return a.disk.remove(tmp, e.Name())
	})
	return errors.Join(err, tmp.close())
}

// forgetLost forgets the rows of a Maildir that have no file, and looks once more first: a mail reader may have renamed
// one just when the directory was read.
func (a *Archive) forgetLost(ctx context.Context, b *box, found *baseNames) (err error) {
	if !slices.Contains(found.numbers, 0) {
		return nil
	}
	shelf, err := a.openShelf(ctx, b.path)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, shelf.close()) }()
	return a.forgetWhere(ctx, b, func(row ledger.Message) (bool, error) {
		if there := found.find(row.Base); there != nil && *there == 1 {
			return false, nil
		}
		_, err := shelf.locate(row)
		if errors.Is(err, fs.ErrNotExist) {
			return true, nil
		}
		return false, err
	})
}

// forgetAll forgets all rows of a mailbox of which nothing is left.
func (a *Archive) forgetAll(ctx context.Context, b *box, known ledger.Mailbox) error {
	if known.Messages == 0 {
		return nil
	}
	err := a.forgetWhere(ctx, b, func(ledger.Message) (bool, error) { return true, nil })
	if err != nil || a.Format() != Mbox {
		return err
	}
	return a.index.AddMessages(ctx, b.path, nil, 0)
}

// forgetWhere forgets the rows of a mailbox whose octets are gone, some at a time.
func (a *Archive) forgetWhere(ctx context.Context, b *box, isGone func(row ledger.Message) (bool, error)) error {
	var gone []ledger.Message
	for row, err := range a.index.Messages(ctx, b.path) {
		if err != nil {
			return err
		}
		lost, err := isGone(row)
		if err != nil {
			return err
		}
		if lost {
			gone = append(gone, row)
		}
		if len(gone) == fetchPage {
			if err := a.forget(ctx, b, gone); err != nil {
				return err
			}
			gone = gone[:0]
		}
	}
	return a.forget(ctx, b, gone)
}

// forget makes the index name messages no more, and keeps for later which they were.
func (a *Archive) forget(ctx context.Context, b *box, gone []ledger.Message) error {
	if len(gone) == 0 {
		return nil
	}
	ids := make([]int64, len(gone))
	for i, row := range gone {
		ids[i] = row.ID
		text := fmt.Sprintf("its octets are gone: %s, %d octets, SHA-256 %s", cmp.Or(row.MessageID, "no Message-ID"), row.Identity.Size, row.Identity.Full)
		if err := a.index.AddEvent(ctx, "lost", b.path, keyOf(row.ID), text); err != nil {
			return err
		}
	}
	if err := a.index.Forget(ctx, b.path, ids, a.ID()); err != nil {
		return err
	}
	a.recovered.Lost += len(gone)
	return nil
}

// houseOrphans takes up files of a Maildir that the index does not name, or sets them aside. newest is the last row that
// the index had.
func (a *Archive) houseOrphans(ctx context.Context, b *box, dir *folder, orphans []string, newest int64, run string) error {
	if len(orphans) == 0 {
		return nil
	}
	keywords, err := readKeywords(dir)
	if err != nil {
		return err
	}
	x := newExaminer()
	var rows []ledger.Message
	var aside []string
	slices.SortFunc(orphans, byArrival)
	for _, name := range orphans {
		if maildir.Run(path.Base(name)) == run {
			aside = append(aside, name) // it is not sure that its octets ever reached the disk
			continue
		}
		row, err := x.maildirFile(ctx, dir, name, keywords)
		if err == nil {
			var twins []ledger.Message
			if twins, err = a.index.ByIdentity(ctx, b.path, row.Identity.Trimmed); err != nil {
				return err
			}
			if !slices.ContainsFunc(twins, func(twin ledger.Message) bool { return twin.ID <= newest }) {
				if rows = append(rows, row); len(rows) == fetchPage {
					err = a.takeUp(ctx, b, rows, -1)
					rows = rows[:0]
				}
				if err != nil {
					return err
				}
				continue
			}
		} else if migrate.KindOf(err) == migrate.Unsafe {
			continue // a link, which verify tells of
		} else if !errors.Is(err, errChanged) {
			return err
		}
		aside = append(aside, name) // not whole, or fetched again already
	}
	if err := a.takeUp(ctx, b, rows, -1); err != nil {
		return err
	}
	return a.setAside(b, aside)
}

// takeUp makes the index name messages that it did not.
func (a *Archive) takeUp(ctx context.Context, b *box, rows []ledger.Message, end int64) error {
	if len(rows) == 0 {
		return nil
	}
	err := a.index.AddMessages(ctx, b.path, rows, end)
	if err == nil {
		a.recovered.TakenUp += len(rows)
	}
	return err
}

// setAside moves files of a Maildir to the quarantine.
func (a *Archive) setAside(b *box, names []string) error {
	if len(names) == 0 {
		return nil
	}
	quarantine, err := a.disk.make(a.own, quarantineDir)
	if err != nil {
		return err
	}
	defer quarantine.close()
	for _, name := range names {
		base, _ := maildir.Split(path.Base(name))
		to := base + ".eml"
		if _, err := quarantine.root.Lstat(to); !errors.Is(err, fs.ErrNotExist) {
			to = base + "-" + word() + ".eml" // nothing that is kept there is ever replaced
		}
		from := path.Join(strings.Join(b.names, "/"), name)
		if err := a.disk.rename(a.top, from, path.Join(path.Base(a.own.name), quarantineDir, to)); err != nil {
			return err
		}
		a.recovered.SetAside++
	}
	return a.disk.syncDir(quarantine)
}

// byArrival orders paths of files by when they came: seconds, then the rest of the name.
func byArrival(x, y string) int {
	x, y = path.Base(x), path.Base(y)
	xs, _, _ := strings.Cut(x, ".")
	ys, _, _ := strings.Cut(y, ".")
	return cmp.Or(cmp.Compare(len(xs), len(ys)), cmp.Compare(xs, ys), cmp.Compare(maildir.Count(x), maildir.Count(y)), cmp.Compare(x, y))
}

// sweep removes what a replace that was cut off left beside the file that it meant.
func sweep(dir *folder) error {
	return eachEntry(dir, func(e fs.DirEntry) error {
		if strings.HasPrefix(e.Name(), ".postcask-") && strings.HasSuffix(e.Name(), ".tmp") && e.Type().IsRegular() {
			return dir.root.Remove(e.Name())
		}
		return nil
	})
}

// recoverMbox makes a file end where the index has its end, or the index where the file does.
func (a *Archive) recoverMbox(ctx context.Context, b *box, known ledger.Mailbox, run string) (err error) {
	f, err := a.openMbox(b, os.O_RDWR)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, f.Close()) }()
	info, err := f.Stat()
	if err != nil {
		return broken("look at", f.Name(), err)
	}
	end := known.End
	switch size := info.Size(); {
	case size == end:
		return nil
	case size < end:
		return a.shortened(ctx, b, f, size)
	case run == "": // the index may be older than the file
		if end, err = a.takeUpTail(ctx, b, f, end, size); err != nil {
			return err
		}
	}
	return a.cutTail(b, f, end)
}

// shortened forgets the messages that a file no longer holds to the end, and sets aside what is left of the first.
func (a *Archive) shortened(ctx context.Context, b *box, f *os.File, size int64) error {
	behind := func(row ledger.Message) int64 { return row.Offset + row.Length + int64(len(frameOf(row).after)) }
	end := int64(0)
	for row, err := range a.index.Messages(ctx, b.path) {
		if err != nil {
			return err
		}
		if behind(row) <= size {
			end = max(end, behind(row))
		}
	}
	if err := a.cutTail(b, f, end); err != nil {
		return err
	}
	err := a.forgetWhere(ctx, b, func(row ledger.Message) (bool, error) { return behind(row) > size, nil })
	if err != nil {
		return err
	}
	return a.index.AddMessages(ctx, b.path, nil, end)
}

// takeUpTail takes up the whole messages that lie behind end, and gives their end.
func (a *Archive) takeUpTail(ctx context.Context, b *box, f *os.File, end, size int64) (int64, error) {
	x := newExaminer()
	var rows []ledger.Message
	done, at := end, end
	takeUp := func() error {
		if len(rows) == 0 {
			return nil
		}
		if err := a.disk.sync(f); err != nil { // whoever wrote it, from now on it counts as safe
			return err
		}
		if err := a.takeUp(ctx, b, rows, at); err != nil {
			return err
		}
		rows, done = rows[:0], at
		return nil
	}
	err := x.mboxFile(ctx, f, end, size, func(found stretch) error {
		if found.err != nil || found.start != at {
			return errStop
		}
		twins, err := a.index.ByIdentity(ctx, b.path, found.row.Identity.Trimmed)
		if err != nil {
			return err
		}
		if slices.ContainsFunc(twins, func(twin ledger.Message) bool { return twin.Offset < end }) {
			return errStop
		}
		if rows, at = append(rows, found.row), found.end; len(rows) < fetchPage {
			return nil
		}
		return takeUp()
	})
	if err == nil || errors.Is(err, errStop) {
		err = takeUp()
	}
	return done, err
}

// errStop ends a walk early.
var errStop = errors.New("stop")
