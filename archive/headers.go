package archive

import (
	"bytes"
	"context"
	"io"
	"iter"

	"postcask/migrate"
	"postcask/migrate/ledger"
)

// longestHeader is how many octets of a header Headers gives at most.
const longestHeader = 256 << 10

// Headers yields the headers of the given messages, as many as are there, in the order in which they lie on disk.ir Octets
// are valid until the next step of the loop, and not verified, since the digest covers the whole message. An error beside a Header ends the sequence.
func (s *source) Headers(ctx context.Context, mbox migrate.Path, messages []migrate.Message) iter.Seq2[migrate.Header, error] {
	return func(yield func(migrate.Header, error) bool) {
		var buf []byte
		err := s.a.each(ctx, mbox, messages, func(shelf *shelf, m migrate.Message, row ledger.Message, err error) bool {
			if err == nil {
				buf, err = shelf.header(row, buf[:0])
			}
			if err != nil {
				return yield(migrate.Header{Message: m, Err: damage(row, err)}, nil)
			}
			return yield(migrate.Header{Message: m, Octets: buf}, nil)
		})
		if err != nil {
			yield(migrate.Header{}, s.a.at(mbox, err))
		}
	}
}

// header appends the header of a message to buf.
func (s *shelf) header(row ledger.Message, buf []byte) ([]byte, error) {
	stored, closeFile, err := s.open(row)
	if err != nil {
		return buf, err
	}
	defer closeFile()
	wire := s.wireForm(row, stored)
	for len(buf) < longestHeader {
		from := max(0, len(buf)-3) // an empty line may straddle two reads
		buf = append(buf, make([]byte, 4<<10)...)
		n, err := wire.Read(buf[len(buf)-4<<10:])
		buf = buf[:len(buf)-4<<10+n]
		if end := headerEnd(buf, from); end >= 0 {
			return buf[:end], nil
		}
		if err == io.EOF {
			return buf, nil
		}
		if err != nil {
			return buf, err
		}
	}
	return buf[:longestHeader], nil
}

// headerEnd gives the end of the header, behind its empty line, or -1 where there is none from place from on.
func headerEnd(text []byte, from int) int {
	if from == 0 {
		for _, empty := range []string{"\r\n", "\n"} {
			if bytes.HasPrefix(text, []byte(empty)) {
				return len(empty)
			}
		}
	}
	end := -1
	for _, empty := range []string{"\n\r\n", "\n\n"} {
		if i := bytes.Index(text[from:], []byte(empty)); i >= 0 && (end < 0 || from+i+len(empty) < end) {
			end = from + i + len(empty)
		}
	}
	return end
}
