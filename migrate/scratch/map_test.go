package scratch

import (
	"encoding/binary"
	"testing"
)

// A Map has what was put last for each key, and nothing else, also while it grows.
func TestMap(t *testing.T) {
	const most = 10_000
	m := NewMap(8, 4)
	defer m.Close()
	key := func(i int) []byte { return binary.BigEndian.AppendUint64(nil, uint64(i)*7919) }
	value := func(i int) []byte { return binary.BigEndian.AppendUint32(nil, uint32(i)) }
	for i := range most {
		if got, err := m.Get(key(i)); got != nil || err != nil {
			t.Fatalf("it has %x for key %d before that is put, %v", got, i, err)
		}
		if err := m.Put(key(i), value(i)); err != nil {
			t.Fatal(err)
		}
		if err := m.Put(key(i/2), value(i/2+most)); err != nil {
			t.Fatal(err)
		}
	}
	for i := range most {
		want := i
		if i <= (most-1)/2 {
			want = i + most
		}
		if got, err := m.Get(key(i)); err != nil || string(got) != string(value(want)) {
			t.Fatalf("key %d: %x, %v; want %x", i, got, err, value(want))
		}
		if k, v, err := m.Entry(i); err != nil || string(k) != string(key(i)) || string(v) != string(value(want)) {
			t.Fatalf("entry %d: %x, %x, %v", i, k, v, err)
		}
	}
	if m.Len() != most {
		t.Errorf("it has %d keys", m.Len())
	}
	if octets := 4*cap(m.heads) + 8*cap(m.marks) + inMemory(&m.nodes); octets > 6*2*most+mostPages*pageOctets {
		t.Errorf("%d octets are in memory", octets)
	}
}

// A Map whose file was lost says so, and never that a key is not there.
func TestMapThatIsLost(t *testing.T) {
	m := NewMap(8, 4)
	key := func(i int) []byte { return binary.BigEndian.AppendUint64(nil, uint64(i)) }
	const count = 10_000
	for i := range count {
		if err := m.Put(key(i), make([]byte, 4)); err != nil {
			t.Fatal(err)
		}
	}
	m.nodes.file.Close()
	told := 0
	for i := range 2 * count {
		switch got, err := m.Get(key(i)); {
		case err != nil:
			told++
		case got == nil && i < count:
			t.Fatalf("key %d is not there", i)
		}
	}
	if told == 0 {
		t.Error("no trouble is told")
	}
	for i := count; i < 3*count; i++ { // until it grows
		if err := m.Put(key(i), make([]byte, 4)); err != nil && m.lost != nil {
			break
		}
	}
	if got, err := m.Get(key(1)); m.lost != nil && err == nil {
		t.Errorf("got %x", got)
	}
}

func BenchmarkMap(b *testing.B) {
	m := NewMap(40, 24)
	defer m.Close()
	key, value := make([]byte, 40), make([]byte, 24)
	i := uint64(0)
	for b.Loop() {
		i++
		binary.BigEndian.PutUint64(key, i*0x9e3779b97f4a7c15)
		if err := m.Put(key, value); err != nil {
			b.Fatal(err)
		}
		binary.BigEndian.PutUint64(key, (i/2+1)*0x9e3779b97f4a7c15)
		if _, err := m.Get(key); err != nil {
			b.Fatal(err)
		}
	}
}
