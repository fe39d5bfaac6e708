package migrate

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
)

// SpoolInMemory is the largest body, in octets, that Spool keeps in memory.
const SpoolInMemory = 256 << 10

// A Spooled is a body that has been read to its end. It is read again from the start by Body, as often as wanted.
type Spooled struct {
	Size int64
	data []byte
	file *os.File // in place of data for a larger one; has no name any more
}

// Spool reads body to its end, into memory as far as SpoolInMemory and into a nameless temporary file beyond. An error
// of the body is returned as it came; the caller closes what it got.
func Spool(body io.Reader) (*Spooled, error) {
	var head bytes.Buffer
	n, err := io.CopyN(&head, body, SpoolInMemory+1)
	if err == io.EOF {
		return &Spooled{Size: n, data: head.Bytes()}, nil
	}
	if err != nil {
		return nil, err
	}
	file, err := os.CreateTemp("", ".postcask-*")
	if err != nil {
		return nil, fmt.Errorf("spool a large message: %w", err)
	}
	// Without a name it is gone with the process, however that ends.
	if err := os.Remove(file.Name()); err != nil {
		return nil, errors.Join(fmt.Errorf("spool a large message: %w", err), file.Close())
	}
	s := &Spooled{file: file}
	to := &noted{w: file}
	if s.Size, err = io.Copy(to, io.MultiReader(&head, body)); err != nil {
		if to.err != nil {
			err = fmt.Errorf("spool a large message: %w", err)
		}
		return nil, errors.Join(err, file.Close())
	}
	return s, nil
}

// noted remembers that it was the writing that failed.
type noted struct {
	w   io.Writer
	err error
}

func (n *noted) Write(p []byte) (int, error) {
	written, err := n.w.Write(p)
	if err != nil {
		n.err = err
	}
	return written, err
}

// Body gives the octets from the start.
func (s *Spooled) Body() Body {
	if s.file != nil {
		return Body{Reader: io.NewSectionReader(s.file, 0, s.Size), Size: s.Size}
	}
	return Body{Reader: bytes.NewReader(s.data), Size: s.Size}
}

// Close frees what the spool took.
func (s *Spooled) Close() error {
	if s.file != nil {
		return s.file.Close()
	}
	return nil
}
