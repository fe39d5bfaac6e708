package migrate

import (
	"context"
	"encoding/binary"

	"postcask/migrate/scratch"
)

// likenesses finds what messages of two sides have in common. They may be as many as mailboxes can hold: of each likeness
// its key and two places are in a temporary file.
type likenesses struct{ places *scratch.Map }

// A side is where a message of a likeness is.
type side int

const (
	ours side = iota
	theirs
)

// several stands for the place of messages that cannot be told from each other. 0 stands for none.
const several = -1

func newLikenesses() *likenesses {
	return &likenesses{scratch.NewMap(traitOctets, 2*8)}
}

func (l *likenesses) close() { l.places.Close() }

// key gives the key of a likeness. One without digest stands for the size.
func (k likenessKey) key() []byte { return trait{k.size, k.fields}.key() }

// hasSize tells whether there is a message of a size on our side.
func (l *likenesses) hasSize(size int64) (bool, error) {
	value, err := l.places.Get(likenessKey{size: size}.key())
	return value != nil, err
}

// note notes a message of one side. Theirs count only where there is one of ours.
func (l *likenesses) note(of side, key likenessKey, place int64) error {
	value, err := l.places.Get(key.key())
	if err != nil || value == nil && of == theirs {
		return err
	}
	both := append(make([]byte, 0, 2*8), value...)
	if value == nil {
		both = both[:2*8]
		if err := l.places.Put(likenessKey{size: key.size}.key(), both); err != nil {
			return err
		}
	}
	if binary.LittleEndian.Uint64(both[of*8:]) != 0 {
		place = several
	}
	binary.LittleEndian.PutUint64(both[of*8:], uint64(place))
	return l.places.Put(key.key(), both)
}

// read reads the headers of messages of one side, as far as they are wanted.
func (l *likenesses) read(ctx context.Context, of side, reader HeaderReader, mbox Path, messages *heldSet, wanted func(heldMessage) (bool, error)) error {
	ask, places := make([]Message, 0, lookupBatch), make(map[Key]int64, lookupBatch)
	flush := func() error {
		for h, err := range reader.Headers(ctx, mbox, ask) {
			if err != nil {
				return err
			}
			if key, ok := likenessOf(h.Octets, h.Message.Size); ok && h.Err == nil {
				if err := l.note(of, key, places[h.Message.Key]); err != nil {
					return err
				}
			}
		}
		ask = ask[:0]
		clear(places)
		return nil
	}
	for m, err := range messages.all() {
		if err != nil {
			return err
		}
		if want, err := wanted(m); err != nil {
			return err
		} else if !want {
			continue
		}
		ask, places[m.Key] = append(ask, m.Message), m.place
		if len(ask) == cap(ask) {
			if err := flush(); err != nil {
				return err
			}
		}
	}
	if len(ask) == 0 {
		return nil
	}
	return flush()
}

// pair gives the ith likeness: one message of either side. ok is false where there is none, or several.
func (l *likenesses) pair(i int, mine, held *heldSet) (m, there heldMessage, ok bool, err error) {
	_, value, err := l.places.Entry(i)
	if err != nil {
		return m, there, false, err
	}
	our, their := int64(binary.LittleEndian.Uint64(value)), int64(binary.LittleEndian.Uint64(value[8:]))
	if our <= 0 || their <= 0 {
		return m, there, false, nil
	}
	mr, err := mine.record(our)
	if err != nil {
		return m, there, false, err
	}
	tr, err := held.record(their)
	return mr.heldMessage, tr.heldMessage, err == nil, err
}
