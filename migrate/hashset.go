package migrate

import (
	"hash/maphash"
	"slices"
	"sort"
)

// A hashSet holds names by 58 bits of a hash, in a little more than 6 octets each: in very large numbers they are most of
// what a run keeps in memory. Nobody can know the hash's seed; and where two of a million names are the same to it, which
// happens once in hundreds of thousands of runs, one message waits for the next run.
type hashSet struct {
	buckets [][]byte // by the last ten bits; the first 48 of each name, in order
}

var hashSeed = maphash.MakeSeed()

const (
	hashBuckets = 1 << 10 // short ones: a thousand of a million names, which is little to move for one more
	hashOctets  = 6
)

func (s *hashSet) add(name string) {
	if s.buckets == nil {
		s.buckets = make([][]byte, hashBuckets)
	}
	h := maphash.String(hashSeed, name)
	bucket := &s.buckets[h%hashBuckets]
	if at, ok := findHash(*bucket, h); !ok {
		*bucket = slices.Insert(*bucket, at, byte(h>>56), byte(h>>48), byte(h>>40), byte(h>>32), byte(h>>24), byte(h>>16))
	}
}

func (s *hashSet) has(name string) bool {
	if s.buckets == nil {
		return false
	}
	h := maphash.String(hashSeed, name)
	_, ok := findHash(s.buckets[h%hashBuckets], h)
	return ok
}

// findHash gives the place of the 48 first bits of h, and whether they are there.
func findHash(bucket []byte, h uint64) (at int, ok bool) {
	kept := func(i int) uint64 {
		b := bucket[i*hashOctets:][:hashOctets]
		return uint64(b[0])<<40 | uint64(b[1])<<32 | uint64(b[2])<<24 | uint64(b[3])<<16 | uint64(b[4])<<8 | uint64(b[5])
	}
	n := len(bucket) / hashOctets
	i := sort.Search(n, func(i int) bool { return kept(i) >= h>>16 })
	return i * hashOctets, i < n && kept(i) == h>>16
}
