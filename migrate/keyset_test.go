package migrate

import (
	"math/rand/v2"
	"testing"
)

// A set of keys has what was added in any order, any number of times, and nothing else; a mailbox without gaps takes no
// memory for its messages.
func TestKeySet(t *testing.T) {
	const most = 2000
	for name, share := range map[string]float64{"few": 0.05, "half": 0.5, "nearly all": 0.98, "all": 1} {
		t.Run(name, func(t *testing.T) {
			random := rand.New(rand.NewPCG(1, 2))
			var uids []uint32
			for uid := uint32(1); uid <= most; uid++ {
				if random.Float64() < share {
					uids = append(uids, uid)
				}
			}
			for _, order := range []string{"ascending", "any", "twice"} {
				added := append([]uint32{}, uids...)
				switch order {
				case "any":
					random.Shuffle(len(added), func(i, j int) { added[i], added[j] = added[j], added[i] })
				case "twice":
					added = append(added, uids[:len(uids)/2]...)
				}
				var s keySet
				want := map[uint32]bool{}
				for i, uid := range added {
					s.add(Key{Validity: 7, UID: uid})
					s.add(Key{Name: string(rune('a' + i%26))})
					want[uid] = true
					if i == len(added)/2 && !s.has(Key{Validity: 7, UID: uid}) { // asked in between, too
						t.Errorf("%s: it has not %d, which was just added", order, uid)
					}
				}
				for uid := uint32(1); uid <= most+1; uid++ {
					if s.has(Key{Validity: 7, UID: uid}) != want[uid] || s.has(Key{Validity: 8, UID: uid}) {
						t.Fatalf("%s: wrong about %d", order, uid)
					}
				}
				if !s.has(Key{Name: "a"}) || s.has(Key{Name: "A"}) || s.len() != 2*len(added) {
					t.Errorf("%s: wrong about names, or the number of keys: %d", order, s.len())
				}
				if share == 1 && len(s.runs[7]) != 1 {
					t.Errorf("%s: %d runs for a mailbox without a gap", order, len(s.runs[7]))
				}
			}
		})
	}
}

func TestKeysThatFollowEachOther(t *testing.T) {
	first := Key{Validity: 7, UID: 3}
	tests := []struct {
		name string
		keys []Key
		want bool
	}{
		{"none", nil, true},
		{"in order", []Key{{7, 3, ""}, {7, 4, ""}, {7, 5, ""}}, true},
		{"in another", []Key{{7, 5, ""}, {7, 3, ""}, {7, 4, ""}}, true},
		{"a gap", []Key{{7, 3, ""}, {7, 5, ""}}, false},
		{"from another on", []Key{{7, 4, ""}, {7, 5, ""}}, false},
		{"one twice", []Key{{7, 3, ""}, {7, 3, ""}, {7, 5, ""}}, false},
		{"one twice, as many as there should be", []Key{{7, 3, ""}, {7, 4, ""}, {7, 4, ""}}, false},
		{"one without a name", []Key{{7, 3, ""}, {}}, false},
		{"another UIDVALIDITY", []Key{{7, 3, ""}, {8, 4, ""}}, false},
	}
	for _, test := range tests {
		var s keySet
		for _, key := range test.keys {
			s.add(key)
		}
		if got := s.follow(first); got != test.want {
			t.Errorf("%s: %v", test.name, got)
		}
	}
}
