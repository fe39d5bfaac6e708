package migrate

import (
	"fmt"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// heldOf gives what a list of a set has.
func heldOf(t *testing.T, s *heldSet, of trait) (messages []heldMessage) {
	t.Helper()
	for m, err := range s.of(of) {
		if err != nil {
			t.Fatal(err)
		}
		messages = append(messages, m)
	}
	return messages
}

// A message comes back from a set as it was put in.
func TestHeldSetKeepsMessagesAsTheyAre(t *testing.T) {
	messages := []Message{
		{},
		{Key: Key{Name: "1700000000.M1P2.example.org"}, Size: -1},
		{Key: Key{Validity: 1<<32 - 1, UID: 1<<32 - 1}, Size: 1 << 40, InternalDate: time.Date(2001, 2, 3, 4, 5, 6, 0, time.FixedZone("", -(3*60+30)*60)),
			Flags: NewFlags(`\Seen`, "$Forwarded", "ünusual"), Identity: Identity{Size: 1<<40 + 1, Full: Digest{1, 31: 2}, Trimmed: Digest{3, 31: 4}}},
		{Key: Key{UID: 7}, Size: 9, InternalDate: time.Unix(0, 0).UTC()},
	}
	var s heldSet
	defer s.close()
	for _, m := range messages {
		if err := s.add(m); err != nil {
			t.Fatal(err)
		}
	}
	var got []Message
	for m, err := range s.all() {
		if err != nil {
			t.Fatal(err)
		}
		got = append(got, m.Message)
	}
	if diff := cmp.Diff(messages, got); diff != "" {
		t.Error(diff)
	}
}

// A set has in each list what was put in and neither taken out nor found to be something else, in that order, whatever
// happens to it in whatever order; it is more than what is in memory.
func TestHeldSetListsWhatIsLeft(t *testing.T) {
	const count, sizes, digests = 6000, 40, 50
	var s heldSet
	defer s.close()
	var want []heldMessage // with what they are known to be, in the order of listing
	order := map[trait][]uint32{}
	chance := rand.New(rand.NewPCG(1, 2))
	for i := range uint32(count) {
		m := Message{Key: Key{Validity: 1, UID: i + 1}, Size: int64(chance.IntN(sizes))}
		if i%5 == 0 {
			m.Identity = Identity{Size: m.Size, Trimmed: Digest{byte(1 + chance.IntN(digests))}}
		}
		place := max(s.end, 1)
		if err := s.add(m); err != nil {
			t.Fatal(err)
		}
		want = append(want, heldMessage{m, place})
		key := trait{m.Size, m.Identity.Trimmed}
		order[key] = append(order[key], m.Key.UID)
	}
	gone := map[uint32]bool{}
	take := func(uid uint32) {
		if !gone[uid] {
			gone[uid] = true
			if err := s.remove(want[uid-1]); err != nil {
				t.Fatal(err)
			}
		}
	}
	check := func() {
		t.Helper()
		bySize := map[int64]int{}
		for i := range want {
			if !gone[uint32(i+1)] {
				bySize[want[i].Size]++
			}
		}
		for size := range int64(sizes) {
			if has, err := s.has(size); has != (bySize[size] > 0) || err != nil {
				t.Errorf("there is something of %d octets: %v, %v", size, has, err)
			}
		}
		for key, uids := range order {
			var left, got []uint32
			for _, uid := range uids {
				if !gone[uid] {
					left = append(left, uid)
				}
			}
			for _, m := range heldOf(t, &s, key) {
				got = append(got, m.Key.UID)
			}
			if diff := cmp.Diff(left, got); diff != "" {
				t.Errorf("%v: %s", key, diff)
			}
		}
		if s.len != int64(count-len(gone)) {
			t.Errorf("there are %d messages", s.len)
		}
	}
	check()
	for range 1500 {
		take(1 + uint32(chance.IntN(count)))
	}
	check()
	for size := range int64(sizes) {
		for {
			unread, err := s.unread(size, 20)
			if err != nil {
				t.Fatal(err)
			}
			if len(unread) == 0 {
				break
			}
			known := map[Key]Digest{}
			for _, m := range unread {
				order[trait{size: size}] = order[trait{size: size}][:0]
				if m.Key.UID%11 == 0 { // cannot be read
					gone[m.Key.UID] = true
					continue
				}
				known[m.Key] = Digest{byte(1 + chance.IntN(digests))}
				key := trait{size, known[m.Key]}
				order[key] = append(order[key], m.Key.UID)
			}
			if err := s.learn(size, unread, known); err != nil {
				t.Fatal(err)
			}
		}
	}
	check()
	for uid := range uint32(count) {
		if take(uid + 1); uid%1000 == 0 {
			check()
		}
	}
	check()
}

// To a message without any octets nothing comes that was only counted.
func TestHeldSetExpects(t *testing.T) {
	var s heldSet
	defer s.close()
	for _, digest := range []Digest{{}, {1}, {1}} {
		if err := s.expect(digest); err != nil {
			t.Fatal(err)
		}
	}
	for size := int64(-3); size < 3; size++ {
		if has, err := s.has(size); has || err != nil {
			t.Errorf("there is something of %d octets, %v", size, err)
		}
	}
	for i, want := range []bool{true, true, false} {
		if met, err := s.meet(Digest{1}); met != want || err != nil {
			t.Errorf("meeting %d: %v, %v", i, met, err)
		}
	}
	if met, err := s.meet(Digest{2}); met || err != nil {
		t.Errorf("met what nobody expects, %v", err)
	}
}

// Trouble with the temporary file is told: nothing is taken for missing.
func TestHeldSetWithoutRoom(t *testing.T) {
	t.Setenv("TMPDIR", t.TempDir()+"/missing")
	var s heldSet
	defer s.close()
	for i := range uint32(20_000) {
		if err := s.add(Message{Key: Key{UID: i + 1, Name: fmt.Sprint(i)}, Size: int64(i)}); err != nil {
			return
		}
	}
	t.Error("there is room for all")
}
