package migrate

import (
	"hash/maphash"
	"slices"
)

// A hashSet holds names by a hash of 64 bits. Nobody can know its seed; and where two of a million names are the same to it,
// which happens once in many millions of runs, one message waits for the next run.
type hashSet struct {
	buckets [][]uint64 // by the last bits, each in order
	count   int
}

var hashSeed = maphash.MakeSeed()

// hashBuckets keeps buckets short: a thousand of a million names, which is little to move for one more.
const hashBuckets = 1 << 10

func (s *hashSet) add(name string) {
	if s.buckets == nil {
		s.buckets = make([][]uint64, hashBuckets)
	}
	h := maphash.String(hashSeed, name)
	bucket := &s.buckets[h%hashBuckets]
	if at, ok := slices.BinarySearch(*bucket, h); !ok {
		*bucket = slices.Insert(*bucket, at, h)
		s.count++
	}
}

func (s *hashSet) has(name string) bool {
	if s.buckets == nil {
		return false
	}
	h := maphash.String(hashSeed, name)
	_, ok := slices.BinarySearch(s.buckets[h%hashBuckets], h)
	return ok
}
