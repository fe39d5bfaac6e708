package pop3

import (
	"encoding/binary"
	"hash/maphash"
	"slices"
	"strings"

	"postcask/migrate"
	"postcask/migrate/scratch"
)

// A maildrop is what a server told of its messages, and the names that they go by. Numbers count from 1 (RFC 1939,
// section 5).
type maildrop struct {
	count    int
	sizes    scratch.File    // 8 octets each: as announced, -1 where not told
	uidls    scratch.File    // length and octets of each; length 0 where there is none, or none that only one message has
	number   [sizeWidth]byte // the size at hand
	text     [uidlWidth]byte // the UIDL at hand
	nameless int             // messages without a UIDL
	at       int             // from here on a name is looked for

	named  int // messages up to this number have been named
	others digests
}

const (
	longestUIDL = 70
	uidlWidth   = 1 + longestUIDL
	sizeWidth   = 8
)

func newMaildrop(count int) *maildrop {
	return &maildrop{count: count, nameless: count}
}

// close gives back what the maildrop takes; it may be nil.
func (d *maildrop) close() {
	if d != nil {
		d.sizes.Close()
		d.uidls.Close()
		d.others.close()
	}
}

// usable tells whether a UIDL is one: 1 to 70 octets from 0x21 to 0x7E (RFC 1939, section 7).
func usable[T string | []byte](uidl T) bool {
	for i := range len(uidl) {
		if uidl[i] < 0x21 || uidl[i] > 0x7e {
			return false
		}
	}
	return len(uidl) >= 1 && len(uidl) <= longestUIDL
}

func (d *maildrop) setSize(number int, size int64) error {
	record := binary.LittleEndian.AppendUint64(d.number[:0], uint64(size))
	return d.sizes.Put(record, int64(number-1)*sizeWidth)
}

// size gives the octets that the server announced of a message, or -1.
func (d *maildrop) size(number int) (int64, error) {
	record := d.number[:]
	err := d.sizes.Get(record, int64(number-1)*sizeWidth)
	return int64(binary.LittleEndian.Uint64(record)), err
}

// setUIDL gives a usable UIDL to a message that has none.
func (d *maildrop) setUIDL(number int, uidl []byte) error {
	record := append(append(d.text[:0], byte(len(uidl))), uidl...)
	d.nameless--
	return d.uidls.Put(record, int64(number-1)*uidlWidth)
}

// uidl gives the UIDL of a message, valid until another is asked for. It is empty where there is none.
func (d *maildrop) uidl(number int) ([]byte, error) {
	record := d.text[:]
	if err := d.uidls.Get(record, int64(number-1)*uidlWidth); err != nil {
		return nil, err
	}
	return record[1 : 1+record[0]], nil
}

var uidlSeed = maphash.MakeSeed()

// hashOf stands for a UIDL. Nobody can know its seed; and where two of a million UIDLs have the same, which happens once in
// many millions of sessions, they are taken for doubles.
func hashOf(uidl []byte) uint64 { return maphash.Bytes(uidlSeed, uidl) }

// dropDoubles takes the name from all messages that share it: which is which may be told otherwise next time. It is given
// the hashes of all names, which it changes.
func (d *maildrop) dropDoubles(hashes []uint64) error {
	slices.Sort(hashes)
	double := hashes[:0] // one less of each
	for i := 1; i < len(hashes); i++ {
		if hash := hashes[i]; hash == hashes[i-1] {
			double = append(double, hash)
		}
	}
	for number := 1; number <= d.count && len(double) > 0; number++ {
		uidl, err := d.uidl(number)
		if err != nil {
			return err
		}
		if _, ok := slices.BinarySearch(double, hashOf(uidl)); !ok || len(uidl) == 0 {
			continue
		}
		if err := d.uidls.Put([]byte{0}, int64(number-1)*uidlWidth); err != nil {
			return err
		}
		d.nameless++
	}
	return nil
}

// name gives the name of a message; it is empty where it has none yet.
func (d *maildrop) name(number int) (string, error) {
	uidl, err := d.uidl(number)
	if len(uidl) > 0 || err != nil {
		return string(uidl), err
	}
	return d.others.name(number)
}

// A scan is what LIST tells of a message (RFC 1939, section 5).
type scan struct {
	number int
	size   int64
}

// find looks for messages by name, among those that have been named; number 0 means that there is none. The maildrop is
// read on from where the last one was found: who asks in its order, some at once, has it read but once in all.
func (d *maildrop) find(messages []migrate.Message) (found map[string]scan, err error) {
	found = make(map[string]scan, len(messages))
	lacking := 0
	for i := range messages {
		key := messages[i].Key
		if _, twice := found[key.Name]; twice || key.UID != 0 || key.Validity != 0 {
			continue
		}
		var other scan
		number, err := d.others.find(key.Name)
		if err == nil && number > 0 {
			other, err = d.scan(number)
		}
		if err != nil {
			return nil, err
		}
		if number == 0 && usable(key.Name) {
			lacking++
		}
		found[key.Name] = other
	}
	for range d.count {
		if lacking == 0 {
			break
		}
		number := d.at + 1
		d.at = number % d.count
		uidl, err := d.uidl(number)
		if err != nil {
			return nil, err
		}
		if _, wanted := found[string(uidl)]; !wanted || len(uidl) == 0 {
			continue
		}
		if found[string(uidl)], err = d.scan(number); err != nil {
			return nil, err
		}
		lacking--
	}
	return found, nil
}

func (d *maildrop) scan(number int) (scan, error) {
	size, err := d.size(number)
	return scan{number, size}, err
}

// mayBeUnnamed tells whether a name that is not known may belong to a message that has none yet.
func (d *maildrop) mayBeUnnamed(name string) (bool, error) {
	if d.named == d.count || !isOther(name) {
		return false, nil
	}
	number, err := d.others.find(name)
	return number == 0, err
}

// message gives what is known of a message that has been named.
func (d *maildrop) message(number int) (m migrate.Message, err error) {
	if m.Key.Name, err = d.name(number); err != nil {
		return m, err
	}
	if strings.HasPrefix(m.Key.Name, digestPrefix) && len(m.Key.Name) > longestUIDL {
		m.Identity, err = d.others.identity(number)
		m.Size = m.Identity.Size
		return m, err
	}
	m.Size, err = d.size(number)
	return m, err
}
