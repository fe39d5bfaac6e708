package archive

import (
	"os"

	"postcask/archive/lines"
)

const (
	bufferSize = 64 << 10  // how much is read at once
	writeSize  = 128 << 10 // how much is gathered before it is written
)

// A cursor writes to a file through a buffer and can go back.
type cursor struct {
	disk *disk
	file *os.File
	buf  []byte // not written yet
	at   int64  // where buf belongs in the file
}

func (c *cursor) reset(d *disk, f *os.File, at int64) {
	if c.buf == nil {
		c.buf = make([]byte, 0, d.gather)
	}
	c.disk, c.file, c.buf, c.at = d, f, c.buf[:0], at
}

// pos is where the next octet goes.
func (c *cursor) pos() int64 { return c.at + int64(len(c.buf)) }

func (c *cursor) Write(p []byte) (int, error) {
	if len(c.buf)+len(p) > cap(c.buf) {
		if err := c.flush(); err != nil {
			return 0, err
		}
	}
	if len(p) < cap(c.buf) {
		c.buf = append(c.buf, p...)
		return len(p), nil
	}
	if err := c.disk.writeAt(c.file, p, c.at); err != nil {
		return 0, err
	}
	c.at += int64(len(p))
	return len(p), nil
}

func (c *cursor) flush() error {
	if len(c.buf) == 0 {
		return nil
	}
	if err := c.disk.writeAt(c.file, c.buf, c.at); err != nil {
		return err
	}
	c.at += int64(len(c.buf))
	c.buf = c.buf[:0]
	return nil
}

// rewind forgets what was written from to on.
func (c *cursor) rewind(to int64) error {
	if to >= c.at {
		c.buf = c.buf[:to-c.at]
		return nil
	}
	c.buf, c.at = c.buf[:0], to
	return c.disk.truncate(c.file, to)
}

// widen makes CRLF of every LF from start on.
func (c *cursor) widen(start int64) error {
	if err := c.flush(); err != nil {
		return err
	}
	end, err := lines.Widen(seamFile{c.disk, c.file}, start, c.at)
	if err != nil {
		return err
	}
	c.at = end
	return nil
}

// A seamFile is a file whose writes go through the disk's seam.
type seamFile struct {
	disk *disk
	*os.File
}

func (f seamFile) WriteAt(p []byte, at int64) (int, error) {
	if err := f.disk.writeAt(f.File, p, at); err != nil {
		return 0, err
	}
	return len(p), nil
}
