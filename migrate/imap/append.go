package imap

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"

	"postcask/migrate"
)

const (
	batchOctets   = 4 << 20 // of small bodies that wait for their group
	batchMessages = 250
)

// A batch is what was appended since the last Commit.
type batch struct {
	stored  []migrate.Stored
	waiting []*upload // not sent yet, all for one mailbox, at the end of stored
	octets  int64
}

// An upload is one message on its way to the server.
type upload struct {
	place   int // in batch.stored
	path    migrate.Path
	name    string // of the mailbox, quoted
	flags   []string
	date    string // quoted, or empty
	size    int64
	octets  []byte    // the body, or
	stream  io.Reader // where it comes from
	nul     bool      // a NUL is in it
	alone   bool      // not in one command with others
	again   bool      // it was sent before
	missing bool      // the server wants the mailbox to be made
	touched bool      // some of the stream was sent
	free    bool      // goes without the server's consent
	head    string    // what stands before the octets
}

func (b *batch) drop() { *b = batch{} }

// Append takes a message for mbox. Small ones are collected and sent in groups, by MULTIAPPEND (RFC 3502) where the
// server has it, pipelined where it has LITERAL+ (RFC 7888); a large one is streamed at once. Internal date, with its
// zone, and flags go with the message; what the mailbox cannot keep is told in Stored.Dropped. A body that ends early
// costs the session if the server has been promised its octets already.
func (s *Session) Append(ctx context.Context, mbox migrate.Path, m migrate.Message, body migrate.Body) error {
	if s.readOnly {
		return at(mbox, errReadOnly)
	}
	if err := s.ready(ctx); err != nil {
		return err
	}
	u, held, err := take(body)
	defer held.drop()
	if err != nil {
		return err
	}
	if n := len(s.batch.waiting); n > 0 && s.batch.waiting[0].path != mbox {
		if err := s.flush(ctx); err != nil {
			s.conn.Fail(err)
			return err
		}
	}
	place := len(s.batch.stored)
	s.batch.stored = append(s.batch.stored, migrate.Stored{})
	u.place, u.path = place, mbox
	if err := s.address(ctx, u, m); err != nil {
		if !s.alive(err) {
			s.batch.stored = s.batch.stored[:place]
			return err
		}
		s.batch.stored[place].Err = err
		return s.readOut(u)
	}
	if u.stream != nil {
		err := s.flush(ctx)
		if err == nil {
			s.batch.waiting = []*upload{u}
			err = s.flush(ctx)
		}
		if err != nil {
			s.batch.waiting, s.batch.stored = nil, s.batch.stored[:place]
			s.conn.Fail(err) // what is known of the messages before it is lost
			return err
		}
		return s.readOut(u)
	}
	s.batch.waiting = append(s.batch.waiting, u)
	s.batch.octets += u.size
	if s.batch.octets >= batchOctets || len(s.batch.waiting) >= batchMessages {
		if err := s.flush(ctx); err != nil {
			s.conn.Fail(err)
			return err
		}
	}
	return nil
}

// readOut reads the rest of a body that was refused before its octets were sent: whoever listens in on it, to tell
// which message it is, gets to hear it all. If that fails the message is forgotten.
func (s *Session) readOut(u *upload) error {
	if u.stream == nil || u.touched {
		return nil
	}
	if _, err := io.Copy(io.Discard, u.stream); err != nil {
		s.batch.stored = s.batch.stored[:u.place]
		return err
	}
	return nil
}

// Commit sends what is waiting and tells what became of each message since the last Commit.
func (s *Session) Commit(ctx context.Context) ([]migrate.Stored, error) {
	if err := s.conn.Err(); err != nil {
		return nil, err
	}
	if len(s.batch.waiting) > 0 {
		if err := s.ready(ctx); err != nil {
			return nil, err
		}
		if err := s.flush(ctx); err != nil {
			return nil, err
		}
	}
	stored := s.batch.stored
	s.batch.drop()
	return stored, nil
}

