package migrate

import (
	"bufio"
	"bytes"
	"net/mail"
	"strings"
	"time"
)

// headBound is how far into a message its arrival is looked for.
const headBound = 64 << 10

// arrival tells when a message arrived, as far as its head tells: by the newest Received field, which the last server
// added on top (RFC 5321, section 4.4), else by Date. Zero where neither can be read or lies in the future. The body
// is read from nowhere but body's own buffer.
func arrival(body *bufio.Reader, now time.Time) time.Time {
	head, _ := body.Peek(headBound) // an error shows when the body is read
	var date time.Time
	for field := range headerFields(head) {
		name, value, _ := strings.Cut(field, ":")
		switch {
		case strings.EqualFold(name, "Received"):
			if i := strings.LastIndexByte(value, ';'); i >= 0 {
				if t := parseDate(value[i+1:], now); !t.IsZero() {
					return t
				}
			}
		case strings.EqualFold(name, "Date") && date.IsZero():
			date = parseDate(value, now)
		}
	}
	return date
}

func parseDate(value string, now time.Time) time.Time {
	t, err := mail.ParseDate(strings.TrimSpace(value))
	if err != nil || t.Year() < 1970 || t.After(now.Add(24*time.Hour)) {
		return time.Time{}
	}
	return t
}

// headerFields yields the unfolded header fields at the start of a message, without their line ends (RFC 5322,
// section 2.2.3). A field that head cuts off is left out.
func headerFields(head []byte) func(yield func(string) bool) {
	return func(yield func(string) bool) {
		var field []byte
		for len(head) > 0 {
			end := bytes.IndexByte(head, '\n')
			if end < 0 {
				return
			}
			line := bytes.TrimSuffix(head[:end], []byte("\r"))
			head = head[end+1:]
			if len(line) > 0 && (line[0] == ' ' || line[0] == '\t') {
				field = append(field, line...)
				continue
			}
			if len(field) > 0 && !yield(string(field)) {
				return
			}
			if len(line) == 0 {
				return
			}
			field = append(field[:0], line...)
		}
	}
}
