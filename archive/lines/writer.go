// Package lines turns a message's wire form, whose lines end in CRLF, into the form it has on disk, whose lines end in
// LF, and back. Nothing is lost: a message that has a CR or an LF that is not part of a CRLF is stored as it came. The
// choice is made in one pass and constant memory, by writing the LF form until something speaks against it.
package lines

import (
	"bytes"
	"io"
)

// chunk is how much is looked at, and held in memory, at once.
const chunk = 64 << 10

// A Writer takes the wire form of one message and writes its form on disk. The zero Writer is of no use; call Reset.
type Writer struct {
	out     io.Writer
	widen   func() error
	raw     bool
	held    bool // a CR was the last octet so far, and what follows decides
	wire    int64
	lfs     int64
	last    byte
	scratch []byte
}

// Reset makes the Writer ready for a message. Octets go to out. When the LF form turns out to be lossy, widen is
// called once: it must make CRLF of every LF that was written so far; what follows is written as it came.
func (w *Writer) Reset(out io.Writer, widen func() error) {
	if w.scratch == nil {
		w.scratch = make([]byte, chunk)
	}
	*w = Writer{out: out, widen: widen, scratch: w.scratch}
}

// Write takes the next octets of the wire form. Its errors are those of out and widen.
func (w *Writer) Write(p []byte) (int, error) {
	for rest := p; len(rest) > 0; {
		piece := rest[:min(len(rest), chunk)]
		rest = rest[len(piece):]
		if err := w.take(piece); err != nil {
			return 0, err
		}
		w.wire += int64(len(piece))
		w.last = piece[len(piece)-1]
	}
	return len(p), nil
}

func (w *Writer) take(p []byte) error {
	if w.raw {
		return w.put(p)
	}
	if w.held {
		if p[0] != '\n' {
			return w.asItCame(p)
		}
		// The LF form of CR, LF across two pieces is this piece's LF; count it and go on behind it.
		w.held = false
		w.lfs++
		if err := w.put(p[:1]); err != nil || len(p) == 1 {
			return err
		}
		p = p[1:]
	}
	whole := p
	held := p[len(p)-1] == '\r'
	if held {
		p = p[:len(p)-1]
	}
	short, ok := shorten(w.scratch[:0], p)
	if !ok {
		return w.asItCame(whole)
	}
	w.held = held
	w.lfs += int64(len(p) - len(short))
	return w.put(short)
}

// shorten appends the LF form of p to dst, or tells that p has a CR or an LF of its own.
func shorten(dst, p []byte) ([]byte, bool) {
	if bytes.Count(p, []byte{'\r'}) != bytes.Count(p, []byte{'\n'}) {
		return nil, false
	}
	for {
		i := bytes.IndexByte(p, '\n')
		switch {
		case i < 0:
			return append(dst, p...), true
		case i == 0 || p[i-1] != '\r':
			return nil, false
		}
		dst = append(append(dst, p[:i-1]...), '\n')
		p = p[i+1:]
	}
}

// asItCame gives up on the LF form: what was written gets its CRs back, and p, before which a CR may be held, follows.
func (w *Writer) asItCame(p []byte) error {
	w.raw = true
	if err := w.widen(); err != nil {
		return err
	}
	if w.held {
		w.held = false
		if err := w.put([]byte{'\r'}); err != nil {
			return err
		}
	}
	return w.put(p)
}

func (w *Writer) put(p []byte) error {
	if len(p) == 0 {
		return nil
	}
	_, err := w.out.Write(p)
	return err
}

// Close ends the message: a CR that was its very last octet is written now. It does not close what lies below.
func (w *Writer) Close() error {
	if w.held {
		return w.asItCame(nil)
	}
	return nil
}

// Raw tells, after Close, whether the message is stored as it came.
func (w *Writer) Raw() bool { return w.raw }

// Wire gives the octets of the wire form so far.
func (w *Writer) Wire() int64 { return w.wire }

// Disk gives, after Close, the octets of the form on disk.
func (w *Writer) Disk() int64 {
	if w.raw {
		return w.wire
	}
	return w.wire - w.lfs
}

// Open tells whether the message does not end in LF; the empty message does not.
func (w *Writer) Open() bool { return w.last != '\n' }
