package pop3

import (
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"strconv"
	"strings"

	"postcask/migrate"
	"postcask/migrate/scratch"
)

const (
	// A name that a digest gives begins so. With the digest it is longer than any UIDL may be: no server can forge one.
	digestPrefix = "sha256:"
	// unreadablePrefix holds a space, which no UIDL does.
	unreadablePrefix = "unreadable message "
)

// digests are what is known of the messages that no UIDL names. There may be as many as a maildrop can hold: of each its
// record is in one temporary file and its place in another. The zero value is empty.
type digests struct {
	records scratch.File // the state of each message and what it is, by number
	numbers *scratch.Map // by digest and twin; of twin 0, how many there are
	record  [recordWidth]byte
}

// The states of a message; any other is which of the messages of one digest it is, from 1.
const (
	unnamed    = 0
	unreadable = 1<<32 - 1
	gone       = 1<<32 - 2 // vanished since the listing
)

const (
	digestWidth = len(migrate.Digest{})
	stateWidth  = 4
	recordWidth = stateWidth + sizeWidth + 2*digestWidth
)

func (d *digests) close() {
	d.records.Close()
	if d.numbers != nil {
		d.numbers.Close()
	}
}

// get gives the state of a message, and what it is where it is named by that.
func (d *digests) get(number int) (state uint32, id migrate.Identity, err error) {
	if err := d.records.Get(d.record[:], int64(number)*int64(recordWidth)); err != nil {
		return 0, id, err
	}
	state = binary.LittleEndian.Uint32(d.record[:])
	id.Size = int64(binary.LittleEndian.Uint64(d.record[stateWidth:]))
	digests := d.record[stateWidth+sizeWidth:]
	copy(id.Full[:], digests)
	copy(id.Trimmed[:], digests[digestWidth:])
	return state, id, nil
}

func (d *digests) put(number int, state uint32, id migrate.Identity) error {
	record := binary.LittleEndian.AppendUint32(d.record[:0], state)
	record = binary.LittleEndian.AppendUint64(record, uint64(id.Size))
	record = append(append(record, id.Full[:]...), id.Trimmed[:]...)
	return d.records.Put(record, int64(number)*int64(recordWidth))
}

// nameByDigest names a message by what it is. Of several that are the same, the first has the plain digest and the
// further ones ":2", ":3" and so on, in the order of the maildrop.
func (d *digests) nameByDigest(number int, id migrate.Identity) error {
	if d.numbers == nil {
		d.numbers = scratch.NewMap(digestWidth+stateWidth, stateWidth)
	}
	twins, err := d.look(id.Trimmed, 0)
	if err != nil {
		return err
	}
	twins++
	if err := d.numbers.Put(twinKey(id.Trimmed, 0), binary.LittleEndian.AppendUint32(nil, twins)); err != nil {
		return err
	}
	if err := d.numbers.Put(twinKey(id.Trimmed, twins), binary.LittleEndian.AppendUint32(nil, uint32(number))); err != nil {
		return err
	}
	return d.put(number, twins, id)
}

// nameByNumber names a message that has no UIDL and cannot be read, for this session alone: who asks for it is told why.
func (d *digests) nameByNumber(number int) error {
	return d.put(number, unreadable, migrate.Identity{})
}

// setGone notes that a message has vanished since the listing.
func (d *digests) setGone(number int) error { return d.put(number, gone, migrate.Identity{}) }

func (d *digests) isGone(number int) (bool, error) {
	state, _, err := d.get(number)
	return state == gone, err
}

// identity gives what a message is that its digest names.
func (d *digests) identity(number int) (migrate.Identity, error) {
	_, id, err := d.get(number)
	return id, err
}

// name gives the name of a message; it is empty where it has none.
func (d *digests) name(number int) (string, error) {
	state, id, err := d.get(number)
	switch {
	case err != nil || state == unnamed || state == gone:
		return "", err
	case state == unreadable:
		return unreadablePrefix + strconv.Itoa(number), nil
	case state == 1:
		return digestPrefix + id.Trimmed.String(), nil
	}
	return fmt.Sprintf("%s%s:%d", digestPrefix, id.Trimmed, state), nil
}

// isOther tells whether a name is one that is made here.
func isOther(name string) bool {
	return strings.HasPrefix(name, digestPrefix) || strings.HasPrefix(name, unreadablePrefix)
}

// find gives the number of the message that has a name, or 0.
func (d *digests) find(name string) (number int, err error) {
	if digits, ok := strings.CutPrefix(name, unreadablePrefix); ok {
		number, _ = strconv.Atoi(digits)
	} else if text, ok := strings.CutPrefix(name, digestPrefix); ok && d.numbers != nil {
		text, twin, _ := strings.Cut(text, ":")
		nth, _ := strconv.ParseUint(twin, 10, 31)
		var digest migrate.Digest
		if octets, err := hex.DecodeString(text); err == nil && len(octets) == digestWidth {
			copy(digest[:], octets)
		}
		found, err := d.look(digest, max(1, uint32(nth)))
		if err != nil {
			return 0, err
		}
		number = int(found)
	}
	if number <= 0 || number > maildropLimit {
		return 0, nil
	}
	if its, err := d.name(number); its != name || err != nil { // a name may be written in other ways than it is given
		return 0, err
	}
	return number, nil
}

// look gives what is noted under a digest and a twin, or 0.
func (d *digests) look(digest migrate.Digest, twin uint32) (uint32, error) {
	value, err := d.numbers.Get(twinKey(digest, twin))
	if value == nil || err != nil {
		return 0, err
	}
	return binary.LittleEndian.Uint32(value), nil
}

func twinKey(digest migrate.Digest, twin uint32) []byte {
	return binary.LittleEndian.AppendUint32(digest[:], twin)
}
