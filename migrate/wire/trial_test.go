package wire

import (
	"testing"
	"time"
)

// The first connection that is compressed is compared with itself, and what it finds out holds for all of them.
func TestCompressionOfNoUseIsNotSpread(t *testing.T) {
	cases := []struct {
		name     string
		brings   int64         // octets, inflated
		waited   time.Duration // for them
		closed   bool          // before it is known
		others   bool          // may be compressed then
		meantime bool          // it is known
	}{
		{"twice as fast", 8 << 20, 2 * time.Second, false, true, true},
		{"so fast that nobody waits", 32 << 20, 0, false, true, true},
		{"slower: the server has too much to do", 3 << 20, 2 * time.Second, false, false, true},
		{"not yet known", 3 << 20, time.Second, false, false, false},
		{"the connection ends before", 3 << 20, time.Second, true, true, false},
	}
	for _, c := range cases {
		link := new(Link)
		link.Answered(time.Second)
		link.down.add(8<<20, time.Now().Add(-4*time.Second), time.Now())
		socket := &clocked{link: link, awaited: 4 << 20, waited: 2 * time.Second} // 2 MiB a second
		first := newTrial(socket)
		link.compresses(first)
		link.compresses(newTrial(socket)) // one that has asked at the same moment
		if link.Slow(Down) != 0 {
			t.Errorf("%s: the others do not wait", c.name)
		}
		socket.waited += c.waited
		first.judge(link, c.brings)
		if first.over != c.meantime {
			t.Errorf("%s: known %v", c.name, first.over)
		}
		if c.closed {
			link.tried(first, false, false)
		}
		if others := link.Slow(Down) > 0; others != c.others {
			t.Errorf("%s: others may be compressed: %v", c.name, others)
		}
	}
}
