package migrate

import (
	"fmt"
	"testing"
)

// A set of names has what was added, and nothing else, also where it is asked between two additions.
func TestHashSet(t *testing.T) {
	const most = 20_000
	var s hashSet
	name := func(i int) string { return fmt.Sprintf("%08x", i*7919%most) }
	for i := range most {
		if s.has(name(i)) {
			t.Fatalf("it has %s before it is added", name(i))
		}
		s.add(name(i))
		s.add(name(i / 2))
		if !s.has(name(i)) || !s.has(name(i/3)) {
			t.Fatalf("it has not what was added up to %s", name(i))
		}
	}
	octets := 0
	for _, bucket := range s.buckets {
		octets += len(bucket)
	}
	if octets != most*hashOctets {
		t.Errorf("it holds %d octets of %d names", octets, most)
	}
}
