package archive

import (
	"bytes"
	"context"
	"errors"
	"io"
	"strings"

	"postcask/archive/lines"
	"postcask/migrate"
)

// headBound is how far into a message its Message-ID is looked for.
const headBound = 64 << 10

// An intake takes in one body after another: it learns identity, Message-ID and line ends on the way to the disk.
type intake struct {
	hasher   *migrate.Hasher
	lines    lines.Writer
	identity migrate.Identity
	head     []byte // as far as the Message-ID is looked for
	buf      []byte
}

func newIntake() *intake {
	return &intake{hasher: migrate.NewHasher(), buf: make([]byte, bufferSize), head: make([]byte, 0, 4<<10)}
}

// A readError is an error of the body's reader, not of the disk.
type readError struct{ err error }

func (e *readError) Error() string { return "read the message: " + e.err.Error() }
func (e *readError) Unwrap() error { return e.err }

// copy reads body to its end and writes its form on disk to out; widen is as in lines.Writer. An error that the body
// is to blame for is a *readError.
func (in *intake) copy(ctx context.Context, out io.Writer, widen func() error, body migrate.Body) error {
	in.hasher.Reset()
	in.lines.Reset(out, widen)
	in.head = in.head[:0]
	behind := false // the header
	hashed, ok := body.Reader.(*migrate.HashedReader)
	for body.Reader != nil {
		if err := ctx.Err(); err != nil {
			return &readError{err}
		}
		n, err := body.Read(in.buf)
		if n > 0 {
			piece := in.buf[:n]
			if !ok {
				_, _ = in.hasher.Write(piece) // never fails
			}
			if !behind {
				behind = in.keepHead(piece)
			}
			if _, err := in.lines.Write(piece); err != nil {
				return err
			}
		}
		if err == io.EOF {
			break
		}
		if err != nil {
			return &readError{err}
		}
	}
	switch wire := in.lines.Wire(); {
	case body.Size >= 0 && wire < body.Size:
		return &readError{io.ErrUnexpectedEOF}
	case body.Size >= 0 && wire > body.Size:
		return &readError{errors.New("it is longer than announced")}
	}
	in.identity = in.hasher.Identity()
	if ok {
		in.identity = hashed.Identity()
	}
	if in.identity.Size != in.lines.Wire() {
		return &readError{errors.New("some of it had been read before")}
	}
	return in.lines.Close()
}

// keepHead keeps piece as far as it belongs to the header, and tells whether that has ended.
func (in *intake) keepHead(piece []byte) (ended bool) {
	seen := len(in.head)
	if seen == 0 { // mostly all of it is here
		if end := headerEnd(piece, 0); end >= 0 && end <= headBound {
			in.head = append(in.head, piece[:end]...)
			return true
		}
	}
	in.head = append(in.head, piece[:min(len(piece), headBound-seen)]...)
	return len(in.head) == headBound || headerEnd(in.head, max(0, seen-3)) >= 0
}

// messageID gives the first Message-ID of a header, tolerant of what real mail has: any case, folded lines, no angle
// brackets, more behind it. It is empty where there is none (RFC 5322, section 3.6.4).
func messageID(head []byte) string {
	var value []byte
	found := false
	for line := range bytes.Lines(head) {
		bare := bytes.TrimRight(line, "\r\n")
		folded := len(bare) > 0 && (bare[0] == ' ' || bare[0] == '\t')
		switch {
		case len(bare) == 0, found && !folded:
			return trimID(value)
		case found:
			value = append(append(value, ' '), bare...)
		case !folded:
			name, rest, ok := bytes.Cut(bare, []byte{':'})
			if ok && strings.EqualFold(string(bytes.TrimRight(name, " \t")), "Message-ID") {
				value, found = append(value, rest...), true
			}
		}
	}
	return trimID(value)
}

// trimID cuts an identifier out of the text of a Message-ID field and bounds its length.
func trimID(value []byte) string {
	id := bytes.TrimSpace(value)
	if i := bytes.IndexByte(id, '<'); i >= 0 {
		if n := bytes.IndexByte(id[i:], '>'); n >= 0 {
			id = id[i : i+n+1]
		}
	} else if i := bytes.IndexAny(id, " \t"); i >= 0 {
		id = id[:i]
	}
	return strings.ToValidUTF8(string(id[:min(len(id), 998)]), "\uFFFD")
}
