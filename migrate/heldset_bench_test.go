package migrate

import (
	"encoding/binary"
	"testing"
)

// BenchmarkHeldSet puts in messages of few sizes, and takes each out by what it is, as a destination does that another tool
// has filled.
func BenchmarkHeldSet(b *testing.B) {
	var s heldSet
	defer s.close()
	digest := func(i int) (d Digest) {
		binary.BigEndian.PutUint64(d[:], uint64(i)*0x9e3779b97f4a7c15)
		return d
	}
	flags := NewFlags(`\Seen`)
	b.ReportAllocs()
	for i := 0; b.Loop(); i++ {
		if err := s.add(Message{Key: Key{Validity: 1, UID: uint32(i + 1)}, Size: int64(i % 100), Flags: flags}); err != nil {
			b.Fatal(err)
		}
		if i%lookupBatch < lookupBatch-1 {
			continue
		}
		for size := range int64(100) {
			unread, err := s.unread(size, lookupBatch)
			if err != nil {
				b.Fatal(err)
			}
			known := map[Key]Digest{}
			for _, m := range unread {
				known[m.Key] = digest(int(m.Key.UID))
			}
			if err := s.learn(size, unread, known); err != nil {
				b.Fatal(err)
			}
		}
		for j := i - lookupBatch + 1; j <= i; j++ {
			for m, err := range s.of(trait{int64(j % 100), digest(j + 1)}) {
				if err == nil {
					err = s.remove(m)
				}
				if err != nil {
					b.Fatal(err)
				}
			}
		}
	}
}
