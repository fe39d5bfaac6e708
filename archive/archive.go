package archive

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"sync"
	"time"

	"github.com/google/uuid"

	"postcask/archive/maildir"
	"postcask/migrate"
	"postcask/migrate/ledger"
)

// Options tell how to open an archive. The zero value opens it for writing.
type Options struct {
	ReadOnly bool   // takes no lock and changes nothing
	Locked   func() // is called as soon as the lock is held; may be nil
}

// An Archive is an open archive. It is safe for use by several goroutines.
type Archive struct {
	dir      string
	manifest manifest
	readOnly bool
	disk     *disk
	syncer   *syncer // nil when read-only
	top, own *folder
	index    *ledger.DB
	unlock   func() error // nil when read-only
	run      string       // random word of this run, in the names of its files

	recovered Recovery

	mu      sync.Mutex
	tree    *tree
	boxes   map[migrate.Path]*box
	counter uint64
	marked  bool // the index says that this run writes
	unclean bool // something may lie about that the index does not name
}

// Create makes a new archive of format in dir, which must be empty or missing, and opens it for writing. madeFrom
// tells a person what it was made from; it must not hold a secret. Errors are of kind Unsafe where dir holds
// something else or others may write to it, and Locked where another run is at it.
func Create(ctx context.Context, dir string, format Format, madeFrom string) (*Archive, error) {
	if format != Maildir && format != Mbox {
		return nil, migrate.Errorf(migrate.Misuse, "archive format %q: there are %s and %s", format, Maildir, Mbox)
	}
	if err := claim(dir); err != nil {
		return nil, err
	}
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, broken("create", dir, err)
	}
	a := &Archive{
		dir: dir, disk: newDisk(),
		manifest: manifest{Format: formatName, Version: formatVersion, ID: uuid.NewString(), Layout: format, MadeFrom: madeFrom},
	}
	a.manifest.Created = a.disk.now().UTC().Truncate(time.Second)
	if err := a.create(ctx); err != nil {
		return nil, errors.Join(err, a.Close())
	}
	return a, nil
}

func (a *Archive) create(ctx context.Context) (err error) {
	if a.top, err = openFolder(a.dir); err != nil {
		return err
	}
	if err := mayWrite(a.top); err != nil {
		return err
	}
	if err := a.top.root.Chmod(".", 0o700); err != nil {
		return a.top.broken("create", "", err)
	}
	if a.own, err = a.disk.make(a.top, ownDir); err != nil {
		return err
	}
	if a.unlock, err = ledger.Lock(a.ownPath(lockFile)); err != nil {
		return err
	}
	if err := claim(a.dir); err != nil { // another run may have been faster
		return err
	}
	if _, err := a.disk.mkdir(a.own, quarantineDir); err != nil {
		return err
	}
	if a.index, err = ledger.Open(ctx, a.ownPath(indexFile), ledger.Options{Create: true}); err != nil {
		return err
	}
	if err := a.disk.writeManifest(a.own, a.manifest); err != nil { // last: with it, the archive is one
		return err
	}
	if parent, err := openFolder(filepath.Dir(a.dir)); err == nil { // one that cannot be read cannot be synced either
		defer parent.close()
		if err := a.disk.syncDir(parent); err != nil {
			return err
		}
	}
	return a.begin(ctx)
}

// Open opens the archive in dir. For writing it takes the lock, refuses a directory that others may write to or own
// (kind Unsafe), and puts right what a run that was cut off left behind; Recovered tells of that. Errors are of kind Damaged where the archive
// is missing, damaged or from a newer version, and Locked where another run holds it.
func Open(ctx context.Context, dir string, o Options) (*Archive, error) {
	m, err := readManifest(dir)
	if err != nil {
		return nil, err
	}
	a := &Archive{dir: dir, manifest: m, readOnly: o.ReadOnly, disk: newDisk()}
	if err := a.open(ctx, o.Locked); err != nil {
		return nil, errors.Join(err, a.Close())
	}
	return a, nil
}

func (a *Archive) open(ctx context.Context, locked func()) (err error) {
	if a.top, err = openFolder(a.dir); err != nil {
		return err
	}
	if a.own, err = a.top.sub(ownDir); err != nil {
		return err
	}
	if !a.readOnly {
		if err := errors.Join(mayWrite(a.top), mayWrite(a.own)); err != nil {
			return err
		}
		if a.unlock, err = ledger.Lock(a.ownPath(lockFile)); err != nil {
			return err
		}
		if locked != nil {
			locked()
		}
	}
	if a.index, err = ledger.Open(ctx, a.ownPath(indexFile), ledger.Options{ReadOnly: a.readOnly}); err != nil {
		return err
	}
	return a.begin(ctx)
}

func (a *Archive) begin(ctx context.Context) error {
	a.run = word()
	a.boxes = make(map[migrate.Path]*box)
	if err := a.loadTree(ctx); err != nil || a.readOnly {
		return err
	}
	a.syncer = newSyncer(a.disk, a.top)
	return a.recover(ctx)
}

func newDisk() *disk {
	host, err := os.Hostname()
	if err != nil {
		host = ""
	}
	return &disk{now: time.Now, host: maildir.Host(host), pid: os.Getpid(), gather: writeSize, openFiles: filesAtOnce()}
}

func (a *Archive) ownPath(name string) string { return filepath.Join(a.dir, ownDir, name) }

// ID gives the archive's lasting name, which it keeps wherever it is moved.
func (a *Archive) ID() string { return a.manifest.ID }

// Format tells how mail is laid out.
func (a *Archive) Format() Format { return a.manifest.Layout }

// Dir gives the directory as it was opened.
func (a *Archive) Dir() string { return a.dir }

// MadeFrom tells what the archive was made from.
func (a *Archive) MadeFrom() string { return a.manifest.MadeFrom }

// Index gives the archive's index. It is closed with the archive.
func (a *Archive) Index() *ledger.DB { return a.index }

// Ledger gives the ledger, kept in the index, of what came from source into this archive.
func (a *Archive) Ledger(ctx context.Context, source string) (migrate.Ledger, error) {
	known, err := a.index.Ledger(ctx, source, a.ID())
	if err != nil {
		return nil, err
	}
	return ledgerInside{known}, nil
}

// Close ends the use. Sources and Sinks must be closed before. Everything that was committed is safe already.
func (a *Archive) Close() error {
	var errs []error
	if a.index != nil {
		if a.marked && !a.unclean {
			errs = append(errs, a.index.SetMeta(context.Background(), runMeta, ""))
		}
		errs = append(errs, a.index.Close())
	}
	if a.syncer != nil {
		errs = append(errs, a.syncer.close())
	}
	for _, f := range []*folder{a.own, a.top} {
		if f != nil {
			errs = append(errs, f.close())
		}
	}
	if a.unlock != nil {
		errs = append(errs, a.unlock())
		a.unlock = nil
	}
	return errors.Join(errs...)
}
