package archive

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path"
	"strconv"

	"postcask/archive/maildir"
	"postcask/migrate"
	"postcask/migrate/ledger"
)

// A sink writes to the archive and, being a source as well, tells what it holds.
type sink struct {
	source
	in     *intake
	cursor cursor
	group  group // of the mailbox in hand; nil for none
	mbox   migrate.Path
	rows   []ledger.Message // of group
	done   []migrate.Stored // of groups that were settled because another mailbox came
	err    error            // why the sink is of no more use
}

// Sink gives a new Sink of the archive, for one goroutine; there may be several. It is a Source, a Statuser and a
// Flagger as well. Messages are refused only with the whole group: on disk there is nothing wrong with a single one. In
// format mbox a Sink that has appended to a mailbox keeps others from it until it commits or is closed.
func (a *Archive) Sink() migrate.Sink {
	return &sink{source: source{a: a}, in: newIntake()}
}

// Create implements migrate.Sink.
func (s *sink) Create(ctx context.Context, mbox migrate.Mailbox) error {
	if s.a.readOnly {
		return s.at(mbox.Path, migrate.Errorf(migrate.Misuse, "the archive is open for reading only"))
	}
	_, err := s.a.addMailbox(ctx, mbox)
	return s.at(mbox.Path, err)
}

// at says where an error happened.
func (a *Archive) at(mbox migrate.Path, err error) error {
	if err == nil {
		return nil
	}
	return fmt.Errorf("archive mailbox %q: %w", mbox, err)
}

func (s *sink) at(mbox migrate.Path, err error) error { return s.a.at(mbox, err) }

// Append implements migrate.Sink. Where another mailbox than before is named, what is pending is made safe first; the
// next Commit tells of it.
func (s *sink) Append(ctx context.Context, mbox migrate.Path, m migrate.Message, body migrate.Body) error {
	if s.err != nil {
		return s.err
	}
	if s.group != nil && s.mbox != mbox {
		if err := s.settle(ctx); err != nil {
			return s.fail(err)
		}
	}
	if s.group == nil {
		group, err := s.a.openGroup(ctx, mbox, s.in, &s.cursor)
		if err != nil {
			return s.fail(s.at(mbox, err))
		}
		s.group, s.mbox = group, mbox
	}
	row, err := s.group.add(ctx, m, body)
	if err != nil {
		err = s.at(mbox, err)
		if unread := (*readError)(nil); errors.As(err, &unread) {
			if len(s.rows) == 0 { // with nothing pending there is no reason to keep others from the mailbox
				if undo := s.abandon(); undo != nil {
					return s.fail(errors.Join(err, undo))
				}
			}
			return err
		}
		return s.fail(err)
	}
	s.rows = append(s.rows, row)
	return nil
}

// fail makes the sink unusable and takes away what it had pending.
func (s *sink) fail(err error) error {
	s.err = errors.Join(err, s.abandon())
	return s.err
}

func (s *sink) abandon() error {
	if s.group == nil {
		return nil
	}
	err := s.group.drop()
	if err != nil {
		s.a.soil()
	}
	err = errors.Join(err, s.group.close())
	s.group, s.rows = nil, nil
	return err
}

// Commit implements migrate.Sink.
func (s *sink) Commit(ctx context.Context) ([]migrate.Stored, error) {
	if s.err != nil {
		return nil, s.err
	}
	if err := s.settle(ctx); err != nil {
		return nil, s.fail(err)
	}
	done := s.done
	s.done = nil
	return done, nil
}

