// Package memory is a mail store and a ledger in memory, for tests: what the engine's tests move mail between.
package memory

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"iter"
	"slices"
	"sync"

	"postcask/migrate"
)

// A Store is an account in memory. Make it by New; it is safe for use by several goroutines.
type Store struct {
	// Step, if set, is called before each operation of any end with its name ("list", "messages", "fetch", "body",
	// "headers", "create", "next", "append", "commit", "commit-done", "flags") and may give an error in its place. An end that gave
	// one is of no more use. An error at "commit-done" loses the answer: what was appended is there all the same.
	Step func(operation string) error
	// Refuse, if set, tells why a message is refused, or nil.
	Refuse func(m migrate.Message, octets []byte) error
	// Rewrite, if set, gives what the store makes of the octets that are appended to it, as some servers do.
	Rewrite func(octets []byte) []byte
	// Nameless makes Commit keep the keys to itself, as an IMAP server without UIDPLUS does.
	Nameless bool
	// Sizeless makes bodies of unknown size, as POP3 gives them.
	Sizeless bool
	// MarkOnly makes Remove flag messages as deleted, as an IMAP server without UIDPLUS does.
	MarkOnly bool

	mu        sync.Mutex
	mailboxes map[migrate.Path]*mailbox
}

type mailbox struct {
	migrate.Mailbox
	validity, next uint32
	messages       []Stored
}

// Stored is a message in a Store.
type Stored struct {
	migrate.Message
	Octets []byte
}

// New gives a store that has nothing but an empty INBOX.
func New() *Store {
	s := &Store{mailboxes: map[migrate.Path]*mailbox{}}
	s.Make(migrate.Mailbox{Path: migrate.Inbox})
	return s
}

// Make makes a mailbox, unless it is there.
func (s *Store) Make(mbox migrate.Mailbox) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if have := s.mailboxes[mbox.Path]; have != nil {
		have.Subscribed = have.Subscribed || mbox.Subscribed
		have.NoSelect = have.NoSelect && mbox.NoSelect
		return
	}
	s.mailboxes[mbox.Path] = &mailbox{Mailbox: mbox, validity: uint32(1000 + len(s.mailboxes)), next: 1}
}

// Put puts a message into a mailbox, which it makes if need be, and gives its key.
func (s *Store) Put(path migrate.Path, m migrate.Message, octets []byte) migrate.Key {
	s.Make(migrate.Mailbox{Path: path})
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.put(s.mailboxes[path], m, octets)
}

func (s *Store) put(mbox *mailbox, m migrate.Message, octets []byte) migrate.Key {
	m.Key = migrate.Key{Validity: mbox.validity, UID: mbox.next}
	m.Size, m.Identity = int64(len(octets)), migrate.Identity{}
	mbox.next++
	mbox.messages = append(mbox.messages, Stored{m, slices.Clone(octets)})
	return m.Key
}

// Remove takes messages out of a mailbox.
func (s *Store) Remove(path migrate.Path, keys ...migrate.Key) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if mbox := s.mailboxes[path]; mbox != nil {
		mbox.messages = slices.DeleteFunc(mbox.messages, func(m Stored) bool { return slices.Contains(keys, m.Key) })
	}
}

// SetFlags sets the flags of a message, as another client would.
func (s *Store) SetFlags(path migrate.Path, key migrate.Key, flags migrate.Flags) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for i := range s.mailboxes[path].messages {
		if s.mailboxes[path].messages[i].Key == key {
			s.mailboxes[path].messages[i].Flags = flags
		}
	}
}

// Renumber gives a mailbox another UIDVALIDITY and its messages other UIDs.
func (s *Store) Renumber(path migrate.Path) {
	s.mu.Lock()
	defer s.mu.Unlock()
	mbox := s.mailboxes[path]
	mbox.validity += 100
	for i := range mbox.messages {
		mbox.messages[i].Key = migrate.Key{Validity: mbox.validity, UID: mbox.next + uint32(i)}
	}
	mbox.next += uint32(len(mbox.messages))
}

// Revalidate gives a mailbox another UIDVALIDITY, which may be 0, and leaves the UIDs as they are.
func (s *Store) Revalidate(path migrate.Path, validity uint32) {
	s.mu.Lock()
	defer s.mu.Unlock()
	mbox := s.mailboxes[path]
	mbox.validity = validity
	for i := range mbox.messages {
		mbox.messages[i].Key.Validity = validity
	}
}

