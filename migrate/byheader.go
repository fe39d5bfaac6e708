package migrate

import (
	"context"
	"crypto/sha256"
	"slices"
	"strings"
)

// A likenessKey is what two copies of a message have in common that are known by size and header alone.
type likenessKey struct {
	size   int64 // of the wire form
	fields Digest
}

// identifying are the fields by which messages are recognised (RFC 5322, section 3.6).
var identifying = []string{"date", "from", "to", "subject", "message-id"}

// likenessOf digests the identifying fields of a header, however they are folded and ordered. ok is false where there is
// no Message-ID: such messages are told by their octets.
func likenessOf(header []byte, size int64) (key likenessKey, ok bool) {
	var fields []string
	for field := range headerFields(header) {
		name, value, found := strings.Cut(field, ":")
		name = strings.ToLower(strings.TrimSpace(name))
		if !found || !slices.Contains(identifying, name) {
			continue
		}
		value = strings.Join(strings.Fields(value), " ")
		ok = ok || name == "message-id" && value != ""
		fields = append(fields, name+":"+value+"\n")
	}
	slices.Sort(fields)
	return likenessKey{size, sha256.Sum256([]byte(strings.Join(fields, "")))}, ok
}

// messageID gives the Message-ID of a header, or "".
func messageID(header []byte) string {
	for field := range headerFields(header) {
		name, value, _ := strings.Cut(field, ":")
		if strings.EqualFold(strings.TrimSpace(name), "Message-ID") {
			return strings.TrimSpace(value)
		}
	}
	return ""
}

// headers gives the readers of headers, where recognising by them is possible.
func (l *lane) headers() (ours, theirs HeaderReader, ok bool) {
	ours, ok = l.source.(HeaderReader)
	theirs, ok2 := l.sink.(HeaderReader)
	_, knows := l.sink.(Knower)
	return ours, theirs, ok && ok2 && knows
}

// mayRecognise tells whether the destination holds something that could be recognised by its header.
func (r *run) mayRecognise(ctx context.Context, w *work) (may bool, err error) {
	l := r.control
	if r.OpenSink == nil {
		return false, nil
	}
	err = l.retry(ctx, l.closeSink, func() error {
		if err := l.openSink(ctx); err != nil {
			return err
		}
		if _, _, ok := l.headers(); !ok {
			return nil
		}
		d := l.destination(w.dest)
		if err := d.look(ctx, l); err != nil {
			return err
		}
		d.mu.Lock()
		defer d.mu.Unlock()
		may = len(d.held) > 0
		return nil
	})
	return may, err
}

// settleByHeader gives those of messages that are not recognised by their headers.
func (r *run) settleByHeader(ctx context.Context, w *work, messages []Message) ([]Message, error) {
	l := r.control
	err := l.retry(ctx, l.close, func() (err error) {
		if _, err := l.openSource(ctx); err != nil {
			return atEnd(r.Source, err)
		}
		if err := l.openSink(ctx); err != nil {
			return err
		}
		messages, err = l.byHeader(ctx, w, messages)
		return err
	})
	return messages, err
}

// byHeader recognises messages that the destination holds already, as after the source has renumbered its mailbox or
// the ledger was lost, without reading their bodies: where the destination knows what it holds, and size and header
// are those of exactly one message on either side. It gives the others, beside an error too.
func (l *lane) byHeader(ctx context.Context, w *work, messages []Message) (fresh []Message, err error) {
	reader, their, ok := l.headers()
	if !ok || len(messages) == 0 {
		return messages, nil
	}
	d := l.destination(w.dest)
	if err := d.look(ctx, l); err != nil {
		return messages, err
	}
	d.inHand.RLock()
	defer d.inHand.RUnlock()
	d.mu.Lock()
	defer d.mu.Unlock()
	var ask []Message
	for _, m := range messages {
		_, suspect := l.suspected(w, m.Key)
		if m.Identity.IsZero() && m.Size > 0 && len(d.held[m.Size]) > 0 && !suspect {
			ask = append(ask, m)
		}
	}
	ours, err := likenesses(ctx, reader, w.mbox.Path, ask)
	if err != nil {
		return messages, atEnd(l.Source, err)
	}
	var theirs []Message
	asked := map[int64]bool{}
	for key := range ours {
		if asked[key.size] {
			continue
		}
		asked[key.size] = true
		for _, held := range d.held[key.size] {
			theirs = append(theirs, *held)
		}
	}
	held, err := likenesses(ctx, their, d.path, theirs)
	if err != nil {
		return messages, atEnd(l.Destination, err)
	}
	found := map[Key]bool{}
	var pairs []pair
	for key, m := range ours {
		there := held[key]
		if m == nil || there == nil || there.Identity.IsZero() || d.unnamed[there.Identity.Trimmed] > 0 {
			continue
		}
		m.Identity = there.Identity
		pairs = append(pairs, pair{m: *m, held: there, unread: true})
	}
	slices.SortFunc(pairs, func(a, b pair) int { return a.m.Key.Compare(b.m.Key) })
	l.update(func() {
		for _, p := range pairs {
			l.progress.MessagesTotal++
			l.progress.OctetsTotal += p.m.Size
		}
	})
	for part := range slices.Chunk(pairs, lookupBatch) {
		if _, err = l.claim(ctx, w, part); err != nil {
			break
		}
		for _, p := range part {
			found[p.m.Key] = true
			d.remove(p.held)
		}
	}
	return slices.DeleteFunc(messages, func(m Message) bool { return found[m.Key] }), err
}

// likenesses reads headers. A likeness that several messages share is there with nil: which is which cannot be told.
func likenesses(ctx context.Context, reader HeaderReader, mbox Path, messages []Message) (map[likenessKey]*Message, error) {
	all := map[likenessKey]*Message{}
	for part := range slices.Chunk(messages, lookupBatch) {
		for h, err := range reader.Headers(ctx, mbox, part) {
			if err != nil {
				return nil, err
			}
			if h.Err != nil {
				continue
			}
			key, ok := likenessOf(h.Octets, h.Message.Size)
			if !ok {
				continue
			}
			if _, twice := all[key]; twice {
				all[key] = nil
				continue
			}
			all[key] = &h.Message
		}
	}
	return all, nil
}
