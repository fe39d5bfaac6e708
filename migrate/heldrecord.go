package migrate

import (
	"encoding/binary"
	"errors"
)

// A record is a message as it lies in a heldSet: the place of the next one of its list, whether it was taken out, how many
// octets follow, and those.
type record struct {
	heldMessage
	next   int64
	gone   bool
	octets int64 // of the whole record
}

const (
	goneAt     = 8
	lengthAt   = goneAt + 1
	recordHead = lengthAt + 4
)

// appendRecord appends the record of a message that is in no list.
func appendRecord(octets []byte, m Message) ([]byte, error) {
	start := len(octets)
	octets = append(octets, make([]byte, recordHead)...)
	octets = binary.AppendVarint(octets, m.Size)
	octets = binary.AppendUvarint(octets, uint64(m.Key.Validity))
	octets = binary.AppendUvarint(octets, uint64(m.Key.UID))
	octets = appendText(octets, m.Key.Name)
	date, err := m.InternalDate.MarshalBinary()
	if err != nil {
		return nil, err
	}
	octets = appendText(octets, string(date))
	octets = binary.AppendUvarint(octets, uint64(len(m.Flags)))
	for _, flag := range m.Flags {
		octets = appendText(octets, flag)
	}
	if !m.Identity.IsZero() {
		octets = binary.AppendVarint(octets, m.Identity.Size)
		octets = append(append(octets, m.Identity.Full[:]...), m.Identity.Trimmed[:]...)
	}
	binary.LittleEndian.PutUint32(octets[start+lengthAt:], uint32(len(octets)-start-recordHead))
	return octets, nil
}

func appendText(octets []byte, text string) []byte {
	return append(binary.AppendUvarint(octets, uint64(len(text))), text...)
}

// record reads the record at a place.
func (s *heldSet) record(place int64) (r record, err error) {
	var head [recordHead]byte
	if err := s.records.Get(head[:], place); err != nil {
		return r, err
	}
	r.place, r.next, r.gone = place, int64(binary.LittleEndian.Uint64(head[:])), head[goneAt] != 0
	length := binary.LittleEndian.Uint32(head[lengthAt:])
	r.octets = recordHead + int64(length)
	if int64(length) > s.end-place {
		return r, errTorn
	}
	s.octets = append(s.octets[:0], make([]byte, length)...)
	if err := s.records.Get(s.octets, place+recordHead); err != nil {
		return r, err
	}
	d := decoder{octets: s.octets}
	r.Size = d.varint()
	r.Key = Key{Validity: uint32(d.uvarint()), UID: uint32(d.uvarint()), Name: d.text()}
	if err := r.InternalDate.UnmarshalBinary([]byte(d.text())); err != nil {
		return r, err
	}
	for flags := d.uvarint(); flags > 0 && d.err == nil; flags-- {
		r.Flags = append(r.Flags, d.text())
	}
	if len(d.octets) > 0 {
		r.Identity.Size = d.varint()
		copy(r.Identity.Full[:], d.take(len(Digest{})))
		copy(r.Identity.Trimmed[:], d.take(len(Digest{})))
	}
	return r, d.err
}

// setNext puts a message before another one in its list.
func (s *heldSet) setNext(place, next int64) error {
	return s.records.Put(binary.LittleEndian.AppendUint64(nil, uint64(next)), place)
}

// errTorn says that a temporary file does not hold what was written to it.
var errTorn = errors.New("a temporary file does not hold what was written to it")

// A decoder takes apart what appendRecord has put together.
type decoder struct {
	octets []byte
	err    error
}

func (d *decoder) take(n int) []byte {
	if n < 0 || n > len(d.octets) {
		d.octets, d.err = nil, errTorn
		return nil
	}
	taken := d.octets[:n]
	d.octets = d.octets[n:]
	return taken
}

func (d *decoder) uvarint() uint64 {
	value, n := binary.Uvarint(d.octets)
	if n <= 0 {
		n = -1
	}
	d.take(n)
	return value
}

func (d *decoder) varint() int64 {
	value, n := binary.Varint(d.octets)
	if n <= 0 {
		n = -1
	}
	d.take(n)
	return value
}

func (d *decoder) text() string { return string(d.take(int(d.uvarint()))) }
