package lines

import (
	"bytes"
	"io"
	"strings"
	"testing"
)

// wire is a message of 60 KB with lines as mail has them.
var wire = []byte("Subject: x\r\n\r\n" + strings.Repeat(strings.Repeat("x", 70)+"\r\n", 850))

func BenchmarkReader(b *testing.B) {
	stored := bytes.ReplaceAll(wire, []byte("\r\n"), []byte("\n"))
	var r Reader
	below := bytes.NewReader(nil)
	buf := make([]byte, 64<<10)
	b.SetBytes(int64(len(wire)))
	b.ReportAllocs()
	for b.Loop() {
		below.Reset(stored)
		r.Reset(below)
		n := 0
		for {
			got, err := r.Read(buf)
			if n += got; err == io.EOF {
				break
			}
		}
		if n != len(wire) {
			b.Fatalf("%d octets", n)
		}
	}
}
