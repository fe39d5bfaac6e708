package archive

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"strings"

	"postcask/archive/maildir"
	"postcask/migrate"
	"postcask/migrate/ledger"
)

// What sorts problems that Verify finds.
type What string

// The problems.
const (
	Missing    What = "missing"    // the octets of a message are not where they should be, nor elsewhere
	Changed    What = "changed"    // they are not those that came
	Misplaced  What = "misplaced"  // its file lies in another mailbox
	Unreadable What = "unreadable" // the disk does not give them
	Unnamed    What = "unnamed"    // octets that no message of the index names; no message is the worse for it
)

// A Problem is something wrong that Verify found. Key and MessageID are empty for octets that no message names.
type Problem struct {
	What      What
	Mailbox   migrate.Path
	Key       migrate.Key
	MessageID string
	File      string // relative to the archive
	Err       error
}

// Totals count what Verify looked at.
type Totals struct {
	Mailboxes int64
	Messages  int64
	Octets    int64 // of the wire forms
	Damaged   int64 // problems with messages
	Unnamed   int64 // problems with octets that no message names
}

// Verify reads every stored octet and compares it with the digests of the index, and looks for octets that no message
// names. report is called for each problem, in no lasting order. Files that a mail reader renamed, to set flags or to
// move them from new to cur, are in order. The error tells why it could not be done, as when the index itself is
// damaged; problems are no error. While another process writes to the archive, what it has under way may be called unnamed.
func (a *Archive) Verify(ctx context.Context, report func(Problem)) (Totals, error) {
	if err := a.index.Check(ctx); err != nil {
		return Totals{}, err
	}
	v := &verifier{a: a, report: report, source: source{a: a, hasher: migrate.NewHasher()}, unnamed: map[string]string{}}
	mailboxes, err := a.index.Mailboxes(ctx)
	if err != nil {
		return v.totals, err
	}
	v.claimed = make(map[string]bool, len(mailboxes))
	for _, m := range mailboxes {
		v.claimed[m.File] = true
	}
	for _, m := range mailboxes {
		v.totals.Mailboxes++
		if err := v.mailbox(ctx, m); err != nil {
			return v.totals, a.at(m.Path, err)
		}
	}
	if err := v.strangers(ctx, a.top, ""); err != nil {
		return v.totals, err
	}
	v.settle()
	return v.totals, nil
}

// A verifier is one Verify under way.
type verifier struct {
	a       *Archive
	report  func(Problem)
	source  source
	totals  Totals
	claimed map[string]bool   // places of mailboxes
	missing []missing         // told at the end, when it is known what lies elsewhere
	unnamed map[string]string // by base name, where files lie that no message there names
}

type missing struct {
	row ledger.Message
	err error
}

func (v *verifier) problem(what What, row ledger.Message, file string, err error) {
	v.totals.Damaged++
	v.report(Problem{What: what, Mailbox: row.Mailbox, Key: keyOf(row.ID), MessageID: row.MessageID, File: file, Err: err})
}

func (v *verifier) stray(mbox migrate.Path, file string, err error) {
	v.totals.Unnamed++
	v.report(Problem{What: Unnamed, Mailbox: mbox, File: file, Err: err})
}

func (v *verifier) mailbox(ctx context.Context, m ledger.Mailbox) error {
	shelf, err := v.a.openShelf(ctx, m.Path)
	if err == nil {
		defer shelf.close()
	} else if m.Messages == 0 && errors.Is(err, fs.ErrNotExist) {
		return nil // only noted, or emptied of nothing
	}
	if err == nil && shelf.file != nil {
		return v.mbox(ctx, m, shelf)
	}
	named := newBaseNames(m.Messages)
	for row, failed := range v.a.index.Messages(ctx, m.Path) {
		if failed != nil {
			return failed
		}
		v.totals.Messages++
		v.totals.Octets += row.Identity.Size
		named.add(row.Base, 0)
		if err != nil {
			v.lost(row, err)
			continue
		}
		v.message(ctx, shelf, row)
		if err := ctx.Err(); err != nil {
			return err
		}
	}
	if err != nil || v.a.Format() == Mbox {
		return nil
	}
	named.sort()
	return eachFile(shelf.dir, func(where, name string) error {
		base, _ := maildir.Split(name)
		if named.find(base) == nil {
			v.foundUnnamed(base, strings.Join([]string{m.File, where, name}, "/"))
		}
		return nil
	})
}

