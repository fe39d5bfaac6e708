package archive

import (
	"context"
	"errors"
	"fmt"
	"path"
	"path/filepath"

	"github.com/google/uuid"

	"postcask/migrate"
	"postcask/migrate/ledger"
)

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
