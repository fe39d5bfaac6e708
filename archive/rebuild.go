package archive

import (
	"context"
	"errors"
	"io/fs"
	"path/filepath"

	"postcask/migrate"
	"postcask/migrate/ledger"
)

// Names beside the archive's own folder: where a new one is made, and where the old one is kept.
const (
	stagePrefix = ownDir + "-rebuild-"
	asidePrefix = ownDir + "-old-"
)

// A Rebuilt tells what Rebuild came to.
type Rebuilt struct {
	Whole     bool   // the index is in order and was left alone; only archive.json may have been written anew
	Kept      string // where the old .postcask, or the part that was replaced, is kept, relative to the archive; empty for none
	Mailboxes int64
	Messages  int64
	Octets    int64 // of the wire forms
	Left      int64 // problems told: mail that was not taken up, or is not what came
}

// Rebuild makes the index of the archive in dir anew from the mail alone, where .postcask, index.db or archive.json is
// gone or damaged, or does not agree with the mail. What is known of an archive.json that can be read stays, the id
// too. The old .postcask is renamed and kept. report is called for mail that is not taken up: files of other programs,
// which stay where they are, and what is not whole, which goes to the quarantine if it can. With the index go the
// ledgers and, in format mbox, the flags: the next backup finds both again at the server, and stores nothing twice.
// Errors are of kind Damaged where there is no mail of an archive in dir, Locked and Unsafe as for Open.
func Rebuild(ctx context.Context, dir string, report func(Problem)) (Rebuilt, error) {
	r := &rebuilding{dir: dir, disk: newDisk(), report: report, seen: map[migrate.Path]bool{}}
	err := r.open()
	if err == nil {
		err = r.all(ctx)
	}
	return r.done, errors.Join(err, r.close())
}

// A rebuilding is one Rebuild under way.
type rebuilding struct {
	dir      string
	disk     *disk
	report   func(Problem)
	top, own *folder // own is nil where there is none
	unlock   func() error
	old      manifest
	known    bool // old is as it was written

	a      *Archive // the new one
	x      *examiner
	seen   map[migrate.Path]bool
	broken []brokenFile
	tails  []tail
	done   Rebuilt
}

// A brokenFile is a file of a Maildir that is not whole.
type brokenFile struct {
	box  *box
	name string
}

// A tail is what lies behind the last message of an mbox file.
type tail struct {
	box *box
	end int64
}

func (r *rebuilding) open() (err error) {
	if r.top, err = openFolder(r.dir); err != nil {
		return &migrate.Error{Kind: migrate.Damaged, Err: err, Hint: missingHint}
	}
	if err := mayWrite(r.top); err != nil {
		return err
	}
	if r.own, err = r.top.step(ownDir); errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	if err := mayWrite(r.own); err != nil {
		return err
	}
	if r.unlock, err = ledger.Lock(filepath.Join(r.dir, ownDir, lockFile)); err != nil {
		return err
	}
	m, err := parseManifest(r.dir)
	if migrate.HintOf(err) == newerHint || migrate.KindOf(err) == migrate.Unsafe {
		return err
	}
	if r.known = err == nil; r.known {
		r.old = m
	}
	return nil
}

func (r *rebuilding) close() error {
	var errs []error
	if r.a != nil {
		errs = append(errs, r.a.Close())
	}
	for _, f := range []*folder{r.own, r.top} {
		if f != nil {
			errs = append(errs, f.close())
		}
	}
	if r.unlock != nil {
		errs = append(errs, r.unlock())
	}
	return errors.Join(errs...)
}

func (r *rebuilding) all(ctx context.Context) error {
	if err := r.clearStages(); err != nil {
		return err
	}
	whole, err := r.indexWhole(ctx)
	switch {
	case err != nil:
		return err
	case whole && r.known:
		if agrees, err := r.agrees(ctx); agrees || err != nil {
			r.done.Whole = agrees
			return err
		}
	case whole:
		return r.manifestAlone(ctx)
	}
	if err := r.stage(ctx); err != nil {
		return err
	}
	if err := r.walk(ctx, r.top, nil, nil); err != nil {
		return err
	}
	return r.settle(ctx)
}

// stamp names something that is kept.
func (r *rebuilding) stamp() string {
	return r.disk.now().UTC().Format("20060102T150405Z") + "-" + word()
}

// tell tells of mail that is not as it should be.
func (r *rebuilding) tell(p Problem) {
	r.done.Left++
	r.report(p)
}