// Replace puts another message under a key that was given before, as no server should.
func (s *Store) Replace(path migrate.Path, key migrate.Key, m migrate.Message, octets []byte) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for i, have := range s.mailboxes[path].messages {
		if have.Key == key {
			m.Key, m.Size = key, int64(len(octets))
			s.mailboxes[path].messages[i] = Stored{m, slices.Clone(octets)}
		}
	}
}

// CountFrom makes a mailbox give UIDs from first on, its messages too, under the UIDVALIDITY it has, as no server should.
func (s *Store) CountFrom(path migrate.Path, first uint32) {
	s.mu.Lock()
	defer s.mu.Unlock()
	mbox := s.mailboxes[path]
	mbox.next = first
	for i := range mbox.messages {
		mbox.messages[i].Key.UID = mbox.next
		mbox.next++
	}
}

// Mailboxes gives the mailboxes, sorted.
func (s *Store) Mailboxes() []migrate.Mailbox {
	s.mu.Lock()
	defer s.mu.Unlock()
	var list []migrate.Mailbox
	for _, mbox := range s.mailboxes {
		list = append(list, mbox.Mailbox)
	}
	slices.SortFunc(list, func(a, b migrate.Mailbox) int { return bytes.Compare([]byte(a.Path), []byte(b.Path)) })
	return list
}

// Messages gives what a mailbox holds.
func (s *Store) Messages(path migrate.Path) []Stored {
	s.mu.Lock()
	defer s.mu.Unlock()
	if mbox := s.mailboxes[path]; mbox != nil {
		return slices.Clone(mbox.messages)
	}
	return nil
}

// Open gives one more connection to the store, a Source and a Sink.
func (s *Store) Open(context.Context) (*Session, error) { return &Session{store: s}, nil }

// A Session is a connection to a Store: a migrate.Source, Sink, Statuser and Flagger.
type Session struct {
	store   *Store
	err     error // the first; the session is of no more use then
	pending []pending
}

type pending struct {
	path   migrate.Path
	m      migrate.Message
	octets []byte
}

func (s *Session) step(ctx context.Context, operation string) error {
	if s.err == nil {
		s.err = ctx.Err()
	}
	if s.err == nil && s.store.Step != nil {
		s.err = s.store.Step(operation)
	}
	return s.err
}

// Mailboxes implements migrate.Source.
func (s *Session) Mailboxes(ctx context.Context) ([]migrate.Mailbox, error) {
	if err := s.step(ctx, "list"); err != nil {
		return nil, err
	}
	return s.store.Mailboxes(), nil
}

// Messages implements migrate.Source.
func (s *Session) Messages(ctx context.Context, path migrate.Path) iter.Seq2[migrate.Message, error] {
	return func(yield func(migrate.Message, error) bool) {
		if err := s.step(ctx, "messages"); err != nil {
			yield(migrate.Message{}, err)
			return
		}
		for _, m := range s.store.Messages(path) {
			if !yield(m.Message, nil) {
				return
			}
		}
	}
}

// Fetch implements migrate.Source.
func (s *Session) Fetch(ctx context.Context, path migrate.Path, messages []migrate.Message) iter.Seq2[migrate.Fetched, error] {
	return each(ctx, s, "fetch", path, messages, func(m migrate.Message, octets []byte) migrate.Fetched {
		size := int64(len(octets))
		if s.store.Sizeless {
			size = -1
		}
		return migrate.Fetched{Message: m, Body: migrate.Body{Reader: io.MultiReader(bytes.NewReader(octets), &tail{ctx, s}), Size: size}}
	})
}

// each takes a step and yields what tell makes of each of these messages that the mailbox has, until the session breaks.
func each[T any](ctx context.Context, s *Session, step string, path migrate.Path, messages []migrate.Message,
	tell func(m migrate.Message, octets []byte) T,
) iter.Seq2[T, error] {
	return func(yield func(T, error) bool) {
		var none T
		if err := s.step(ctx, step); err != nil {
			yield(none, err)
			return
		}
		stored := map[migrate.Key]Stored{}
		for _, have := range s.store.Messages(path) {
			stored[have.Key] = have
		}
		for _, m := range messages {
			have, ok := stored[m.Key]
			if !ok {
				continue
			}
			if !yield(tell(m, have.Octets), nil) {
				return
			}
			if s.err != nil {
				yield(none, s.err)
				return
			}
		}
	}
}

