package archive

import (
	"context"
	"io"
	"iter"
	"time"

	"postcask/migrate"
	"postcask/migrate/ledger"
)

// A keeper answers for what the archive keeps, before anything is deleted where it came from.
type keeper struct{ a *Archive }

// Keeper gives the archive as a migrate.Keeper, for one goroutine.
func (a *Archive) Keeper() migrate.Keeper { return &keeper{a} }

// Newest implements migrate.Keeper: the start or the end of the newest run.
func (k *keeper) Newest(ctx context.Context) (newest time.Time, err error) {
	runs, err := k.a.index.Runs(ctx, recentRuns)
	for _, run := range runs {
		for _, at := range []time.Time{run.Started, run.Ended} {
			if at.After(newest) {
				newest = at
			}
		}
	}
	return newest, err
}

// recentRuns is how many of the last runs are looked at: more than one, since the last may be of a clock set back.
const recentRuns = 100

// Added implements migrate.Keeper.
func (k *keeper) Added(ctx context.Context, mbox migrate.Path, keys []migrate.Key) (map[migrate.Key]time.Time, error) {
	ids := make([]int64, 0, len(keys))
	for _, key := range keys {
		if id, ok := idOf(key); ok {
			ids = append(ids, id)
		}
	}
	rows, err := k.a.index.ByID(ctx, ids)
	if err != nil {
		return nil, k.a.at(mbox, err)
	}
	added := make(map[migrate.Key]time.Time, len(rows))
	for _, row := range rows {
		if row.Mailbox == mbox {
			added[keyOf(row.ID)] = row.Added
		}
	}
	return added, nil
}

// ReadBack implements migrate.Keeper, in the order in which the messages lie on disk. A message whose octets are not
// those of the index has an Err of kind Damaged.
func (k *keeper) ReadBack(ctx context.Context, mbox migrate.Path, keys []migrate.Key) iter.Seq2[migrate.ReadBack, error] {
	return func(yield func(migrate.ReadBack, error) bool) {
		messages := make([]migrate.Message, len(keys))
		for i, key := range keys {
			messages[i].Key = key
		}
		err := k.a.each(ctx, mbox, messages, func(shelf *shelf, m migrate.Message, row ledger.Message, err error) bool {
			back := migrate.ReadBack{Key: m.Key}
			if err == nil {
				back.Identity, back.Header, err = shelf.readBack(ctx, row)
			}
			if ctx.Err() != nil {
				return true // each tells
			}
			if err != nil {
				back = migrate.ReadBack{Key: m.Key, Err: damage(row, err)}
			}
			return yield(back, nil)
		})
		if err != nil {
			yield(migrate.ReadBack{}, k.a.at(mbox, err))
		}
	}
}

// readBack reads a message from its file to the end and compares it with its row.
func (s *shelf) readBack(ctx context.Context, row ledger.Message) (id migrate.Identity, header migrate.Digest, err error) {
	stored, closeFile, err := s.open(row)
	if err != nil {
		return id, header, err
	}
	defer closeFile()
	whole, head := migrate.NewHasher(), migrate.NewHeaderHasher()
	if _, err := io.Copy(io.MultiWriter(whole, head), &interruptible{ctx, s.wireForm(row, stored)}); err != nil {
		return id, header, err
	}
	id = whole.Identity()
	return id, head.Digest(), compare(id, row)
}

// NoteDeleted implements migrate.Keeper: as events of kind "deleted", which carry the source's mailbox and key.
func (k *keeper) NoteDeleted(ctx context.Context, mbox migrate.Path, keys []migrate.Key) error {
	events := make([]ledger.Event, len(keys))
	for i, key := range keys {
		events[i] = ledger.Event{Kind: "deleted", Mailbox: mbox, Key: key, Text: "deleted at the source, which confirmed it"}
	}
	return k.a.index.AddEvents(ctx, events)
}
