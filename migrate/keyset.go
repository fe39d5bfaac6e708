package migrate

import "slices"

// A keySet holds the keys of one mailbox, UIDs in four octets each. Its zero value is empty.
type keySet struct {
	uids  map[uint32][]uint32 // by UIDVALIDITY, ascending once sorted
	names map[string]struct{}
	dirty bool
	count int
}

// len tells how many keys were added.
func (s *keySet) len() int { return s.count }

func (s *keySet) add(k Key) {
	s.count++
	if k.UID == 0 || k.Name != "" {
		if s.names == nil {
			s.names = map[string]struct{}{}
		}
		s.names[k.Name] = struct{}{}
		return
	}
	if s.uids == nil {
		s.uids = map[uint32][]uint32{}
	}
	uids := s.uids[k.Validity]
	if len(uids) > 0 && uids[len(uids)-1] > k.UID {
		s.dirty = true
	}
	s.uids[k.Validity] = append(uids, k.UID)
}

func (s *keySet) has(k Key) bool {
	if k.UID == 0 || k.Name != "" {
		_, ok := s.names[k.Name]
		return ok
	}
	if s.dirty {
		for _, uids := range s.uids {
			slices.Sort(uids)
		}
		s.dirty = false
	}
	_, ok := slices.BinarySearch(s.uids[k.Validity], k.UID)
	return ok
}
