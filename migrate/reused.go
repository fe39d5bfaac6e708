package migrate

import (
	"errors"
	"time"
)

// listedOf gives what is remembered of a listing. Only UIDs are given anew by servers that have lost count; what a
// POP3 server tells of sizes may change from session to session.
func listedOf(m Message) Listed {
	if m.Key.UID == 0 {
		return Listed{}
	}
	return Listed{Size: max(m.Size, 0), Date: m.InternalDate}
}

// reused tells whether a key seems to have been given to another message: its size or internal date, which never
// change under one UID (RFC 9051, sections 2.3.3 and 2.3.4), are not those that were listed before. Octets decide then,
// so that a wrong suspicion costs reading the message once. A date that moved by whole half hours within a day is that
// of a server that is at odds with time zones.
func reused(known Entry, m Message) bool {
	now, before := listedOf(m), known.Listed
	if now.Size > 0 && before.Size > 0 && now.Size != before.Size {
		return true
	}
	if now.Date.IsZero() || before.Date.IsZero() || now.Date.Unix() == before.Date.Unix() {
		return false
	}
	moved := now.Date.Sub(before.Date).Abs().Truncate(time.Second)
	return moved > 26*time.Hour || moved%(30*time.Minute) != 0
}

var errReused = errors.New("the server gives another message under this UID than it did before; it is kept as well, beside the old one")