// take reads a small body, and spools one whose length is not known. The held body has to be dropped after use.
func take(body migrate.Body) (*upload, *held, error) {
	if body.Size > smallBody {
		return &upload{size: body.Size, stream: &exact{body.Reader, body.Size}, alone: true}, nil, nil
	}
	var small bytes.Buffer
	limit := int64(smallBody)
	if body.Size >= 0 {
		limit = body.Size
	}
	n, err := io.Copy(&small, io.LimitReader(body.Reader, limit+1))
	switch {
	case err != nil:
		return nil, nil, fmt.Errorf("read the message: %w", err)
	case body.Size >= 0 && n < body.Size:
		return nil, nil, fmt.Errorf("read the message: %w", io.ErrUnexpectedEOF)
	case body.Size >= 0 && n > body.Size:
		return nil, nil, errTooMuch
	case n <= limit:
		octets := small.Bytes()
		return &upload{size: n, octets: octets, nul: bytes.IndexByte(octets, 0) >= 0}, nil, nil
	}
	h, err := spool(small.Bytes(), body.Reader, -1)
	if err != nil {
		return nil, nil, fmt.Errorf("read the message: %w", err)
	}
	return &upload{size: h.size, stream: h.file, alone: true}, h, nil
}

var errTooMuch = errors.New("read the message: there is more of it than was said")

// exact gives just the octets that were promised; fewer are an error.
type exact struct {
	r    io.Reader
	left int64
}

func (e *exact) Read(p []byte) (int, error) {
	if e.left == 0 {
		return 0, io.EOF
	}
	n, err := e.r.Read(p[:min(int64(len(p)), e.left)])
	e.left -= int64(n)
	if err == io.EOF && e.left > 0 {
		err = io.ErrUnexpectedEOF
	}
	if err != nil && err != io.EOF {
		err = fmt.Errorf("read the message: %w", err)
	}
	return n, err
}

// address opens the destination, which on some servers makes APPEND faster and tells which keywords it can keep, and
// puts down how the message is to be stored. Not SELECTable is no hindrance: APPEND will tell.
func (s *Session) address(ctx context.Context, u *upload, m migrate.Message) error {
	raw, err := s.rawOf(ctx, u.path)
	if err != nil {
		return err
	}
	name, ok := quote(raw)
	if !ok {
		return migrate.Errorf(migrate.Failed, "a mailbox name with a line break or NUL in it cannot be used: %q", raw)
	}
	if s.shut != u.path {
		if err := s.enter(ctx, u.path); err != nil {
			if err = s.makeMissing(ctx, u.path, raw, err); err != nil {
				return err
			}
		}
	}
	u.name = name
	var dropped []string
	var v *view // none where the mailbox did not open: then all flags are tried
	if s.view != nil && s.view.path == u.path {
		v = s.view
	}
	u.flags, dropped = v.keepable(m.Flags)
	s.batch.stored[u.place].Dropped = dropped
	if date, ok := formatDate(m.InternalDate); ok {
		u.date = `"` + date + `"`
	}
	return nil
}

// makeMissing makes a destination that could not be opened, if it is not there. One that is there and does not open
// is left as it is: it may take messages all the same.
func (s *Session) makeMissing(ctx context.Context, path migrate.Path, raw string, cause error) error {
	if !s.alive(cause) {
		return cause
	}
	there, err := s.exists(ctx, raw)
	if err != nil {
		return err
	}
	if !there {
		s.acct.names.forget(path)
		if err := s.Create(ctx, migrate.Mailbox{Path: path}); err != nil {
			return err
		}
		if err := s.enter(ctx, path); err == nil || !s.alive(err) {
			return err
		}
	}
	s.shut = path
	return nil
}

// flush sends what is waiting and notes the verdicts. Messages of a command that was refused as a whole are sent once
// more, each alone; where the mailbox was missing it is made first.
func (s *Session) flush(ctx context.Context) error {
	uploads := s.batch.waiting
	if len(uploads) == 0 {
		return nil
	}
	if err := s.ready(ctx); err != nil {
		return err // they go on waiting: a Commit with another context may send them yet
	}
	s.batch.waiting, s.batch.octets = nil, 0
	before := s.uidNext(uploads[0].path)
	if err := s.flight(ctx, uploads); err != nil {
		return err
	}
	var again []*upload
	made := false
	for _, u := range uploads {
		refused := s.batch.stored[u.place].Err
		if refused == nil || migrate.IsTemporary(refused) || u.touched || u.again || !(u.missing || !u.alone) {
			continue
		}
		if u.missing && !made {
			made = true
			s.acct.names.forget(u.path)
			if err := s.Create(ctx, migrate.Mailbox{Path: u.path}); err != nil && !s.alive(err) {
				return err
			}
		}
		u.again, u.alone = true, true
		again = append(again, u)
	}
	if len(again) > 0 {
		if err := s.flight(ctx, again); err != nil {
			return err
		}
	}
	return s.findKeys(ctx, uploads, before)
}
