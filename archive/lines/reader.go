package lines

import "io"

// A Reader gives the wire form of a message that is stored with LF line ends. The zero Reader is of no use; call Reset.
type Reader struct {
	r    io.Reader
	in   []byte
	wide []byte
	rest []byte // of wide, not given yet
	err  error
}

// NewReader makes a Reader of the LF form in r. A message stored as it came needs none.
func NewReader(r io.Reader) *Reader {
	lf := new(Reader)
	lf.Reset(r)
	return lf
}

// Reset makes the Reader begin with the LF form in below, and keeps its buffers.
func (r *Reader) Reset(below io.Reader) {
	if r.in == nil {
		r.in, r.wide = make([]byte, chunk), make([]byte, 0, chunk+chunk/8)
	}
	r.r, r.rest, r.err = below, nil, nil
}

// Read gives the next octets of the wire form; its errors are those of the reader below.
func (r *Reader) Read(p []byte) (int, error) {
	if len(p) == 0 {
		return 0, nil
	}
	for len(r.rest) == 0 {
		if r.err != nil {
			return 0, r.err
		}
		var n int
		n, r.err = r.r.Read(r.in)
		r.wide = lengthen(r.wide[:0], r.in[:n])
		r.rest = r.wide
	}
	n := copy(p, r.rest)
	r.rest = r.rest[n:]
	return n, nil
}
