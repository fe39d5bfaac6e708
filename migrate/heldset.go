package migrate

import (
	"encoding/binary"
	"iter"
	"math"

	"postcask/migrate/scratch"
)

// A heldSet is the messages of a mailbox that nobody claims. They may be as many as a mailbox can hold, so most of it is in
// temporary files: a record of each message, in the order of their listing, and lists of those that have something in
// common. Its zero value is empty.
type heldSet struct {
	len      int64 // messages
	expected int64 // of them, see expect
	lists    *scratch.Map
	records  scratch.File
	end      int64  // of the records
	octets   []byte // the record at hand
}

// A trait is what messages of one list have in common. All of a size are counted in the list of that size and no digest,
// and those that have not been read are in it; the others are in that of their size and digest.
type trait struct {
	size    int64 // as announced
	trimmed Digest
}

// unplaced is the size of lists that only count the claims of messages whose place is not known. No message has it.
const unplaced = math.MinInt64

// A list is what a heldSet knows of a trait. Places are those of records, 0 for none.
type list struct{ first, last, count int64 }

const (
	traitOctets = 8 + len(Digest{})
	listOctets  = 3 * 8
)

// heldMessage is a message of a heldSet, and where its record is.
type heldMessage struct {
	Message
	place int64
}

func (s *heldSet) list(t trait) (l list, err error) {
	if s.lists == nil {
		return l, nil
	}
	value, err := s.lists.Get(t.key())
	if value != nil {
		l.first = int64(binary.LittleEndian.Uint64(value))
		l.last = int64(binary.LittleEndian.Uint64(value[8:]))
		l.count = int64(binary.LittleEndian.Uint64(value[16:]))
	}
	return l, err
}

func (s *heldSet) setList(t trait, l list) error {
	if s.lists == nil {
		s.lists = scratch.NewMap(traitOctets, listOctets)
	}
	value := make([]byte, 0, listOctets)
	for _, n := range [...]int64{l.first, l.last, l.count} {
		value = binary.LittleEndian.AppendUint64(value, uint64(n))
	}
	return s.lists.Put(t.key(), value)
}

func (t trait) key() []byte {
	key := binary.LittleEndian.AppendUint64(make([]byte, 0, traitOctets), uint64(t.size))
	return append(key, t.trimmed[:]...)
}

// count changes how many messages a list counts.
func (s *heldSet) count(t trait, by int64) error {
	l, err := s.list(t)
	if err != nil {
		return err
	}
	l.count += by
	return s.setList(t, l)
}

// has tells whether there is a message of a size.
func (s *heldSet) has(size int64) (bool, error) {
	l, err := s.list(trait{size: size})
	return l.count > 0, err
}

// expect notes that one of the messages is claimed, by what it is alone.
func (s *heldSet) expect(digest Digest) error {
	s.expected++
	return s.count(trait{unplaced, digest}, 1)
}

// expects tells whether one of the messages of a digest is claimed.
func (s *heldSet) expects(digest Digest) (bool, error) {
	l, err := s.list(trait{unplaced, digest})
	return l.count > 0, err
}

// meet takes back what was expected once, and tells whether anything was.
func (s *heldSet) meet(digest Digest) (bool, error) {
	expected, err := s.expects(digest)
	if !expected || err != nil {
		return false, err
	}
	s.expected--
	return true, s.count(trait{unplaced, digest}, -1)
}

// add takes in a message.
func (s *heldSet) add(m Message) (err error) {
	if s.end == 0 {
		s.end = 1 // 0 is no place
	}
	place := s.end
	if s.octets, err = appendRecord(s.octets[:0], m); err != nil {
		return err
	}
	if err := s.records.Put(s.octets, place); err != nil {
		return err
	}
	s.end += int64(len(s.octets))
	s.len++
	if err := s.count(trait{size: m.Size}, 1); err != nil {
		return err
	}
	return s.append(trait{m.Size, m.Identity.Trimmed}, place)
}

// append puts a message at the end of a list.
func (s *heldSet) append(t trait, place int64) error {
	l, err := s.list(t)
	if err != nil {
		return err
	}
	if l.last == 0 {
		l.first = place
	} else if err := s.setNext(l.last, place); err != nil {
		return err
	}
	l.last = place
	return s.setList(t, l)
}

// remove takes a message out.
func (s *heldSet) remove(m heldMessage) error {
	s.len--
	if err := s.records.Put([]byte{1}, m.place+goneAt); err != nil {
		return err
	}
	return s.count(trait{size: m.Size}, -1)
}

// of yields the messages of a list in the order of listing. Those that were taken out are taken off it on the way.
func (s *heldSet) of(t trait) iter.Seq2[heldMessage, error] {
	return func(yield func(heldMessage, error) bool) {
		l, err := s.list(t)
		var before int64
		for place := l.first; place != 0 && err == nil; {
			var r record
			if r, err = s.record(place); err != nil {
				break
			}
			switch {
			case !r.gone:
				if before = place; !yield(r.heldMessage, nil) {
					return
				}
			case place == l.last:
				l.last = before
				fallthrough
			default:
				if before == 0 {
					l.first = r.next
				} else if err = s.setNext(before, r.next); err != nil {
					break
				}
				err = s.setList(t, l)
			}
			place = r.next
		}
		if err != nil {
			yield(heldMessage{}, err)
		}
	}
}

// all yields all messages, in the order of listing.
func (s *heldSet) all() iter.Seq2[heldMessage, error] {
	return func(yield func(heldMessage, error) bool) {
		for place := int64(1); place < s.end; {
			r, err := s.record(place)
			if err != nil {
				yield(heldMessage{}, err)
				return
			}
			if !r.gone && !yield(r.heldMessage, nil) {
				return
			}
			place += r.octets
		}
	}
}

// unread gives the first n of the messages of a size that have not been read.
func (s *heldSet) unread(size int64, n int) ([]heldMessage, error) {
	l, err := s.list(trait{size: size})
	if l.first == 0 || err != nil {
		return nil, err
	}
	messages := make([]heldMessage, 0, min(int64(n), l.count))
	for m, err := range s.of(trait{size: size}) {
		if err != nil {
			return nil, err
		}
		if len(messages) == n {
			break
		}
		messages = append(messages, m)
	}
	return messages, nil
}

// learn notes what the first messages of a size that had not been read are. What could not be read is none of them any
// more.
func (s *heldSet) learn(size int64, messages []heldMessage, known map[Key]Digest) error {
	last, err := s.record(messages[len(messages)-1].place)
	if err != nil {
		return err
	}
	l, err := s.list(trait{size: size})
	if err != nil {
		return err
	}
	if l.first = last.next; l.first == 0 {
		l.last = 0
	}
	if err := s.setList(trait{size: size}, l); err != nil {
		return err
	}
	for _, m := range messages {
		digest, ok := known[m.Key]
		if !ok {
			err = s.remove(m)
		} else if err = s.setNext(m.place, 0); err == nil {
			err = s.append(trait{size, digest}, m.place)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// close gives back what the set takes; it is empty then.
func (s *heldSet) close() {
	s.records.Close()
	if s.lists != nil {
		s.lists.Close()
	}
	*s = heldSet{}
}
