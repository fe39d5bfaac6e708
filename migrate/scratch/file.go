package scratch

import (
	"errors"
	"fmt"
	"io"
	"os"
)

// A File holds octets by their place, from 0; they begin as zeros. Its zero value is empty.
type File struct {
	pages []page // the one numbered n is the n%mostPages-th, where it is in memory
	file  *os.File
	named bool // still: the system keeps the names of open files
}

// A page is a stretch of a File.
type page struct {
	number  int64
	octets  []byte
	changed bool // it is not in the file as it is
}

// How much of a File is in memory: pages are small, since what is asked for may lie anywhere.
const (
	pageOctets = 4 << 10
	mostPages  = 32
)

// Get fills p with the octets from a place on.
func (f *File) Get(p []byte, place int64) error {
	for len(p) > 0 {
		page, err := f.page(place / pageOctets)
		if err != nil {
			return fmt.Errorf("read a temporary file: %w", err)
		}
		n := copy(p, page.octets[place%pageOctets:])
		p, place = p[n:], place+int64(n)
	}
	return nil
}

// Put makes p the octets from a place on.
func (f *File) Put(p []byte, place int64) error {
	for len(p) > 0 {
		page, err := f.page(place / pageOctets)
		if err != nil {
			return fmt.Errorf("write a temporary file: %w", err)
		}
		n := copy(page.octets[place%pageOctets:], p)
		page.changed = true
		p, place = p[n:], place+int64(n)
	}
	return nil
}

// page gets a page into memory, in place of another where its own place is taken.
func (f *File) page(number int64) (*page, error) {
	if f.pages == nil {
		f.pages = make([]page, mostPages)
	}
	p := &f.pages[number%mostPages]
	if p.octets == nil { // none of those that share the place has been written to
		p.number, p.octets = number, make([]byte, pageOctets)
	}
	if p.number == number {
		return p, nil
	}
	if p.changed {
		if err := f.write(p); err != nil {
			return nil, err
		}
	}
	n := 0
	if f.file != nil {
		var err error
		if n, err = f.file.ReadAt(p.octets, number*pageOctets); err != nil && !errors.Is(err, io.EOF) {
			p.number = -1 // what is there now is of no use
			return nil, err
		}
	}
	clear(p.octets[n:])
	p.number = number
	return p, nil
}

// write brings a page to the file.
func (f *File) write(p *page) (err error) {
	if f.file == nil {
		if f.file, err = os.CreateTemp("", ".postcask-*"); err != nil { // mode 0600
			return err
		}
		f.named = os.Remove(f.file.Name()) != nil
	}
	if _, err = f.file.WriteAt(p.octets, p.number*pageOctets); err == nil {
		p.changed = false
	}
	return err
}

// Close gives back what the File takes; it is empty then, and as new.
func (f *File) Close() {
	if f.file != nil {
		f.file.Close() // nobody needs what is in it any more
		if f.named {
			os.Remove(f.file.Name())
		}
	}
	*f = File{}
}
