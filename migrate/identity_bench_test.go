package migrate

import (
	"bytes"
	"io"
	"strings"
	"testing"
)

// A message of 60 KB, in the pieces in which a connection brings it.
func BenchmarkDigest(b *testing.B) {
	text := []byte("Subject: x\r\n\r\n" + strings.Repeat(strings.Repeat("x", 70)+"\r\n", 850))
	below := bytes.NewReader(nil)
	buf := make([]byte, 16<<10)
	b.SetBytes(int64(len(text)))
	b.ReportAllocs()
	for b.Loop() {
		below.Reset(text)
		r := NewHashedReader(below)
		for {
			if _, err := r.Read(buf); err == io.EOF {
				break
			}
		}
		if r.Identity().Size != int64(len(text)) {
			b.Fatal(r.Identity())
		}
	}
}
