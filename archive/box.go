package archive

import (
	"context"
	"encoding/hex"
	"errors"
	"io"
	"io/fs"
	"os"
	"strings"
	"sync"

	"postcask/archive/maildir"
	"postcask/migrate"
	"postcask/migrate/ledger"
)

// A box is what this process shares about one mailbox.
type box struct {
	path  migrate.Path
	file  string   // relative path of the Maildir or mbox file
	names []string // its parts on disk, without the suffix of an mbox file

	writing chan struct{} // mbox: who holds the one token may write to the file

	mu      sync.Mutex
	made    bool // everything is on disk and in the index
	strayed strayed
}

func newBox(path migrate.Path, file string, names []string) *box {
	b := &box{path: path, file: file, names: names, writing: make(chan struct{}, 1)}
	b.writing <- struct{}{}
	return b
}

// acquire waits for the right to write to the mbox file.
func (b *box) acquire(ctx context.Context) error {
	select {
	case <-b.writing:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

func (b *box) release() { b.writing <- struct{}{} }

// addMailbox makes what is missing of a mailbox, on disk first, then in the index.
func (a *Archive) addMailbox(ctx context.Context, m migrate.Mailbox) (*box, error) {
	b, err := a.place(m.Path)
	if err != nil {
		return nil, err
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	if err := a.makeFiles(b, m.NoSelect); err != nil {
		return nil, err
	}
	known, there, err := a.index.MailboxOf(ctx, m.Path)
	if err != nil {
		return nil, err
	}
	want := ledger.Mailbox{Mailbox: m, File: b.file}
	if there {
		want.Subscribed = want.Subscribed || known.Subscribed
		want.NoSelect = want.NoSelect && known.NoSelect // what holds mail stays selectable
		if want.Role == "" {
			want.Role = known.Role
		}
		if known.Mailbox == want.Mailbox && known.File == want.File {
			b.made = b.made || !m.NoSelect
			return b, nil
		}
	}
	if err := a.index.PutMailbox(ctx, want); err != nil {
		return nil, err
	}
	b.made = b.made || !m.NoSelect
	return b, nil
}

// makeFiles makes the directories of a mailbox and, in format mbox, its file. All are durable when it returns.
func (a *Archive) makeFiles(b *box, noSelect bool) (err error) {
	if b.made {
		return nil
	}
	at := a.top
	for i, name := range b.names {
		if err := a.noteLong(at, b.path.Parts()[i], name); err != nil {
			return errors.Join(err, closeBelow(a, at))
		}
		if i == len(b.names)-1 && (noSelect || a.Format() == Mbox) {
			break
		}
		next, err := a.disk.make(at, name)
		if err = errors.Join(err, closeBelow(a, at)); err != nil {
			return err
		}
		at = next
	}
	defer func() { err = errors.Join(err, closeBelow(a, at)) }()
	switch {
	case noSelect:
		return nil
	case a.Format() == Mbox:
		return a.makeMboxFile(at, b.names[len(b.names)-1]+mboxSuffix)
	}
	made := false
	for _, name := range [...]string{"cur", "new", "tmp"} {
		one, err := a.disk.mkdir(at, name)
		if err != nil {
			return err
		}
		made = made || one
	}
	if made {
		return a.disk.syncDir(at)
	}
	return nil
}

// closeBelow closes a folder unless it is the archive's own root, which stays open.
func closeBelow(a *Archive, f *folder) error {
	if f == a.top {
		return nil
	}
	return f.close()
}

func (a *Archive) makeMboxFile(dir *folder, name string) error {
	f, err := a.disk.create(dir, name)
	if errors.Is(err, fs.ErrExist) {
		return nil // what it is shows when it is opened
	}
	if err == nil {
		err = f.Close()
	}
	if err == nil {
		err = a.disk.syncDir(dir)
	}
	return err
}

// longFile is the name of the file that holds the whole of a name that was cut.
func longFile(digest string) string { return ".postcask-name-" + digest }

// noteLong writes the whole of a name that was cut beside it, so that it can be read without the index.
func (a *Archive) noteLong(dir *folder, part, name string) error {
	_, digest, ok := strings.Cut(name, longMark)
	if !ok {
		return nil
	}
	digest = digest[:hex.EncodedLen(digestSize)]
	f, err := dir.open(longFile(digest), os.O_RDONLY)
	if err == nil {
		return f.Close()
	}
	if !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	return a.disk.replace(dir, longFile(digest), []byte(escapeAll(part)+"\n"))
}

// readKeywords reads the Maildir's keyword letters; a missing file has none.
func readKeywords(dir *folder) (*maildir.Keywords, error) {
	f, err := dir.open(maildir.KeywordsFile, os.O_RDONLY)
	if errors.Is(err, fs.ErrNotExist) {
		return new(maildir.Keywords), nil
	}
	if err != nil {
		return nil, err
	}
	defer f.Close()
	text, err := io.ReadAll(io.LimitReader(f, 64<<10))
	if err != nil {
		return nil, dir.broken("read", maildir.KeywordsFile, err)
	}
	return maildir.ParseKeywords(text), nil
}

// letter gives keywords their letters as far as there are any left; the caller holds b.mu.
func (a *Archive) letter(dir *folder, flags []migrate.Flags) (*maildir.Keywords, error) {
	keywords, err := readKeywords(dir)
	if err != nil {
		return nil, err
	}
	changed := false
	for _, f := range flags {
		if names := f.Keywords(); len(names) > 0 {
			changed = keywords.Add(names...) || changed
		}
	}
	if changed {
		err = a.disk.replace(dir, maildir.KeywordsFile, keywords.Format())
	}
	return keywords, err
}
