package imap

import (
	"bytes"
	"io"
	"os"

	"postcask/migrate"
)

const (
	holdLimit = 1 << 20   // octets of a body that are held in memory until its UID is known
	smallBody = 256 << 10 // octets up to which a body to append is held in memory
)

// held is a body that had to be taken off its stream.
type held struct {
	octets []byte
	file   *os.File
	size   int64
	name   string // of the file, where it still has one
}

// holdBack takes size octets from r.
func holdBack(r io.Reader, size int64) (*held, error) {
	if size <= holdLimit {
		h := &held{octets: make([]byte, size)}
		_, err := io.ReadFull(r, h.octets)
		return h, err
	}
	return spool(nil, io.LimitReader(r, size), size)
}

// spool writes head and all of r to a file that has no name, readable by nobody else. Unless size is -1, so many octets must come.
func spool(head []byte, r io.Reader, size int64) (*held, error) {
	file, err := os.CreateTemp("", "postcask-spool-*") // mode 0600
	if err != nil {
		return nil, err
	}
	h := &held{file: file}
	if os.Remove(file.Name()) != nil {
		h.name = file.Name() // a system that keeps the names of open files: it goes with drop
	}
	h.size, err = io.Copy(file, io.MultiReader(bytes.NewReader(head), r))
	if err == nil && size >= 0 && h.size < size {
		err = io.ErrUnexpectedEOF
	}
	if err == nil {
		_, err = file.Seek(0, io.SeekStart)
	}
	if err != nil {
		h.drop()
		return nil, err
	}
	return h, nil
}

func (h *held) body() migrate.Body {
	if h.file != nil {
		return migrate.Body{Reader: h.file, Size: h.size}
	}
	return migrate.Body{Reader: bytes.NewReader(h.octets), Size: int64(len(h.octets))}
}

// drop gives back what is held; h may be nil.
func (h *held) drop() {
	if h != nil && h.file != nil {
		h.file.Close()
		h.file = nil
		if h.name != "" {
			os.Remove(h.name)
		}
	}
}
