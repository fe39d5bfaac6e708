package archive

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"strings"
	"time"

	"github.com/google/uuid"

	"postcask/migrate"
	"postcask/migrate/ledger"
)

// clearStages removes what a Rebuild that was cut off had begun to make: an index, which is nothing that the mail does
// not have.
func (r *rebuilding) clearStages() error {
	var left []string
	err := eachEntry(r.top, func(e fs.DirEntry) error {
		if strings.HasPrefix(e.Name(), stagePrefix) && e.IsDir() {
			left = append(left, e.Name())
		}
		return nil
	})
	for _, name := range left {
		err = errors.Join(err, r.top.root.RemoveAll(name))
	}
	return err
}

// manifest gives the old archive.json as far as it is known, and the rest anew.
func (r *rebuilding) manifest() (manifest, error) {
	if r.known {
		return r.old, nil
	}
	m := manifest{Format: formatName, Version: formatVersion, ID: r.old.ID, Created: r.disk.now().UTC().Truncate(time.Second)}
	if m.ID == "" {
		m.ID = uuid.NewString()
	}
	found := map[Format]bool{}
	if err := layouts(r.top, found); err != nil {
		return m, err
	}
	switch {
	case found[Maildir] && found[Mbox]:
		return m, migrate.Errorf(migrate.Damaged, "%q holds Maildirs and mbox files, and an archive has one of the two; move aside what is not the archive's", r.dir)
	case found[Mbox]:
		m.Layout = Mbox
	case found[Maildir]:
		m.Layout = Maildir
	default:
		return m, r.noMail()
	}
	return m, nil
}

func (r *rebuilding) noMail() error {
	return &migrate.Error{Kind: migrate.Damaged, Err: fmt.Errorf("%q holds no mail of an archive", r.dir), Hint: missingHint}
}

// layouts tells which of the formats are met below dir.
func layouts(dir *folder, found map[Format]bool) error {
	var below []string
	err := eachEntry(dir, func(e fs.DirEntry) error {
		switch name := e.Name(); {
		case name[0] == '.':
		case e.Type().IsRegular() && strings.HasSuffix(name, mboxSuffix):
			found[Mbox] = true
		case e.IsDir() && name == "cur":
			found[Maildir] = true
		case e.IsDir() && name != "new" && name != "tmp":
			below = append(below, name)
		}
		return nil
	})
	for _, name := range below {
		if err != nil || len(found) == 2 {
			break
		}
		var sub *folder
		if sub, err = dir.sub(name); err == nil {
			err = errors.Join(layouts(sub, found), sub.close())
		}
	}
	return err
}

// stage begins the new archive in a folder beside the old one.
func (r *rebuilding) stage(ctx context.Context) error {
	m, err := r.manifest()
	if err != nil {
		return err
	}
	a := &Archive{dir: r.dir, manifest: m, disk: r.disk, run: word(), boxes: map[migrate.Path]*box{}, tree: newTree("")}
	r.a, r.x = a, newExaminer()
	if a.top, err = openFolder(r.dir); err != nil {
		return err
	}
	name := stagePrefix + word()
	if a.own, err = r.disk.make(a.top, name); err != nil {
		return err
	}
	a.index, err = ledger.Open(ctx, filepath.Join(r.dir, name, indexFile), ledger.Options{Create: true})
	return err
}

// settle puts the new archive in its place, and what is not whole aside.
func (r *rebuilding) settle(ctx context.Context) error {
	a := r.a
	if r.own == nil && r.done.Messages == 0 {
		err := errors.Join(a.index.Close(), r.top.root.RemoveAll(path.Base(a.own.name)))
		a.index = nil
		return errors.Join(r.noMail(), err)
	}
	what := fmt.Sprintf("index made anew from the mail: %d messages in %d mailboxes", r.done.Messages, r.done.Mailboxes)
	if err := a.index.AddEvent(ctx, "rebuilt", "", migrate.Key{}, what); err != nil {
		return err
	}
	err := a.index.Close() // which folds its log into the file
	a.index = nil
	if err == nil {
		err = r.disk.writeManifest(a.own, a.manifest)
	}
	if err == nil {
		err = ctx.Err() // from here on it is better to go through with it
	}
	if err != nil {
		return err
	}
	kept := ""
	if r.own != nil {
		kept = asidePrefix + r.stamp()
		if err := r.disk.rename(r.top, ownDir, kept); err != nil {
			return err
		}
	}
	if err := r.disk.rename(r.top, path.Base(a.own.name), ownDir); err != nil {
		return err
	}
	a.own.name = path.Join(r.dir, ownDir)
	if r.done.Kept = kept; kept != "" { // what was set aside earlier stays where it is looked for
		err := r.disk.rename(r.top, path.Join(kept, quarantineDir), path.Join(ownDir, quarantineDir))
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			return err
		}
	}
	if err := r.disk.syncDir(r.top); err != nil {
		return err
	}
	for _, f := range r.broken {
		if err := a.setAside(f.box, []string{f.name}); err != nil {
			return err
		}
	}
	for _, t := range r.tails {
		f, err := a.openMbox(t.box, os.O_RDWR)
		if err != nil {
			return err
		}
		if err := errors.Join(a.cutTail(t.box, f, t.end), f.Close()); err != nil {
			return err
		}
	}
	return nil
}
