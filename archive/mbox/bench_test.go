package mbox

import (
	"bytes"
	"io"
	"strings"
	"testing"
	"time"
)

// stored is a message of 60 KB with lines as mail has them, some of which are quoted.
var stored = []byte("Subject: x\n\n" + strings.Repeat(strings.Repeat("x", 70)+"\n", 200) +
	strings.Repeat("From here to there\n>From there\n"+strings.Repeat("y", 70)+"\n", 400))

func BenchmarkAppender(b *testing.B) {
	var a Appender
	date := time.Date(2021, 3, 4, 5, 6, 7, 0, time.UTC)
	b.SetBytes(int64(len(stored)))
	b.ReportAllocs()
	for b.Loop() {
		if err := a.Begin(io.Discard, date); err != nil {
			b.Fatal(err)
		}
		if _, err := a.Write(stored); err != nil {
			b.Fatal(err)
		}
		if err := a.Flush(); err != nil {
			b.Fatal(err)
		}
		if err := a.End(); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkUnquoter(b *testing.B) {
	quoted := []byte(quoted(string(stored)))
	var u Unquoter
	below := bytes.NewReader(nil)
	buf := make([]byte, 64<<10)
	b.SetBytes(int64(len(quoted)))
	b.ReportAllocs()
	for b.Loop() {
		below.Reset(quoted)
		u.Reset(below)
		n := 0
		for {
			got, err := u.Read(buf)
			if n += got; err == io.EOF {
				break
			}
		}
		if n != len(stored) {
			b.Fatalf("%d octets", n)
		}
	}
}
