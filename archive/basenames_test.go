package archive

import (
	"fmt"
	"testing"
)

// Base names have the number that was put with each, and no other, in a few octets.
func TestBaseNames(t *testing.T) {
	const count = 50_000
	names := newBaseNames(count)
	name := func(i int) string { return fmt.Sprintf("%d.M%dP1.example.org,S=1,W=1", 1_600_000_000+i, i) }
	for i := range count {
		names.add(name(i), uint32(i))
	}
	names.sort()
	for i := range count {
		number := names.find(name(i))
		if number == nil || *number != uint32(i) {
			t.Fatalf("%s has %v", name(i), number)
		}
		*number = uint32(2 * i)
		if names.find(name(count+i)) != nil {
			t.Fatalf("%s is there", name(count+i))
		}
	}
	if number := names.find(name(7)); *number != 14 {
		t.Errorf("what was changed is %d", *number)
	}
	if octets := 8*cap(names.hashes) + 4*cap(names.numbers); octets > 12*count {
		t.Errorf("they take %d octets", octets)
	}
}