// foundUnnamed keeps where a file lies, until it is known whether it is the one that is missing elsewhere.
func (v *verifier) foundUnnamed(base, file string) {
	if _, twice := v.unnamed[base]; twice {
		base = file
	}
	v.unnamed[base] = file
}

func (v *verifier) message(ctx context.Context, shelf *shelf, row ledger.Message) {
	stored, closeFile, err := shelf.open(row)
	if err != nil {
		v.lost(row, err)
		return
	}
	defer closeFile()
	if err := v.hash(ctx, shelf.wireForm(row, stored), row); err != nil && ctx.Err() == nil {
		v.problem(whatOf(err), row, shelf.box.file+"/cur/"+row.Base, err)
	}
}

// lost notes a message whose octets cannot be opened.
func (v *verifier) lost(row ledger.Message, err error) {
	if errors.Is(err, fs.ErrNotExist) {
		v.missing = append(v.missing, missing{row, err})
		return
	}
	v.problem(Unreadable, row, "", err)
}

func whatOf(err error) What {
	if errors.Is(err, errChanged) {
		return Changed
	}
	return Unreadable
}

// hash reads a wire form to its end and compares it with row.
func (v *verifier) hash(ctx context.Context, wire io.Reader, row ledger.Message) error {
	v.source.hasher.Reset()
	if _, err := io.Copy(v.source.hasher, &interruptible{ctx, wire}); err != nil {
		return err
	}
	return compare(v.source.hasher.Identity(), row)
}

// interruptible reads until ctx is done.
type interruptible struct {
	ctx context.Context
	r   io.Reader
}

func (i *interruptible) Read(p []byte) (int, error) {
	if err := i.ctx.Err(); err != nil {
		return 0, err
	}
	return i.r.Read(p)
}

// settle tells of what is missing and of what is too many, or that the one is the other.
func (v *verifier) settle() {
	for _, lost := range v.missing {
		if file, ok := v.unnamed[lost.row.Base]; ok && lost.row.Base != "" {
			delete(v.unnamed, lost.row.Base)
			v.problem(Misplaced, lost.row, file, fmt.Errorf("it lies at %q", file))
			continue
		}
		v.problem(Missing, lost.row, "", lost.err)
	}
	for _, file := range v.unnamed {
		v.stray("", file, errors.New("the index does not name it"))
	}
}

// strangers looks for mail at places that no mailbox has.
func (v *verifier) strangers(ctx context.Context, dir *folder, at string) error {
	return eachEntry(dir, func(e fs.DirEntry) error {
		if err := ctx.Err(); err != nil {
			return err
		}
		name, place := e.Name(), strings.TrimPrefix(at+"/"+e.Name(), "/")
		switch {
		case name[0] == '.':
			return nil // ours, or a mail reader's
		case e.Type()&fs.ModeSymlink != 0:
			v.stray("", place, errors.New("a link, which is not followed"))
			return nil
		case v.a.Format() == Mbox && e.Type().IsRegular() && strings.HasSuffix(name, mboxSuffix) && !v.claimed[place]:
			if info, err := e.Info(); err != nil || info.Size() > 0 { // an empty one may be a mailbox that was about to be made
				v.stray("", place, errors.New("no mailbox is kept there"))
			}
			return nil
		case !e.IsDir() || name == "tmp":
			return nil
		case name == "cur" || name == "new":
			if v.a.Format() != Maildir || v.claimed[at] {
				return nil
			}
			return v.strangeMaildir(dir, at, name)
		}
		sub, err := dir.sub(name)
		if err != nil {
			v.stray("", place, err)
			return nil
		}
		return errors.Join(v.strangers(ctx, sub, place), sub.close())
	})
}

func (v *verifier) strangeMaildir(dir *folder, at, name string) error {
	sub, err := dir.sub(name)
	if err != nil {
		return err
	}
	err = eachEntry(sub, func(e fs.DirEntry) error {
		if e.Name()[0] != '.' && !e.IsDir() {
			base, _ := maildir.Split(e.Name())
			v.foundUnnamed(base, at+"/"+name+"/"+e.Name())
		}
		return nil
	})
	return errors.Join(err, sub.close())
}
