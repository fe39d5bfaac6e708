package mbox

import (
	"bytes"
	"io"
)

var (
	from       = []byte("From ")
	fromQuoted = []byte(">From ")
)

// A Quoter writes octets with mboxrd's quoting: a line that begins with any number of ">" and then "From " gains one
// ">". Lines end in LF, with or without a CR before it. The zero Quoter is of no use; call Reset.
type Quoter struct {
	out   io.Writer
	begun bool   // the line has something other than ">"
	part  int    // how many octets of "From " are held back at its end
	last  byte   // of what was written to the Quoter
	buf   []byte // scratch
}

// Reset makes the Quoter ready for a message whose quoted octets go to out.
func (q *Quoter) Reset(out io.Writer) { *q = Quoter{out: out, buf: q.buf[:0]} }

// Write takes the next octets. Up to four of them may be held back until it is clear what they begin.
func (q *Quoter) Write(p []byte) (int, error) {
	if len(p) == 0 {
		return 0, nil
	}
	q.last = p[len(p)-1]
	text := p
	if q.part > 0 {
		text = append(append(q.buf[:0], from[:q.part]...), p...)
		q.buf, q.part = text, 0
	}
	for {
		hit, begun := find(text, q.begun)
		if hit < 0 {
			q.begun = begun
			break
		}
		if err := put(q.out, text[:hit], fromQuoted); err != nil {
			return 0, err
		}
		text, q.begun = text[hit+len(from):], true
	}
	if !q.begun || bytes.IndexByte(text, '\n') >= 0 {
		q.part = partial(text)
	}
	if err := put(q.out, text[:len(text)-q.part]); err != nil {
		return 0, err
	}
	return len(p), nil
}

// Close writes what is held back. It does not close what lies below.
func (q *Quoter) Close() error {
	part := q.part
	q.part = 0
	return put(q.out, from[:part])
}

// find gives the place of the first "From " in text that has only ">" before it on its line, or -1 and whether the
// line that text ends in has begun. begun tells it of the line that text starts in.
func find(text []byte, begun bool) (int, bool) {
	for at := 0; ; {
		i := bytes.Index(text[at:], from)
		if i < 0 {
			break
		}
		i += at
		j := i
		for j > 0 && text[j-1] == '>' {
			j--
		}
		if j == 0 && !begun || j > 0 && text[j-1] == '\n' {
			return i, false
		}
		at = i + len(from)
	}
	line := text
	if i := bytes.LastIndexByte(text, '\n'); i >= 0 {
		line, begun = text[i+1:], false
	}
	line = line[:len(line)-partial(line)] // what is held back is judged later
	return -1, begun || len(bytes.TrimLeft(line, ">")) > 0
}

// partial tells how many octets at the end of text begin a "From " that is cut off there, with only ">" before it on
// its line as far as text shows.
func partial(text []byte) int {
	for n := min(len(from)-1, len(text)); n > 0; n-- {
		if !bytes.HasSuffix(text, from[:n]) {
			continue
		}
		before := bytes.TrimRight(text[:len(text)-n], ">")
		if len(before) == 0 || before[len(before)-1] == '\n' {
			return n
		}
	}
	return 0
}

func put(out io.Writer, pieces ...[]byte) error {
	for _, p := range pieces {
		if len(p) == 0 {
			continue
		}
		if _, err := out.Write(p); err != nil {
			return err
		}
	}
	return nil
}
