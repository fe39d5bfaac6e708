package mbox

import (
	"bytes"
	"io"
)

// An Unquoter reads octets that a Quoter wrote and takes away the one ">" that it gave. The zero Unquoter is of no use; call Reset.
type Unquoter struct {
	r     io.Reader
	buf   []byte
	held  int // octets at the start of buf that wait for what follows them
	begun bool
	out   []byte
	rest  []byte // of out, not given yet
	err   error
}

// NewUnquoter makes an Unquoter of the quoted octets of one message in r.
func NewUnquoter(r io.Reader) *Unquoter {
	u := new(Unquoter)
	u.Reset(r)
	return u
}

// Reset makes the Unquoter begin with the quoted octets in r, and keeps its buffers.
func (u *Unquoter) Reset(r io.Reader) {
	if u.buf == nil {
		u.buf, u.out = make([]byte, 64<<10), make([]byte, 0, 64<<10)
	}
	u.r, u.held, u.begun, u.rest, u.err = r, 0, false, nil, nil
}

// Read gives the next octets as they were before they were quoted; its errors are those of the reader below.
func (u *Unquoter) Read(p []byte) (int, error) {
	if len(p) == 0 {
		return 0, nil
	}
	for len(u.rest) == 0 {
		if u.err != nil {
			return 0, u.err
		}
		u.fill()
	}
	n := copy(p, u.rest)
	u.rest = u.rest[n:]
	return n, nil
}

func (u *Unquoter) fill() {
	var n int
	n, u.err = u.r.Read(u.buf[u.held:])
	text := u.buf[:u.held+n]
	u.out = u.out[:0]
	for {
		hit, begun := find(text, u.begun)
		if hit < 0 {
			keep := u.undecided(text, begun)
			u.begun = begun
			u.out = append(u.out, text[:len(text)-keep]...)
			u.held = copy(u.buf, text[len(text)-keep:])
			break
		}
		cut := hit
		if hit > 0 && text[hit-1] == '>' {
			cut--
		}
		u.out = append(append(u.out, text[:cut]...), from...)
		text, u.begun = text[hit+len(from):], true
	}
	u.rest = u.out
}

// undecided tells how many octets at the end of text cannot be given yet: one ">" that may be the Quoter's, and a
// "From " that is cut off.
func (u *Unquoter) undecided(text []byte, begun bool) int {
	if u.err != nil || begun {
		return 0
	}
	keep := 0
	if !u.begun || bytes.IndexByte(text, '\n') >= 0 {
		keep = partial(text)
	}
	if rest := text[:len(text)-keep]; len(rest) > 0 && rest[len(rest)-1] == '>' {
		keep++
	}
	return keep
}
