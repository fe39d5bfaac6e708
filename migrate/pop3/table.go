package pop3

import (
	"errors"
	"fmt"
	"io"
	"os"
)

// A table holds records of one length, by number from 0; they begin as zeros. A stretch of them is in memory, and the
// others in a temporary file without a name: a maildrop takes no more memory the more messages it has.
type table struct {
	width   int
	window  []byte // the stretch at hand
	first   int    // record in it
	changed bool   // it is not in the file as it is
	file    *os.File
	named   bool // still: the system keeps the names of open files
}

// tableOctets is how much of a table is in memory.
const tableOctets = 128 << 10

func newTable(width, records int) *table {
	return &table{width: width, window: make([]byte, width*min(records, tableOctets/width))}
}

// record gives a record, to be read until another is asked for.
func (t *table) record(i int) ([]byte, error) {
	stretch := len(t.window) / t.width
	if first := i - i%stretch; first != t.first {
		if err := t.move(first); err != nil {
			return nil, fmt.Errorf("the list of messages, in a temporary file: %w", err)
		}
	}
	at := (i - t.first) * t.width
	return t.window[at : at+t.width], nil
}

// change gives a record to be written to, until another is asked for.
func (t *table) change(i int) ([]byte, error) {
	record, err := t.record(i)
	t.changed = err == nil
	return record, err
}

// move gets another stretch.
func (t *table) move(first int) error {
	if t.file == nil {
		if err := t.create(); err != nil {
			return err
		}
	}
	if t.changed {
		if _, err := t.file.WriteAt(t.window, int64(t.first*t.width)); err != nil {
			return err
		}
		t.changed = false
	}
	n, err := t.file.ReadAt(t.window, int64(first*t.width))
	if err != nil && !errors.Is(err, io.EOF) {
		t.first = -1 // what is at hand is of no use
		return err
	}
	clear(t.window[n:])
	t.first = first
	return nil
}

func (t *table) create() (err error) {
	if t.file, err = os.CreateTemp("", ".postcask-*"); err != nil { // mode 0600
		return err
	}
	t.named = os.Remove(t.file.Name()) != nil
	return nil
}

// close gives back what the table takes.
func (t *table) close() {
	if t.file == nil {
		return
	}
	t.file.Close() // nobody needs what is in it any more
	if t.named {
		os.Remove(t.file.Name())
	}
}
