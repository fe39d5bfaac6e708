package archive

import (
	"context"

	"postcask/migrate"
	"postcask/migrate/ledger"
)

// A group writes messages to one mailbox and makes them safe together.
type group interface {
	// add writes one message and gives its row for the index. After a *readError the message is forgotten and the
	// group can be used on; after any other error it can only be dropped.
	add(ctx context.Context, m migrate.Message, body migrate.Body) (ledger.Message, error)
	// settle makes the octets of rows, which are those that add gave, durable where they stay, and gives the new end
	// of an mbox file, or -1. After an error nothing of the group may be told to be safe.
	settle(ctx context.Context, rows []ledger.Message) (end int64, err error)
	// drop removes what was written; it is for groups that did not reach the index.
	drop() error
	// close lets go of files and locks.
	close() error
}

// openGroup begins a group in a mailbox, which is made where it is missing.
func (a *Archive) openGroup(ctx context.Context, mbox migrate.Path, in *intake, c *cursor) (group, error) {
	if a.readOnly {
		return nil, migrate.Errorf(migrate.Misuse, "the archive is open for reading only")
	}
	a.mu.Lock()
	b := a.boxes[mbox]
	a.mu.Unlock()
	made := false
	if b != nil {
		b.mu.Lock()
		made = b.made
		b.mu.Unlock()
	}
	if !made {
		var err error
		if b, err = a.addMailbox(ctx, migrate.Mailbox{Path: mbox}); err != nil {
			return nil, err
		}
	}
	if err := a.mark(ctx); err != nil {
		return nil, err
	}
	if a.Format() == Mbox {
		return a.openMboxGroup(ctx, b, in, c)
	}
	return a.openMaildirGroup(b, in, c)
}

// mark notes in the index, before the first octet is written, that this run writes; Close takes the note away.
func (a *Archive) mark(ctx context.Context) error {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.marked {
		return nil
	}
	if err := a.index.SetMeta(ctx, runMeta, a.run); err != nil {
		return err
	}
	a.marked = true
	return nil
}

// soil notes that something lies about that the index does not name, for the next run to set aside.
func (a *Archive) soil() {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.unclean = true
}

// next numbers the messages of this run.
func (a *Archive) next() uint64 {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.counter++
	return a.counter
}
