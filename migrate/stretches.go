package migrate

import (
	"cmp"
	"slices"
)

// stretches are UIDs in stretches that are apart and ascending.
type stretches []Change

func newStretches(of []Change) stretches {
	slices.SortFunc(of, func(a, b Change) int { return cmp.Compare(a.First, b.First) })
	var merged stretches
	for _, next := range of {
		if last := len(merged) - 1; last >= 0 && next.First <= merged[last].Last {
			merged[last].Last = max(merged[last].Last, next.Last)
		} else {
			merged = append(merged, next)
		}
	}
	return merged
}

func (s stretches) has(uid uint32) bool {
	i, exact := slices.BinarySearchFunc(s, uid, func(c Change, uid uint32) int { return cmp.Compare(c.First, uid) })
	return exact || i > 0 && uid <= s[i-1].Last
}
