package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"slices"

	"postcask/archive"
	"postcask/migrate"
)

// storePlan says which archive mail goes to, and how it is opened.
type storePlan struct {
	dir, format, madeFrom string
	dryRun                bool
	locked                func() // is called as soon as no other run can come in between; not in a dry run
}

// withStore opens an archive for mail from a server, which is dialled meanwhile, for the length of do, which gets nil where
// a dry run has none. One that was made just for this and got nothing, since the server could not be reached, is taken
// away again.
func (c *cli) withStore(ctx context.Context, source *server, to *endpoint, format string, o *runOptions, do func(store *archive.Archive) error) error {
	defer source.sources.leave()
	plan := storePlan{dir: to.dir, format: format, madeFrom: source.end.String(), dryRun: o.dryRun, locked: func() { source.sources.begin(ctx) }}
	var store *archive.Archive
	var there, made bool
	err := c.awaitLock(ctx, o.lockWait, func() (err error) {
		_, stat := os.Lstat(plan.dir)
		there, made = stat == nil, !archive.Detect(plan.dir)
		store, err = plan.open(ctx)
		return err
	})
	if err != nil {
		return err
	}
	err = do(store)
	switch {
	case store == nil:
		return err
	case made && err != nil:
		err = c.keep(err, store.Discard(context.WithoutCancel(ctx))) // also after an interrupt
		if !there {
			os.Remove(plan.dir) // which fails where something came into it
		}
		return err
	}
	return c.keep(err, store.Close())
}

// open opens the archive, and makes it where it is not there yet. In a dry run it is only read, and nil where it is not
// there.
func (p *storePlan) open(ctx context.Context) (*archive.Archive, error) {
	switch p.format {
	case "", string(archive.Maildir), string(archive.Mbox):
	default:
		return nil, misuse("", "--format %s is neither maildir nor mbox", p.format)
	}
	if !archive.Detect(p.dir) {
		if err := mayBecomeArchive(p.dir); err != nil || p.dryRun {
			return nil, err
		}
		format := archive.Format(p.format)
		if format == "" {
			format = archive.Maildir
		}
		p.locked()
		return archive.Create(ctx, p.dir, format, p.madeFrom)
	}
	store, err := archive.Open(ctx, p.dir, archive.Options{ReadOnly: p.dryRun, Locked: p.locked})
	if err != nil {
		return nil, err
	}
	if p.format != "" && p.format != string(store.Format()) {
		err := misuse("the format of an archive is chosen at its first backup", "%s: this archive is of format %s, not %s", p.dir, store.Format(), p.format)
		return nil, errors.Join(err, store.Close())
	}
	return store, nil
}

// mayBecomeArchive refuses what archive.Create would, so that a dry run tells the same.
func mayBecomeArchive(dir string) error {
	entries, err := os.ReadDir(dir)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return nil
	case err != nil:
		return misuse("", "archive: %w", err)
	case len(entries) > 0 && !onlyOurs(entries):
		return &migrate.Error{Kind: migrate.Unsafe, Err: fmt.Errorf("%s: the folder is not empty and is no archive", dir),
			Hint: "name a new folder for the archive"}
	}
	return nil
}

// onlyOurs tells whether a folder holds nothing but what the making of an archive that was cut off left, or the making
// of a file system.
func onlyOurs(entries []fs.DirEntry) bool {
	return !slices.ContainsFunc(entries, func(e fs.DirEntry) bool { return e.Name() != ".postcask" && e.Name() != "lost+found" })
}
