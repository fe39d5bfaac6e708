package migrate

import (
	"context"
	"crypto/sha256"
	"errors"
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
func (l *lane) headers() (source, sink HeaderReader, ok bool) {
	source, ok = l.source.(HeaderReader)
	sink, ok2 := l.sink.(HeaderReader)
	_, knows := l.sink.(Knower)
	return source, sink, ok && ok2 && knows
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
		may = d.held.len > 0
		return nil
	})
	return may, err
}

// settleByHeader takes those of messages out that are recognised by their headers.
func (r *run) settleByHeader(ctx context.Context, w *work, messages *heldSet) error {
	l := r.control
	return l.retry(ctx, l.close, func() error {
		if _, err := l.openSource(ctx); err != nil {
			return atEnd(r.Source, err)
		}
		if err := l.openSink(ctx); err != nil {
			return err
		}
		return l.byHeader(ctx, w, messages)
	})
}

// byHeader recognises messages that the destination holds already, as after the source has renumbered its mailbox or
// the ledger was lost, without reading their bodies: where the destination knows what it holds, and size and header
// are those of exactly one message on either side. It takes them out of messages.
func (l *lane) byHeader(ctx context.Context, w *work, messages *heldSet) error {
	ourHeaders, theirHeaders, ok := l.headers()
	if !ok || messages.len == 0 {
		return nil
	}
	d := l.destination(w.dest)
	if err := d.look(ctx, l); err != nil {
		return err
	}
	d.inHand.RLock()
	defer d.inHand.RUnlock()
	d.mu.Lock()
	defer d.mu.Unlock()
	alike := newLikenesses()
	defer alike.close()
	mayBeThere := func(m heldMessage) (bool, error) {
		if _, suspect := l.suspected(w, m.Key); suspect || !m.Identity.IsZero() || m.Size <= 0 {
			return false, nil
		}
		return d.held.has(m.Size)
	}
	if err := alike.read(ctx, ours, ourHeaders, w.mbox.Path, messages, mayBeThere); err != nil {
		return atEnd(l.Source, err)
	}
	mayBeMeant := func(m heldMessage) (bool, error) { return alike.hasSize(m.Size) }
	if err := alike.read(ctx, theirs, theirHeaders, d.path, &d.held, mayBeMeant); err != nil {
		return atEnd(l.Destination, err)
	}
	return l.claimAlike(ctx, w, d, messages, alike)
}

// claimAlike claims what is alike to exactly one message of the other side, and takes it out of both.
func (l *lane) claimAlike(ctx context.Context, w *work, d *destination, messages *heldSet, alike *likenesses) error {
	for i := 0; i < alike.places.Len(); {
		var pairs []pair
		var mine []heldMessage
		for ; i < alike.places.Len() && len(pairs) < lookupBatch; i++ {
			m, there, ok, err := alike.pair(i, messages, &d.held)
			if err != nil {
				return err
			}
			if !ok || there.Identity.IsZero() {
				continue
			}
			expected, err := d.held.expects(there.Identity.Trimmed)
			if err != nil {
				return err
			}
			if !expected {
				m.Identity = there.Identity
				pairs, mine = append(pairs, pair{m: m.Message, held: there, unread: true}), append(mine, m)
			}
		}
		l.update(func() {
			for _, m := range mine {
				l.progress.MessagesTotal++
				l.progress.OctetsTotal += m.Size
			}
		})
		if _, err := l.claim(ctx, w, pairs); err != nil {
			return err
		}
		for j, p := range pairs {
			if err := errors.Join(messages.remove(mine[j]), d.held.remove(p.held)); err != nil {
				return err
			}
		}
	}
	return nil
}
