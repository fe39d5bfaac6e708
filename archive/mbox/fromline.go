// Package mbox has the words of the mboxrd format as an archive writes it: "From " lines, their marks, the quoting, and
// the two line ends behind each message. RFC 4155 describes the family; mboxrd adds the reversible quoting.
package mbox

import (
	"bytes"
	"fmt"
	"time"
)

// A Mark says, in the sender field of a "From " line, what the file alone could not tell of the message below it. All
// senders have the same length, so that a mark can be put in when the message has been written.
type Mark struct {
	Open bool // the message does not end in a line end
	Raw  bool // the message is stored as it came: its line ends are not CRLF shortened to LF
}

// The senders. The first stands for every ordinary message.
const (
	senderPlain = "MAILER-DAEMON"
	senderOpen  = "POSTCASK-OPEN"
	senderRaw   = "POSTCASK-ASIS"
	senderBoth  = "POSTCASK-BOTH"
)

// senderAt is where the sender begins in a "From " line.
const senderAt = int64(len("From "))

func (m Mark) sender() string {
	switch {
	case m.Open && m.Raw:
		return senderBoth
	case m.Open:
		return senderOpen
	case m.Raw:
		return senderRaw
	}
	return senderPlain
}

// FromLine gives the "From " line, with its LF, of a message that arrived at date, which is written in UTC.
func FromLine(mark Mark, date time.Time) []byte {
	return []byte("From " + mark.sender() + " " + date.UTC().Format(time.ANSIC) + "\n")
}

// ParseFromLine reads a line that FromLine gave, with or without its LF. Lines of other programs are an error.
func ParseFromLine(line []byte) (Mark, time.Time, error) {
	line = bytes.TrimSuffix(line, []byte{'\n'})
	rest, ok := bytes.CutPrefix(line, from)
	sender, date, cut := bytes.Cut(rest, []byte{' '})
	if !ok || !cut {
		return Mark{}, time.Time{}, fmt.Errorf("no From_ line: %.80q", line)
	}
	var mark Mark
	switch string(sender) {
	case senderPlain:
	case senderOpen:
		mark.Open = true
	case senderRaw:
		mark.Raw = true
	case senderBoth:
		mark = Mark{Open: true, Raw: true}
	default:
		return Mark{}, time.Time{}, fmt.Errorf("not a From_ line of postcask: %.80q", line)
	}
	at, err := time.Parse(time.ANSIC, string(date))
	if err != nil {
		return Mark{}, time.Time{}, fmt.Errorf("date of From_ line: %w", err)
	}
	return mark, at, nil
}
