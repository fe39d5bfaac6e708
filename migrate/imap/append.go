package imap

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"

	"postcask/migrate"
)

const (
	multiOctets  = 1 << 20 // of the messages of one MULTIAPPEND, after which no more are added: twice that is held in memory
	multiMembers = 100     // of it
	singleOctets = 1 << 20 // of messages that are sent together where each is a command of its own
	fullCrate    = multiOctets + smallBody
)

// A batch is what was appended since the last Commit.
type batch struct {
	stored []migrate.Stored
	path   migrate.Path // of all that is on the way
	before uint32       // UIDNEXT of the mailbox before the first of it was sent, 0 where not known
	open   *crate       // being collected
	flying []*crate     // sent, and kept until they are landed
	ear    *ear         // there while something is flying
	spare  [][]byte     // for crates to come
	writer *bufio.Writer
}

// A crate is messages that are sent together, with the octets of the small ones: they may have to be sent again.
type crate struct {
	uploads []*upload
	parcels []*parcel
	octets  []byte
}

// An upload is one message on its way to the server.
type upload struct {
	place    int    // in batch.stored
	name     string // of the mailbox, quoted
	flags    []string
	dropped  []string
	date     string // quoted, or empty
	size     int64
	from, to int       // of its octets in the crate, or
	octets   []byte    // those, once the crate is full, or
	stream   io.Reader // where they come from
	nul      bool      // a NUL is in it
	alone    bool      // not in one command with others
	again    bool      // it was sent before
	missing  bool      // the server wants the mailbox to be made
	touched  bool      // some of the stream was sent
	free     bool      // goes without the server's consent
	head     string    // what stands before the octets
}

// abandon gives up what is on the way. The connection is closed.
func (b *batch) abandon() {
	if b.ear != nil {
		b.ear.finish()
	}
	*b = batch{}
}

// Append takes a message for mbox. Small ones are collected and sent in groups, by MULTIAPPEND (RFC 3502) where the
// server has it, pipelined where it has LITERAL+ (RFC 7888); the server works on one group while the next is collected. A
// large one is streamed at once. Internal date, with its zone, and flags go with the message; what the mailbox cannot
// keep is told in Stored.Dropped. A body that ends early costs the session if the server has been promised its octets.
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
	if u.stream != nil {
		if err = s.stream(ctx, u); err != nil {
			b.stored = b.stored[:u.place]
			s.conn.Fail(err) // what is known of the messages before it is lost
		}
		return err
	}
	c := b.open
	c.uploads = append(c.uploads, u)
	enough := singleOctets
	if s.has("MULTIAPPEND") {
		enough = multiOctets
	}
	if len(c.octets) >= enough || len(c.uploads) >= multiMembers {
		if err = s.launch(ctx); err != nil {
			s.conn.Fail(err)
		}
	}
	return err
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

// stream sends a large message at once, behind those that were collected before it.
func (s *Session) stream(ctx context.Context, u *upload) error {
	if err := s.launch(ctx); err != nil {
		return err
	}
	s.batch.open = &crate{uploads: []*upload{u}}
	if err := s.launch(ctx); err != nil {
		return err
	}
	if u.touched {
		return nil
	}
	if err := s.land(ctx); err != nil { // refused before it was sent: it may be sent again while it can be read
		return err
	}
	if u.touched {
		return nil
	}
	_, err := io.Copy(io.Discard, u.stream) // see refuse
	return err
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

// take reads a small body into the open crate, and spools a larger one whose length is not known. The held body has to be
// dropped after use.
func (s *Session) take(u *upload, body migrate.Body) (*held, error) {
	if body.Size > smallBody {
		u.size, u.stream, u.alone = body.Size, &exact{body.Reader, body.Size}, true
		return nil, nil
	}
	b := &s.batch
	if b.open == nil {
		b.open = &crate{octets: b.spareOctets()}
	}
	c := b.open
	u.from = len(c.octets)
	limit := int64(smallBody)
	if body.Size >= 0 {
		limit = body.Size
	}
	err := c.read(io.LimitReader(body.Reader, limit+1), int(max(body.Size, 0)))
	taken := c.octets[u.from:]
	u.to, u.size, u.nul = len(c.octets), int64(len(taken)), bytes.IndexByte(taken, 0) >= 0
	switch {
	case err != nil:
		err = fmt.Errorf("read the message: %w", err)
	case body.Size >= 0 && u.size < body.Size:
		err = fmt.Errorf("read the message: %w", io.ErrUnexpectedEOF)
	case body.Size >= 0 && u.size > body.Size:
		err = errTooMuch
	case u.size <= limit:
		return nil, nil
	}
	c.octets = c.octets[:u.from]
	if err != nil {
		return nil, err
	}
	h, err := spool(taken, body.Reader, -1)
	if err != nil {
		return nil, fmt.Errorf("read the message: %w", err)
	}
	u.size, u.stream, u.alone = h.size, h.file, true
	return h, nil
}

// read appends all of r, of which some size octets are expected.
func (c *crate) read(r io.Reader, size int) error {
	c.makeRoom(size + 1)
	for {
		n, err := r.Read(c.octets[len(c.octets):cap(c.octets)])
		c.octets = c.octets[:len(c.octets)+n]
		switch {
		case err == io.EOF:
			return nil
		case err != nil:
			return err
		case len(c.octets) == cap(c.octets):
			c.makeRoom(bytes.MinRead)
		}
	}
}

// makeRoom makes room for n octets. A crate that gets large is made as large as it may get, so that little memory is left
// behind on the way.
func (c *crate) makeRoom(n int) {
	need := len(c.octets) + n
	if need <= cap(c.octets) {
		return
	}
	room := 16 << 10
	for room < need {
		room *= 4
	}
	if room > fullCrate/4 {
		room = max(need, fullCrate+bytes.MinRead)
	}
	c.octets = append(make([]byte, 0, room), c.octets...)
}

// spareOctets gives memory of a crate that was landed.
func (b *batch) spareOctets() []byte {
	if n := len(b.spare); n > 0 {
		octets := b.spare[n-1]
		b.spare = b.spare[:n-1]
		return octets[:0]
	}
	return nil
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
