package migrate

import (
	"cmp"
	"slices"
)

// stretches are UIDs in stretches. Once sorted they are ascending.
type stretches []run32

// add takes one more stretch.
func (s *stretches) add(first, last uint32) {
	if n := len(*s); n > 0 && uint64((*s)[n-1].last)+1 == uint64(first) {
		(*s)[n-1].last = last
		return
	}
	*s = append(*s, run32{first, last})
}

// sort puts stretches in order, and those that overlap together.
func (s *stretches) sort() {
	slices.SortFunc(*s, func(a, b run32) int { return cmp.Compare(a.first, b.first) })
	merged := (*s)[:0]
	for _, next := range *s {
		if n := len(merged); n > 0 && next.first <= merged[n-1].last {
			merged[n-1].last = max(merged[n-1].last, next.last)
		} else {
			merged = append(merged, next)
		}
	}
	*s = merged
}

// has tells whether uid lies in one of them, which are sorted.
func (s stretches) has(uid uint32) bool {
	i, exact := slices.BinarySearchFunc(s, uid, func(r run32, uid uint32) int { return cmp.Compare(r.first, uid) })
	return exact || i > 0 && uid <= s[i-1].last
}
