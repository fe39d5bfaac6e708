package migrate

import (
	"context"
	"errors"
	"time"
)

// listedOf gives what is remembered of a listing. The date of a message that the source names itself may be that of a
// file, and change with it.
func listedOf(m Message) Listed {
	listed := Listed{Size: max(m.Size, 0)}
	if m.Key.UID != 0 {
		listed.Date = m.InternalDate
	}
	return listed
}

// reused tells whether a key seems to have been given to another message: its size or internal date, which never
// change under one UID (RFC 9051, sections 2.3.3 and 2.3.4), are not those that were listed before. Header or octets
// decide then, so that a wrong suspicion costs reading the message once. A date that moved by whole half hours within a
// day is that of a server that is at odds with time zones.
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

var errReused = errors.New("the server gives another message under this name than it did before; it is kept as well, beside the old one")

// sameByHeader finds suspects that are what they were after all. The size that a POP3 server announces may change from
// session to session, and so may what it sends where it puts messages together anew; under a unique id, the header that
// identifies the copy at the destination is then proof enough. What is not found so is told by its octets.
func (l *lane) sameByHeader(ctx context.Context, w *work, messages []Message) (pairs []pair, others []Message, err error) {
	ours, ok := l.source.(HeaderReader)
	theirs, ok2 := l.sink.(HeaderReader)
	if !ok || !ok2 {
		return nil, messages, nil
	}
	var ask, copies []Message
	before := map[Key]Entry{} // by the suspect's key
	for _, m := range messages {
		known, suspect := l.suspected(w, m.Key)
		if !suspect || m.Key.UID != 0 || !m.Identity.IsZero() || known.Mailbox != w.dest || known.Place.IsZero() {
			continue
		}
		before[m.Key] = known
		ask, copies = append(ask, m), append(copies, Message{Key: known.Place})
	}
	if len(ask) == 0 {
		return nil, messages, nil
	}
	told := map[Key]likenessKey{} // by place
	for h, err := range theirs.Headers(ctx, w.dest, copies) {
		if err != nil {
			return nil, nil, atEnd(l.Destination, err)
		}
		if likeness, ok := likenessOf(h.Octets, 0); ok && h.Err == nil {
			told[h.Message.Key] = likeness
		}
	}
	same := map[Key]bool{}
	for h, err := range ours.Headers(ctx, w.mbox.Path, ask) {
		if err != nil {
			return nil, nil, atEnd(l.Source, err)
		}
		known := before[h.Message.Key]
		likeness, ok := likenessOf(h.Octets, 0)
		if !ok || h.Err != nil || told[known.Place] != likeness {
			continue
		}
		m := h.Message
		m.Identity = known.Identity
		pairs = append(pairs, pair{m: m, held: heldMessage{Message: Message{Key: known.Place, Flags: known.Flags}}})
		same[m.Key] = true
	}
	for _, m := range messages {
		if !same[m.Key] {
			others = append(others, m)
		}
	}
	return pairs, others, nil
}
