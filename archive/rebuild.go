package archive

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/google/uuid"

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

// indexWhole tells whether there is an index that can be read to the end, and what id it knows the archive by.
func (r *rebuilding) indexWhole(ctx context.Context) (bool, error) {
	if r.own == nil {
		return false, nil
	}
	db, err := ledger.Open(ctx, filepath.Join(r.dir, ownDir, indexFile), ledger.Options{ReadOnly: true})
	if err != nil {
		if migrate.HintOf(err) == newerHint {
			return false, err
		}
		return false, ctx.Err()
	}
	defer db.Close()
	if !r.known {
		// A ledger of the index names the archive by its id.
		names, _ := db.Destinations(ctx) // where it cannot be read, a new id does
		for _, name := range names {
			if uuid.Validate(name) == nil {
				r.old.ID = name
			}
		}
	}
	if err := db.Check(ctx); err != nil {
		return false, ctx.Err()
	}
	return true, nil
}

// agrees tells whether the archive is in good order as it is. What is not as it was is told.
func (r *rebuilding) agrees(ctx context.Context) (bool, error) {
	a, err := Open(ctx, r.dir, Options{ReadOnly: true})
	if err != nil {
		return false, ctx.Err()
	}
	defer a.Close()
	var wrong []Problem // that a new index would not tell of any more
	totals, err := a.Verify(ctx, func(p Problem) {
		switch p.What {
		case Changed:
			p.Err = fmt.Errorf("%w; taken up as they are now, if they can be", p.Err)
			wrong = append(wrong, p)
		case Missing:
			wrong = append(wrong, p)
		}
	})
	if err != nil {
		return false, ctx.Err()
	}
	r.done.Mailboxes, r.done.Messages, r.done.Octets = totals.Mailboxes, totals.Messages, totals.Octets
	if totals.Damaged+totals.Unnamed == 0 {
		return true, nil
	}
	r.done = Rebuilt{}
	for _, p := range wrong {
		r.tell(p)
	}
	return false, nil
}

// manifestAlone writes a new archive.json beside an index that is whole.
func (r *rebuilding) manifestAlone(ctx context.Context) error {
	m, err := r.manifest()
	if err != nil {
		return err
	}
	if _, err := r.own.root.Lstat(manifestFile); err == nil {
		aside := manifestFile + "-old-" + r.stamp()
		if err := r.disk.rename(r.own, manifestFile, aside); err != nil {
			return err
		}
		r.done.Kept = path.Join(ownDir, aside)
	}
	if err := r.disk.writeManifest(r.own, m); err != nil {
		return err
	}
	r.done.Whole = true
	if err := errors.Join(r.unlock(), ctx.Err()); err != nil {
		return err
	}
	r.unlock = nil
	a, err := Open(ctx, r.dir, Options{ReadOnly: true})
	if err != nil {
		return err
	}
	defer a.Close()
	mailboxes, err := a.index.Mailboxes(ctx)
	for _, m := range mailboxes {
		r.done.Mailboxes++
		r.done.Messages += m.Messages
		r.done.Octets += m.Octets
	}
	return err
}

// stamp names something that is kept.
func (r *rebuilding) stamp() string {
	return r.disk.now().UTC().Format("20060102T150405Z") + "-" + word()
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

// tell tells of mail that is not as it should be.
func (r *rebuilding) tell(p Problem) {
	r.done.Left++
	r.report(p)
}

// walk takes up what lies in dir and below: names are those on disk that lead there, parts what they stand for.
func (r *rebuilding) walk(ctx context.Context, dir *folder, names, parts []string) error {
	var entries []fs.DirEntry // as many as there are mailboxes; the messages are one level below
	err := eachEntry(dir, func(e fs.DirEntry) error {
		if name := e.Name(); name[0] == '.' || name == "tmp" || name == "cur" || name == "new" {
			return nil // ours, a mail reader's, or part of the Maildir that dir is
		}
		if e.IsDir() || e.Type()&fs.ModeSymlink != 0 || r.a.Format() == Mbox && strings.HasSuffix(e.Name(), mboxSuffix) {
			entries = append(entries, e)
		}
		return nil
	})
	if err != nil {
		return err
	}
	slices.SortFunc(entries, func(x, y fs.DirEntry) int { return strings.Compare(x.Name(), y.Name()) })
	for _, e := range entries {
		if err := ctx.Err(); err != nil {
			return err
		}
		place := path.Join(path.Join(names...), e.Name())
		if e.Type()&fs.ModeSymlink != 0 {
			r.tell(Problem{What: Unnamed, File: place, Err: errors.New("a link, which is not followed")})
			continue
		}
		name, isFile := e.Name(), !e.IsDir()
		if isFile {
			name = strings.TrimSuffix(name, mboxSuffix)
		}
		part, err := decodePart(name, func(digest string) (string, error) { return readLong(dir, digest) })
		if err != nil {
			r.tell(Problem{What: Unnamed, File: place, Err: err})
			continue
		}
		b := newBox(migrate.NewPath(append(slices.Clone(parts), part)...), place, append(slices.Clone(names), name))
		if isFile {
			if err := r.mboxFile(ctx, b); err != nil {
				return err
			}
			continue
		}
		sub, err := dir.sub(name)
		if err != nil {
			return err
		}
		if err == nil && r.a.Format() == Maildir {
			err = r.maildir(ctx, sub, b)
		}
		if err == nil {
			err = r.walk(ctx, sub, b.names, b.path.Parts())
		}
		if err = errors.Join(err, sub.close()); err != nil {
			return err
		}
	}
	return nil
}

// readLong reads the whole of a name that was cut, which lies beside it.
func readLong(dir *folder, digest string) (string, error) {
	text, err := dir.readSmall(longFile(digest))
	return strings.TrimSuffix(string(text), "\n"), err
}

// note puts a mailbox into the index, unless another has its name already.
func (r *rebuilding) note(ctx context.Context, b *box, noSelect bool) (bool, error) {
	if r.seen[b.path] {
		r.tell(Problem{What: Unnamed, Mailbox: b.path, File: b.file, Err: errors.New("another folder stands for the same mailbox")})
		return false, nil
	}
	r.seen[b.path] = true
	if !noSelect {
		r.done.Mailboxes++
	}
	return true, r.a.index.PutMailbox(ctx, ledger.Mailbox{Mailbox: migrate.Mailbox{Path: b.path, NoSelect: noSelect}, File: b.file})
}

// add puts messages into the index.
func (r *rebuilding) add(ctx context.Context, b *box, rows []ledger.Message, end int64) error {
	for _, row := range rows {
		r.done.Messages++
		r.done.Octets += row.Identity.Size
	}
	return r.a.index.AddMessages(ctx, b.path, rows, end)
}

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