// settle makes the group in hand safe: octets, then directories, then the index.
func (s *sink) settle(ctx context.Context) error {
	if s.group == nil {
		return ctx.Err()
	}
	end, err := s.group.settle(ctx, s.rows)
	if err != nil {
		return s.at(s.mbox, err)
	}
	// From here on it is better to go through with it: an answer that comes too late leaves a question open.
	err = broken("write", s.a.ownPath(indexFile), s.a.disk.before("index", indexFile))
	if err == nil {
		err = s.a.index.AddMessages(context.WithoutCancel(ctx), s.mbox, s.rows, end)
	}
	closing := s.group.close()
	rows := s.rows
	s.group, s.rows = nil, nil
	if err != nil {
		// Whether the index has the rows is not known, so their octets must stay; the next run will see.
		s.a.soil()
		return s.at(s.mbox, errors.Join(err, closing))
	}
	for _, row := range rows {
		s.done = append(s.done, migrate.Stored{Key: keyOf(row.ID)})
	}
	return s.at(s.mbox, closing)
}

// Close implements migrate.Sink.
func (s *sink) Close() error {
	err := errors.Join(s.abandon(), s.source.Close())
	if s.err == nil {
		s.err = os.ErrClosed
	}
	return err
}

// SetFlags implements migrate.Flagger. In a Maildir a file is renamed first and the index follows, so that a cut
// between the two leaves a file that is found by its base name and flags that the next call sets again.
func (s *sink) SetFlags(ctx context.Context, mbox migrate.Path, changes []migrate.FlagChange) error {
	if s.a.readOnly {
		return s.at(mbox, migrate.Errorf(migrate.Misuse, "the archive is open for reading only"))
	}
	return s.at(mbox, s.setFlags(ctx, mbox, changes))
}

func (s *sink) setFlags(ctx context.Context, mbox migrate.Path, changes []migrate.FlagChange) error {
	wanted := make(map[int64]migrate.Flags, len(changes))
	ids := make([]int64, 0, len(changes))
	for _, c := range changes {
		if id, ok := idOf(c.Key); ok {
			ids = append(ids, id)
			wanted[id] = c.Flags
		}
	}
	rows, err := s.a.index.ByID(ctx, ids)
	if err != nil {
		return err
	}
	updates := make([]ledger.FlagUpdate, 0, len(rows))
	here := rows[:0]
	for _, row := range rows {
		if row.Mailbox == mbox {
			here = append(here, row)
			updates = append(updates, ledger.FlagUpdate{ID: row.ID, Flags: wanted[row.ID]})
		}
	}
	if len(here) == 0 {
		return nil
	}
	if s.a.Format() == Maildir {
		if err := s.renameAll(ctx, here, wanted); err != nil {
			return err
		}
	}
	return s.a.index.SetFlags(ctx, mbox, updates)
}

func (s *sink) renameAll(ctx context.Context, rows []ledger.Message, wanted map[int64]migrate.Flags) (err error) {
	shelf, err := s.a.openShelf(ctx, rows[0].Mailbox)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, shelf.close()) }()
	flags := make([]migrate.Flags, len(rows))
	for i, row := range rows {
		flags[i] = wanted[row.ID]
	}
	shelf.box.mu.Lock()
	keywords, err := s.a.letter(shelf.dir, flags)
	shelf.box.mu.Unlock()
	if err != nil {
		return err
	}
	renamed := false
	for i, row := range rows {
		from, err := shelf.locate(row)
		if errors.Is(err, os.ErrNotExist) {
			continue // verify tells of it
		}
		if err != nil {
			return err
		}
		to := path.Join("cur", maildir.Join(row.Base, maildir.Letters(flags[i], keywords)))
		if from == to {
			continue
		}
		if err := s.a.disk.rename(shelf.dir, from, to); err != nil {
			return err
		}
		renamed = true
	}
	if !renamed {
		return nil
	}
	cur, err := shelf.dir.sub("cur")
	if err != nil {
		return err
	}
	return errors.Join(s.a.disk.syncDir(cur), cur.close())
}

// keyOf gives the Key of a message of the archive: its number in the index, in decimal.
func keyOf(id int64) migrate.Key { return migrate.Key{Name: strconv.FormatInt(id, 10)} }

func idOf(key migrate.Key) (int64, bool) {
	id, err := strconv.ParseInt(key.Name, 10, 64)
	return id, err == nil && id > 0 && keyOf(id) == key
}
