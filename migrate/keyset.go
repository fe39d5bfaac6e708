package migrate

import (
	"cmp"
	"slices"
	"sort"
)

// A keySet holds the keys of one mailbox. UIDs that follow each other are held as one run, so that a mailbox of a
// million takes no more than the gaps that it has; of a name eight octets are held. Its zero value is empty.
type keySet struct {
	runs  map[uint32][]run32 // by UIDVALIDITY, ascending and apart from each other once merged
	names hashSet
	dirty bool
	count int
}

// A run32 is all numbers from first to last.
type run32 struct{ first, last uint32 }

// len tells how many keys were added.
func (s *keySet) len() int { return s.count }

func (s *keySet) add(k Key) {
	s.count++
	if k.UID == 0 || k.Name != "" {
		s.names.add(k.Name)
		return
	}
	if s.runs == nil {
		s.runs = map[uint32][]run32{}
	}
	runs := s.runs[k.Validity]
	if n := len(runs); n > 0 {
		switch end := &runs[n-1]; {
		case k.UID-1 == end.last:
			end.last = k.UID
			return
		case k.UID <= end.last:
			s.dirty = true
		}
	}
	s.runs[k.Validity] = append(runs, run32{k.UID, k.UID})
}

func (s *keySet) has(k Key) bool {
	if k.UID == 0 || k.Name != "" {
		return s.names.has(k.Name)
	}
	s.merge()
	runs := s.runs[k.Validity]
	at := sort.Search(len(runs), func(i int) bool { return runs[i].last >= k.UID })
	return at < len(runs) && runs[at].first <= k.UID
}

// follow tells whether the keys are UIDs that follow each other from first on, each there once.
func (s *keySet) follow(first Key) bool {
	s.merge()
	runs := s.runs[first.Validity]
	return s.count == 0 || len(s.runs) == 1 && len(runs) == 1 && runs[0].first == first.UID &&
		uint64(runs[0].last)-uint64(first.UID)+1 == uint64(s.count)
}

// merge puts runs in order that were added out of it.
func (s *keySet) merge() {
	if !s.dirty {
		return
	}
	s.dirty = false
	for validity, runs := range s.runs {
		slices.SortFunc(runs, func(a, b run32) int { return cmp.Compare(a.first, b.first) })
		merged := runs[:1]
		for _, r := range runs[1:] {
			if end := &merged[len(merged)-1]; r.first <= end.last || r.first-1 == end.last {
				end.last = max(end.last, r.last)
			} else {
				merged = append(merged, r)
			}
		}
		s.runs[validity] = merged
	}
}
