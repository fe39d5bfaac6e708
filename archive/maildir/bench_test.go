package maildir

import (
	"testing"
	"time"
)

func BenchmarkNames(b *testing.B) {
	now := time.Date(2021, 3, 4, 5, 6, 7, 0, time.UTC)
	b.ReportAllocs()
	for n := uint64(0); b.Loop(); n++ {
		name := Name{Unique: Unique(now, 4711, n, "abcdefgh", "mail.example.org"), Disk: 60000, Wire: 60850}
		if _, letters := Split(Join(name.Base(), "FS")); letters != "FS" {
			b.Fatal(letters)
		}
	}
}
