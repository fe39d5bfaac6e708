package pop3

import (
	"sync"

	"postcask/migrate"
)

// mostOctets is where a message is given up: no server takes one so large, and one that is sent without end would fill
// the disk. What LIST tells sets no other bound, it may lie either way.
const mostOctets = 4 << 30

// endless remembers which messages had no end, by UIDL. Each has cost a session, for there is no way to stop an answer:
// the next sessions pass it by, and the messages behind it have their turn.
type endless struct {
	most int64 // octets of a message that are read

	mu    sync.Mutex
	uidls map[string]bool
}

func (e *endless) note(uidl string) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.uidls == nil {
		e.uidls = map[string]bool{}
	}
	e.uidls[uidl] = true
}

// err tells why the message with this UIDL is not asked for, or nil.
func (e *endless) err(uidl string) error {
	e.mu.Lock()
	defer e.mu.Unlock()
	if !e.uidls[uidl] {
		return nil
	}
	return migrate.Errorf(migrate.Failed, "the server sent more than %d octets of this message, without an end", e.most)
}
