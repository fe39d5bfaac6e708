package scratch

import (
	"bytes"
	"encoding/binary"
	"hash/maphash"
)

// A Map holds values by keys, each of one length. Of an entry six octets are in memory, of very many fewer. Make it by
// NewMap.
type Map struct {
	key   int      // octets of it
	heads []uint32 // the number of the first entry of each chain, 0 for none
	marks []uint64 // a bit for each hash that there is: of most keys that are not there nothing needs to be read
	count uint32
	nodes File   // entries: the number of the next one of the chain, key, value
	node  []byte // the entry at hand
	lost  error  // entries cannot be found any more
}

const (
	firstHeads = 64
	headMarks  = 16      // bits for each chain
	mostHeads  = 1 << 18 // 1 MiB; beyond, chains become longer
	nextOctets = 4
)

// seed is not known to who may choose keys.
var seed = maphash.MakeSeed()

// NewMap makes an empty Map of keys and values of so many octets.
func NewMap(key, value int) *Map {
	m := &Map{key: key, node: make([]byte, nextOctets+key+value)}
	m.makeHeads(firstHeads)
	return m
}

// Get gives the value of a key, to be read until the Map is used again, or nil where there is none.
func (m *Map) Get(key []byte) ([]byte, error) {
	number, err := m.find(key)
	if number == 0 || err != nil {
		return nil, err
	}
	return m.node[nextOctets+m.key:], nil
}

// Put gives a key its value, in place of another one.
func (m *Map) Put(key, value []byte) error {
	number, err := m.find(key)
	if err != nil {
		return err
	}
	if number != 0 {
		return m.nodes.Put(value, m.place(number)+nextOctets+int64(m.key))
	}
	if int(m.count) >= len(m.heads) && len(m.heads) < mostHeads {
		if m.lost = m.grow(); m.lost != nil {
			return m.lost
		}
	}
	hash := hashOf(key)
	head := m.head(hash)
	binary.LittleEndian.PutUint32(m.node, *head)
	copy(m.node[nextOctets:], key)
	copy(m.node[nextOctets+m.key:], value)
	if err := m.nodes.Put(m.node, m.place(m.count+1)); err != nil {
		return err
	}
	m.count++
	m.begin(hash, head, m.count)
	return nil
}

// Len tells how many keys there are.
func (m *Map) Len() int { return int(m.count) }

// Entry gives the ith key, from 0, in the order in which they were put first, and its value. Both can be read until the
// Map is used again.
func (m *Map) Entry(i int) (key, value []byte, err error) {
	if err := m.nodes.Get(m.node, m.place(uint32(i)+1)); err != nil {
		return nil, nil, err
	}
	return m.node[nextOctets : nextOctets+m.key], m.node[nextOctets+m.key:], nil
}

// find gives the number of the entry of a key and has it at hand, or gives 0.
func (m *Map) find(key []byte) (number uint32, err error) {
	if m.lost != nil {
		return 0, m.lost
	}
	hash := hashOf(key)
	if word, bit := m.mark(hash); *word&bit == 0 {
		return 0, nil
	}
	for number = *m.head(hash); number != 0; number = binary.LittleEndian.Uint32(m.node) {
		if err := m.nodes.Get(m.node, m.place(number)); err != nil {
			return 0, err
		}
		if bytes.Equal(m.node[nextOctets:nextOctets+m.key], key) {
			return number, nil
		}
	}
	return 0, nil
}

// grow makes twice as many chains.
func (m *Map) grow() error {
	m.makeHeads(2 * len(m.heads))
	for number := uint32(1); number <= m.count; number++ {
		if err := m.nodes.Get(m.node, m.place(number)); err != nil {
			return err
		}
		hash := hashOf(m.node[nextOctets : nextOctets+m.key])
		head := m.head(hash)
		binary.LittleEndian.PutUint32(m.node, *head)
		if err := m.nodes.Put(m.node[:nextOctets], m.place(number)); err != nil {
			return err
		}
		m.begin(hash, head, number)
	}
	return nil
}

func (m *Map) makeHeads(count int) {
	m.heads, m.marks = make([]uint32, count), make([]uint64, count*headMarks/64)
}

// begin makes an entry the first of its chain.
func (m *Map) begin(hash uint64, head *uint32, number uint32) {
	*head = number
	word, bit := m.mark(hash)
	*word |= bit
}

func hashOf(key []byte) uint64 { return maphash.Bytes(seed, key) }

func (m *Map) head(hash uint64) *uint32 { return &m.heads[hash%uint64(len(m.heads))] }

// mark gives the bit of a hash, by other digits of it than make its chain.
func (m *Map) mark(hash uint64) (word *uint64, bit uint64) {
	at := hash >> 32
	return &m.marks[at/64%uint64(len(m.marks))], 1 << (at % 64)
}

func (m *Map) place(number uint32) int64 { return int64(number-1) * int64(len(m.node)) }

// Close gives back what the Map takes.
func (m *Map) Close() { m.nodes.Close() }