// tail is where a body can be cut off.
type tail struct {
	ctx     context.Context
	session *Session
}

func (t *tail) Read([]byte) (int, error) {
	if err := t.session.step(t.ctx, "body"); err != nil {
		return 0, err
	}
	return 0, io.EOF
}

// Headers implements migrate.HeaderReader.
func (s *Session) Headers(ctx context.Context, path migrate.Path, messages []migrate.Message) iter.Seq2[migrate.Header, error] {
	return each(ctx, s, "headers", path, messages, func(m migrate.Message, octets []byte) migrate.Header {
		if end := bytes.Index(octets, []byte("\r\n\r\n")); end >= 0 {
			octets = octets[:end+4]
		}
		return migrate.Header{Message: m, Octets: octets}
	})
}

// Status implements migrate.Statuser. The highest MODSEQ is never told: the store does not keep one.
func (s *Session) Status(ctx context.Context, path migrate.Path) (migrate.Status, error) {
	if err := s.step(ctx, "status"); err != nil {
		return migrate.Status{}, err
	}
	s.store.mu.Lock()
	defer s.store.mu.Unlock()
	mbox := s.store.mailboxes[path]
	if mbox == nil {
		return migrate.Status{}, nil
	}
	return migrate.Status{Messages: int64(len(mbox.messages)), UIDValidity: mbox.validity, UIDNext: mbox.next}, nil
}

// Create implements migrate.Sink.
func (s *Session) Create(ctx context.Context, mbox migrate.Mailbox) error {
	if err := s.step(ctx, "create"); err != nil {
		return err
	}
	s.store.Make(mbox)
	return nil
}

// Next implements migrate.Numberer.
func (s *Session) Next(ctx context.Context, path migrate.Path) (migrate.Key, error) {
	if err := s.step(ctx, "next"); err != nil {
		return migrate.Key{}, err
	}
	s.store.mu.Lock()
	defer s.store.mu.Unlock()
	if mbox := s.store.mailboxes[path]; mbox != nil {
		return migrate.Key{Validity: mbox.validity, UID: mbox.next}, nil
	}
	return migrate.Key{}, nil
}

// Append implements migrate.Sink.
func (s *Session) Append(ctx context.Context, path migrate.Path, m migrate.Message, body migrate.Body) error {
	if err := s.step(ctx, "append"); err != nil {
		return err
	}
	octets, err := io.ReadAll(body)
	if err == nil && body.Size >= 0 && body.Size != int64(len(octets)) {
		err = fmt.Errorf("%d octets came where %d were announced", len(octets), body.Size)
	}
	if err != nil {
		return err
	}
	s.pending = append(s.pending, pending{path, m, octets})
	return nil
}

// Commit implements migrate.Sink.
func (s *Session) Commit(ctx context.Context) ([]migrate.Stored, error) {
	if err := s.step(ctx, "commit"); err != nil {
		return nil, err
	}
	stored := s.store.commit(s.pending)
	s.pending = nil
	return stored, s.step(ctx, "commit-done")
}

func (s *Store) commit(appended []pending) []migrate.Stored {
	s.mu.Lock()
	defer s.mu.Unlock() // also when Refuse panics
	stored := make([]migrate.Stored, len(appended))
	for i, p := range appended {
		mbox := s.mailboxes[p.path]
		switch {
		case mbox == nil:
			stored[i].Err = fmt.Errorf("no mailbox %q", p.path)
			continue
		case s.Refuse != nil:
			if stored[i].Err = s.Refuse(p.m, p.octets); stored[i].Err != nil {
				continue
			}
		}
		octets := p.octets
		if s.Rewrite != nil {
			octets = s.Rewrite(octets)
		}
		key := s.put(mbox, p.m, octets)
		if !s.Nameless {
			stored[i].Key = key
		}
	}
	return stored
}

// SetFlags implements migrate.Flagger.
func (s *Session) SetFlags(ctx context.Context, path migrate.Path, changes []migrate.FlagChange) error {
	if err := s.step(ctx, "flags"); err != nil {
		return err
	}
	for _, change := range changes {
		s.store.SetFlags(path, change.Key, change.Flags)
	}
	return nil
}

// Close implements migrate.Source and migrate.Sink.
func (s *Session) Close() error { return nil }
