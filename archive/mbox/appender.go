package mbox

import (
	"io"
	"time"

	gombox "github.com/emersion/go-mbox"
)

// An Appender writes messages one after another in the form an archive keeps them: a "From " line, the quoted octets,
// the LF that the last line lacks, if it does, and an empty line. The zero Appender can be used.
type Appender struct {
	quoter Quoter
	frame  *gombox.Writer
	out    trimmer
}

// Begin writes the "From " line of a message to out; date must not be zero. What Write takes then are its octets.
func (a *Appender) Begin(out io.Writer, date time.Time) error {
	a.out = trimmer{out: out}
	a.frame = gombox.NewWriter(&a.out)
	// The library's own message writer changes what it is given, so the octets go past it.
	if _, err := a.frame.CreateMessage(Mark{}.sender(), date); err != nil {
		return err
	}
	a.quoter.Reset(out)
	return nil
}

// Write takes the next octets of the message and quotes them.
func (a *Appender) Write(p []byte) (int, error) { return a.quoter.Write(p) }

// Flush writes octets that the quoting held back, so that all of the message has been written.
func (a *Appender) Flush() error { return a.quoter.Close() }

// End writes what separates the message from the next. Call Flush before.
func (a *Appender) End() error {
	if a.quoter.last == '\n' {
		a.out.skip = 1 // the message brought the first of the two line ends
	}
	return a.frame.Close()
}

// Patch writes mark into the "From " line that begins at start.
func Patch(f io.WriterAt, start int64, mark Mark) error {
	_, err := f.WriteAt([]byte(mark.sender()), start+senderAt)
	return err
}

// A trimmer leaves out the first octets of what is written through it.
type trimmer struct {
	out  io.Writer
	skip int
}

func (t *trimmer) Write(p []byte) (int, error) {
	n := min(t.skip, len(p))
	t.skip -= n
	if _, err := t.out.Write(p[n:]); err != nil {
		return 0, err
	}
	return len(p), nil
}
