package archive

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path"
	"strings"

	"postcask/archive/maildir"
)

// runMeta is where the index keeps the word of the run that writes; it is empty when the last run ended in order.
const runMeta = "writing run"

// recover sets aside what the last run left behind if it was cut off: octets that no row of the index names, and that
// nobody was told to be safe. They are kept in the quarantine, since they may be all that is left of something.
func (a *Archive) recover(ctx context.Context) error {
	run, err := a.index.Meta(ctx, runMeta)
	if err != nil || run == "" {
		return err
	}
	if err := sweep(a.own); err != nil {
		return err
	}
	for _, b := range a.boxes {
		if err := ctx.Err(); err != nil {
			return err
		}
		if a.Format() == Mbox {
			err = a.recoverMbox(ctx, b)
		} else {
			err = a.recoverMaildir(ctx, b, run)
		}
		if err != nil && !errors.Is(err, fs.ErrNotExist) { // a mailbox that was only noted
			return fmt.Errorf("clear up %q after a run that was cut off: %w", b.path, err)
		}
	}
	return a.index.SetMeta(ctx, runMeta, "")
}

func (a *Archive) recoverMbox(ctx context.Context, b *box) error {
	known, _, err := a.index.MailboxOf(ctx, b.path)
	if err != nil {
		return err
	}
	f, err := a.openMbox(b, os.O_RDWR)
	if err != nil {
		return err
	}
	info, err := f.Stat()
	if err == nil && info.Size() > known.End { // one that is too short is verify's to tell
		err = a.cutTail(b, f, known.End)
	}
	return errors.Join(err, f.Close())
}

func (a *Archive) recoverMaildir(ctx context.Context, b *box, run string) (err error) {
	dir, err := a.top.sub(b.names...)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, dir.close()) }()
	if err := sweep(dir); err != nil {
		return err
	}
	tmp, err := dir.sub("tmp")
	if err != nil {
		return err
	}
	err = eachEntry(tmp, func(e fs.DirEntry) error {
		if maildir.Run(e.Name()) != run || !e.Type().IsRegular() {
			return nil // another program's
		}
		return tmp.root.Remove(e.Name())
	})
	if err = errors.Join(err, tmp.close()); err != nil {
		return err
	}
	var orphans []string // of that run, and not in the index
	err = eachFile(dir, func(where, name string) error {
		if maildir.Run(name) == run {
			orphans = append(orphans, path.Join(where, name))
		}
		return nil
	})
	if err != nil || len(orphans) == 0 {
		return err
	}
	named, err := a.namedBases(ctx, b, run)
	if err != nil {
		return err
	}
	quarantine, err := a.disk.make(a.own, quarantineDir)
	if err != nil {
		return err
	}
	defer quarantine.close()
	for _, name := range orphans {
		base, _ := maildir.Split(path.Base(name))
		if named[baseHash(base)] {
			continue
		}
		from := path.Join(strings.Join(b.names, "/"), name)
		if err := a.disk.rename(a.top, from, path.Join(ownDir, quarantineDir, base+".eml")); err != nil {
			return err
		}
	}
	return a.disk.syncDir(quarantine)
}

// namedBases gives the hashes of the base names, among those of one run, that the index has.
func (a *Archive) namedBases(ctx context.Context, b *box, run string) (map[uint64]bool, error) {
	named := map[uint64]bool{}
	for row, err := range a.index.Messages(ctx, b.path) {
		if err != nil {
			return nil, err
		}
		if maildir.Run(row.Base) == run {
			named[baseHash(row.Base)] = true
		}
	}
	return named, nil
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
