package pop3

import (
	"bytes"
	"fmt"
	"testing"
)

// A list of names gives each as it was set, in whatever order, over many pieces.
func TestNameList(t *testing.T) {
	const count = 5000
	uidl := func(i int) []byte { return fmt.Appendf(nil, "%d-%s", i, bytes.Repeat([]byte("x"), i*7919%60)) }
	n := newNameList(count)
	for i := range count {
		if at := i * 4999 % count; at%10 > 0 {
			n.set(at, uidl(at))
		}
	}
	n.setOther(20, "made of a digest")
	n.unset(31)
	if len(n.pieces) < 5 {
		t.Fatalf("only %d pieces", len(n.pieces))
	}
	for i := range count {
		want := string(uidl(i))
		switch {
		case i == 20:
			want = "made of a digest"
		case i%10 == 0 || i == 31:
			want = ""
		}
		if got := n.of(i); got != want {
			t.Fatalf("message %d is %q, not %q", i, got, want)
		}
	}
}
