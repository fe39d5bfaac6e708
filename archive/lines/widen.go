package lines

import (
	"bytes"
	"fmt"
	"io"
)

// Widen makes CRLF of every LF in the octets from start to end of f, in place, and gives the new end. It works from
// the back to the front, so that nothing is overwritten before it was read, with two buffers whatever the length.
func Widen(f interface {
	io.ReaderAt
	io.WriterAt
}, start, end int64) (int64, error) {
	buf := make([]byte, chunk)
	lfs, err := countLF(f, start, end, buf)
	if err != nil || lfs == 0 {
		return end, err
	}
	wide := make([]byte, 0, 2*chunk)
	for at, shift := end, lfs; at > start && shift > 0; {
		piece := buf[:min(int64(chunk), at-start)]
		at -= int64(len(piece))
		if err := readFull(f, piece, at); err != nil {
			return 0, err
		}
		wide = lengthen(wide[:0], piece)
		shift -= int64(len(wide) - len(piece))
		if _, err := f.WriteAt(wide, at+shift); err != nil {
			return 0, err
		}
	}
	return end + lfs, nil
}

func countLF(f io.ReaderAt, start, end int64, buf []byte) (int64, error) {
	var lfs int64
	for at := start; at < end; {
		piece := buf[:min(int64(len(buf)), end-at)]
		if err := readFull(f, piece, at); err != nil {
			return 0, err
		}
		lfs += int64(bytes.Count(piece, []byte{'\n'}))
		at += int64(len(piece))
	}
	return lfs, nil
}

func readFull(f io.ReaderAt, p []byte, at int64) error {
	n, err := f.ReadAt(p, at)
	switch {
	case n == len(p):
		return nil
	case err == io.EOF:
		return io.ErrUnexpectedEOF
	case err == nil:
		return fmt.Errorf("short read at %d", at)
	}
	return err
}

// lengthen appends p to dst with CRLF for each LF.
func lengthen(dst, p []byte) []byte {
	for {
		i := bytes.IndexByte(p, '\n')
		if i < 0 {
			return append(dst, p...)
		}
		dst = append(append(dst, p[:i]...), '\r', '\n')
		p = p[i+1:]
	}
}
