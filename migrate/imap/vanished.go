package imap

import (
	"cmp"
	"errors"
	"slices"
	"strings"
)

// A place is where a listing by message numbers stands. It moves with what is expunged before it (RFC 9051, section 7.5.1).
type place struct {
	next  uint32 // the number of the first message that is to come
	reach uint32 // no message before that one has a greater UID
}

// expunge moves the place on a message that went, by its number.
func (p *place) expunge(number uint32) {
	if number < p.next {
		p.next--
	}
}

// vanish moves the place on messages that went, by their UIDs. Too far back is only listing some of them twice.
func (p *place) vanish(gone []stretch) {
	var before uint64
	for _, part := range gone {
		if part.first <= p.reach {
			before += uint64(min(part.last, p.reach)-part.first) + 1
		}
	}
	p.next -= uint32(min(before, uint64(p.next)-1))
}

// enableCommand is what a session that only reads says before it opens a mailbox, so that Changes can ask which messages
// are gone (RFC 7162, section 3.2.5): from then on VANISHED responses stand for those of EXPUNGE. It is said once.
func (s *Session) enableCommand() (command string, worthIt bool) {
	if !s.readOnly || s.enabled || s.view != nil || !s.has("QRESYNC") {
		return "", false
	}
	s.enabled = true
	return "ENABLE QRESYNC", true
}

// readEnabled reads an ENABLED response (RFC 9051, section 7.2.1).
func (s *Session) readEnabled() error {
	words, err := s.in.bareWords()
	isIt := func(word string) bool { return strings.EqualFold(word, "QRESYNC") }
	if s.enabled && slices.ContainsFunc(words, isIt) {
		s.vanishes, s.recalls = true, true
	}
	return err
}

// readVanished reads a VANISHED response (RFC 7162, section 3.2.10). A server that was not told to send any has none of
// them understood.
func (s *Session) readVanished(said *remark) error {
	if !s.vanishes {
		return nil
	}
	said.gone = &finding{unclear: true}
	t, err := s.in.next()
	if err == nil && t.kind == tokenOpen {
		said.earlier = true
		if err = s.in.skipList(); err == nil {
			t, err = s.in.next()
		}
	}
	if err == nil && t.kind == tokenAtom {
		said.gone.unclear = false
		said.gone.set(string(t.text))
	}
	return err
}

var errVanished = errors.New("the server tells of messages that are gone, and they cannot be those that were there")

// vanish takes a VANISHED response to heart. What was gone before is only put down, and what has just gone moves the numbers of the
// others. Where it cannot be so all numbers are worthless: another session begins with true ones.
func (s *Session) vanish(said remark) error {
	v := s.view
	switch {
	case v == nil || said.gone == nil:
		return nil
	case v.opening != "": // it speaks of the mailbox that was open before
		v.expunged++
		return nil
	}
	gone, count := said.gone.all()
	if !said.earlier {
		if said.gone.unclear || count > uint64(v.exists) {
			return s.broken(errVanished)
		}
		v.expunged++
		v.exists -= uint32(count)
		for _, p := range v.places {
			p.vanish(gone)
		}
	}
	v.gone.join(said.gone)
	return nil
}

// within gives the part of stretches that lies in first…last, and how many UIDs that is.
func within(stretches []stretch, first, last uint32) (part []stretch, count uint64) {
	for _, s := range stretches {
		if s.first, s.last = max(s.first, first), min(s.last, last); s.first <= s.last {
			part = append(part, s)
			count += uint64(s.last-s.first) + 1
		}
	}
	return part, count
}

// compareStretches orders stretches by where they begin.
func compareStretches(a, b stretch) int { return cmp.Compare(a.first, b.first) }
