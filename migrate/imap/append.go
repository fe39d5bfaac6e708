package imap

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"slices"

	"postcask/migrate"
)

// A batch is what was appended since the last Commit.
type batch struct {
	stored  []migrate.Stored
	path    migrate.Path // of all that is on the way
	before  uint32       // UIDNEXT of the mailbox before the first of it was sent, 0 where not known
	parcels []*parcel    // sent, and without a verdict that was noted
	open    *parcel      // the last of them while messages may join it
	ear     *ear         // there while something is on the way
	writer  *bufio.Writer
	small   []byte // holds a small body
	remade  bool   // the mailbox, because of a verdict of those that are being judged
}

// An upload is one message on its way to the server.
type upload struct {
	place   int    // in batch.stored
	name    string // of the mailbox, quoted
	flags   []string
	dropped []string
	date    string // quoted, or empty
	size    int64
	body    io.Reader
	nul     bool // a NUL is in it
}

// abandon gives up what is on the way. The connection is closed.
func (b *batch) abandon() {
	if b.ear != nil {
		b.ear.finish()
	}
	*b = batch{}
}

// Append sends a message to mbox, streamed, and does not wait for the server's verdict: in one command with others by
// MULTIAPPEND (RFC 3502) where the server has it, pipelined where it has LITERAL+ (RFC 7888). Internal date, with its zone,
// and flags go with the message; what the mailbox cannot keep is told in Stored.Dropped. A message whose command was
// refused for another's sake gets migrate.ErrAgain in Commit. A body that ends early costs the session if the server has been
// promised its octets.
func (s *Session) Append(ctx context.Context, mbox migrate.Path, m migrate.Message, body migrate.Body) error {
	if s.readOnly {
		return at(mbox, errReadOnly)
	}
	if err := s.usable(ctx); err != nil {
		return err
	}
	b := &s.batch
	if b.path != mbox {
		if err := s.land(ctx); err != nil {
			return err
		}
		b.path = mbox
	}
	u, err := s.address(ctx, mbox, m)
	if err != nil && !s.alive(err) {
		return err
	}
	if err != nil {
		return s.refuse(err, body.Reader)
	}
	held, err := s.take(u, body)
	defer held.drop()
	if err != nil {
		return err
	}
	u.place = len(b.stored)
	b.stored = append(b.stored, migrate.Stored{Dropped: u.dropped})
	if err := s.ship(ctx, u); err != nil {
		// Whether the connection failed or the source did: what the server was told to expect will not come, and what is
		// known of the messages before it is lost.
		b.stored = b.stored[:u.place]
		s.conn.Fail(err)
		return err
	}
	return nil
}

// refuse notes that a message cannot be sent. Its body is read all the same: whoever listens in on it, to tell which
// message it is, gets to hear it all. If that fails the message is forgotten.
func (s *Session) refuse(why error, body io.Reader) error {
	if _, err := io.Copy(io.Discard, body); err != nil {
		return fmt.Errorf("read the message: %w", err)
	}
	s.batch.stored = append(s.batch.stored, migrate.Stored{Err: why})
	return nil
}

// Commit sends what is waiting and tells what became of each message since the last Commit.
func (s *Session) Commit(ctx context.Context) ([]migrate.Stored, error) {
	if err := s.conn.Err(); err != nil {
		return nil, err
	}
	if err := s.land(ctx); err != nil {
		return nil, err
	}
	stored := s.batch.stored
	s.batch.stored = nil
	return stored, nil
}

// take reads a small body, so that a source that fails costs that message alone, and spools a larger one whose length is
// not known. The held body has to be dropped after use.
func (s *Session) take(u *upload, body migrate.Body) (*held, error) {
	if body.Size > smallBody {
		u.size, u.body = body.Size, &exact{body.Reader, body.Size}
		return nil, nil
	}
	limit := int(body.Size)
	if limit < 0 {
		limit = smallBody
	}
	b := &s.batch
	b.small = slices.Grow(b.small[:0], limit+1)
	n, err := io.ReadFull(body.Reader, b.small[:limit+1])
	taken := b.small[:n]
	switch {
	case err == nil && body.Size >= 0:
		return nil, errTooMuch
	case err == nil:
		h, err := spool(taken, body.Reader, -1)
		if err != nil {
			return nil, fmt.Errorf("read the message: %w", err)
		}
		u.size, u.body = h.size, h.file
		return h, nil
	case err != io.EOF && err != io.ErrUnexpectedEOF:
		return nil, fmt.Errorf("read the message: %w", err)
	case int64(n) < body.Size:
		return nil, fmt.Errorf("read the message: %w", io.ErrUnexpectedEOF)
	}
	u.size, u.body, u.nul = int64(n), bytes.NewReader(taken), bytes.IndexByte(taken, 0) >= 0
	return nil, nil
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
func (s *Session) address(ctx context.Context, path migrate.Path, m migrate.Message) (*upload, error) {
	raw, err := s.rawOf(ctx, path)
	if err != nil {
		return nil, err
	}
	name, err := sayable(raw)
	if err != nil {
		return nil, err
	}
	if s.shut != path {
		if err := s.enter(ctx, path); err != nil {
			if err = s.makeMissing(ctx, path, raw, err); err != nil {
				return nil, err
			}
		}
	}
	u := &upload{name: name}
	var v *view // none where the mailbox did not open: then all flags are tried
	if s.view != nil && s.view.path == path {
		v = s.view
	}
	u.flags, u.dropped = v.keepable(m.Flags)
	if date, ok := formatDate(m.InternalDate); ok {
		u.date = `"` + date + `"`
	}
	return u, nil
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
