package archive

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"iter"
	"slices"

	"postcask/migrate"
	"postcask/migrate/ledger"
)

const (
	fetchPage = 200     // messages looked up in the index at once
	inMemory  = 1 << 20 // octets of a message that is held in memory; a longer one is read twice
)

// A source reads the archive.
type source struct {
	a      *Archive
	hasher *migrate.Hasher
	buf    bytes.Buffer
}

// Source gives a new Source of the archive, for one goroutine; there may be several. A message's Key is its number in
// the index, in decimal. Fetch gives only octets whose digest it has verified; a message that is not what it was when
// it came has an error of kind Damaged.
func (a *Archive) Source() migrate.Source { return &source{a: a} }

// Mailboxes implements migrate.Source.
func (s *source) Mailboxes(ctx context.Context) ([]migrate.Mailbox, error) {
	known, err := s.a.index.Mailboxes(ctx)
	if err != nil {
		return nil, err
	}
	mailboxes := make([]migrate.Mailbox, len(known))
	for i, m := range known {
		mailboxes[i] = m.Mailbox
	}
	return mailboxes, nil
}

// Status implements migrate.Statuser.
func (s *source) Status(ctx context.Context, mbox migrate.Path) (migrate.Status, error) {
	count, _, err := s.a.index.Totals(ctx, mbox)
	return migrate.Status{Messages: count}, err
}

// Messages implements migrate.Source, in the order in which they came into the archive.
func (s *source) Messages(ctx context.Context, mbox migrate.Path) iter.Seq2[migrate.Message, error] {
	return func(yield func(migrate.Message, error) bool) {
		for row, err := range s.a.index.Messages(ctx, mbox) {
			if err != nil {
				yield(migrate.Message{}, err)
				return
			}
			if !yield(messageOf(row), nil) {
				return
			}
		}
	}
}

func messageOf(row ledger.Message) migrate.Message {
	return migrate.Message{
		Key: keyOf(row.ID), Size: row.Identity.Size, InternalDate: row.InternalDate, Flags: row.Flags, Identity: row.Identity,
	}
}

// Knower implements migrate.Knower: the index holds every Identity.
func (s *source) Knower() {}

// Fetch implements migrate.Source, in the order in which the messages lie on disk.
func (s *source) Fetch(ctx context.Context, mbox migrate.Path, messages []migrate.Message) iter.Seq2[migrate.Fetched, error] {
	return func(yield func(migrate.Fetched, error) bool) {
		err := s.a.each(ctx, mbox, messages, func(shelf *shelf, m migrate.Message, row ledger.Message, err error) bool {
			if err != nil {
				return yield(migrate.Fetched{Message: m, Err: damage(row, err)}, nil)
			}
			return s.fetch(shelf, m, row, yield)
		})
		if err != nil {
			yield(migrate.Fetched{}, s.a.at(mbox, err))
		}
	}
}

// each calls do for each of messages that the index has in mbox, with an error for all where the mailbox cannot be
// opened. It ends when do gives false.
func (a *Archive) each(ctx context.Context, mbox migrate.Path, messages []migrate.Message,
	do func(*shelf, migrate.Message, ledger.Message, error) bool,
) (err error) {
	if len(messages) == 0 {
		return ctx.Err()
	}
	shelf, cannot := a.openShelf(ctx, mbox)
	enough := false
	if cannot == nil {
		defer func() {
			if closing := shelf.close(); !enough { // who has had enough is told nothing more
				err = errors.Join(err, closing)
			}
		}()
	}
	for page := range slices.Chunk(messages, fetchPage) {
		asked := make(map[int64]migrate.Message, len(page))
		ids := make([]int64, 0, len(page))
		for _, m := range page {
			if id, ok := idOf(m.Key); ok {
				asked[id] = m
				ids = append(ids, id)
			}
		}
		rows, err := a.index.ByID(ctx, ids)
		if err != nil {
			return err
		}
		slices.SortStableFunc(rows, func(x, y ledger.Message) int {
			return cmp.Or(cmp.Compare(x.Offset, y.Offset), cmp.Compare(x.ID, y.ID))
		})
		for _, row := range rows {
			if row.Mailbox != mbox {
				continue
			}
			if err := ctx.Err(); err != nil {
				return err
			}
			if enough = !do(shelf, asked[row.ID], row, cannot); enough {
				return nil
			}
		}
	}
	return nil
}

func (s *source) fetch(shelf *shelf, m migrate.Message, row ledger.Message, yield func(migrate.Fetched, error) bool) bool {
	stored, closeFile, err := shelf.open(row)
	if err != nil {
		return yield(migrate.Fetched{Message: m, Err: damage(row, err)}, nil)
	}
	defer closeFile()
	if s.hasher == nil {
		s.hasher = migrate.NewHasher()
	}
	s.hasher.Reset()
	size := row.Identity.Size
	var reader io.Reader
	if size <= inMemory {
		s.buf.Reset()
		_, err = s.buf.ReadFrom(io.TeeReader(io.LimitReader(shelf.wireForm(row, stored), size+1), s.hasher))
		reader = bytes.NewReader(s.buf.Bytes())
	} else {
		_, err = io.Copy(s.hasher, io.LimitReader(shelf.wireForm(row, stored), size+1))
		if err == nil {
			_, err = stored.Seek(0, io.SeekStart)
		}
		reader = &checked{r: shelf.wireForm(row, stored), hasher: migrate.NewHasher(), row: row, left: size}
	}
	if err == nil {
		err = compare(s.hasher.Identity(), row)
	}
	if err != nil {
		return yield(migrate.Fetched{Message: m, Err: damage(row, err)}, nil)
	}
	return yield(migrate.Fetched{Message: m, Body: migrate.Body{Reader: reader, Size: size}, Checked: row.Identity}, nil)
}

// A checked reader hashes what it gives, and has an error with the last of it if that is not the message: the octets
// were good a moment ago, but a disk may change its mind.
type checked struct {
	r      io.Reader
	hasher *migrate.Hasher
	row    ledger.Message
	left   int64 // octets
}

func (c *checked) Read(p []byte) (int, error) {
	n, err := c.r.Read(p)
	_, _ = c.hasher.Write(p[:n]) // never fails
	if c.left -= int64(n); c.left <= 0 || err == io.EOF {
		if differs := compare(c.hasher.Identity(), c.row); differs != nil {
			return n, damage(c.row, differs)
		}
	}
	return n, err
}

// errChanged is the cause of errors about octets that are not those that came.
var errChanged = errors.New("the octets are not those that came")

func compare(have migrate.Identity, row ledger.Message) error {
	switch want := row.Identity; {
	case have.Size < want.Size:
		return fmt.Errorf("%w: %d of %d are there", errChanged, have.Size, want.Size)
	case have.Full != want.Full:
		return fmt.Errorf("%w: SHA-256 differs", errChanged)
	}
	return nil
}

const damageHint = "fetch it again from where it came, if it is still there; verify tells whether others are concerned"

// damage says of which message err tells.
func damage(row ledger.Message, err error) error {
	if row.MessageID != "" {
		err = fmt.Errorf("%s: %w", row.MessageID, err)
	}
	return &migrate.Error{Kind: migrate.Damaged, Mailbox: row.Mailbox, Key: keyOf(row.ID), Err: err, Hint: damageHint}
}

// Close implements migrate.Source.
func (s *source) Close() error { return nil }
