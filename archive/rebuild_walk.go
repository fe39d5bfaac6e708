package archive

import (
	"context"
	"errors"
	"io/fs"
	"path"
	"slices"
	"strings"

	"postcask/migrate"
	"postcask/migrate/ledger"
)

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
