package lines

import (
	"bytes"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/iotest"

	"pgregory.net/rapid"
)

// store puts wire into a file in pieces of the given size and gives what lies there.
func store(t interface{ Fatal(...any) }, dir, wire string, piece int) (string, *Writer) {
	f, err := os.CreateTemp(dir, "")
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	end := int64(0)
	var w Writer
	w.Reset(f, func() error {
		end, err = f.Seek(0, io.SeekCurrent)
		if err != nil {
			return err
		}
		if end, err = Widen(f, 0, end); err != nil {
			return err
		}
		_, err = f.Seek(end, io.SeekStart)
		return err
	})
	for rest := wire; rest != ""; {
		n := min(piece, len(rest))
		if _, err := w.Write([]byte(rest[:n])); err != nil {
			t.Fatal(err)
		}
		rest = rest[n:]
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	stored, err := os.ReadFile(f.Name())
	if err != nil {
		t.Fatal(err)
	}
	return string(stored), &w
}

func check(t interface {
	Fatal(...any)
	Fatalf(string, ...any)
}, dir, wire string, piece int) {
	plain := strings.ReplaceAll(wire, "\r\n", "")
	raw := strings.ContainsAny(plain, "\r\n")
	want := wire
	if !raw {
		want = strings.ReplaceAll(wire, "\r\n", "\n")
	}
	stored, w := store(t, dir, wire, piece)
	if stored != want {
		t.Fatalf("%.80q in pieces of %d is stored as %.80q, want %.80q", wire, piece, stored, want)
	}
	if w.Raw() != raw || w.Wire() != int64(len(wire)) || w.Disk() != int64(len(want)) || w.Open() != !strings.HasSuffix(wire, "\n") {
		t.Fatalf("%.80q: raw %v, wire %d, disk %d, open %v", wire, w.Raw(), w.Wire(), w.Disk(), w.Open())
	}
	back := stored
	if !raw {
		b, err := io.ReadAll(NewReader(iotest.HalfReader(strings.NewReader(stored))))
		if err != nil {
			t.Fatal(err)
		}
		back = string(b)
	}
	if back != wire {
		t.Fatalf("%.80q comes back as %.80q", wire, back)
	}
}

func TestRoundTrip(t *testing.T) {
	long := strings.Repeat("x", 100)
	for _, wire := range []string{
		"", "\r", "\n", "\r\n", "\n\r", "\r\r\n", "\r\n\r", "\r\n\n", "a", "a\r\n", "a\r\nb", "a\nb\r\n", "a\rb\r\n", "a\r\nb\r",
		"\x00\r\n\x00", "a\r\r\nb\n", "one\r\ntwo\r\nthree\r\nand\nmore\r\n",
		strings.Repeat(long+"\r\n", 2000), strings.Repeat(long+"\r\n", 2000) + "\n", strings.Repeat("\r\n", 100000) + "\r",
		strings.Repeat("x", 10<<20), strings.Repeat("x", chunk-1) + "\r\n", strings.Repeat("x", chunk-1) + "\rx",
	} {
		for _, piece := range []int{1, 2, 3, chunk - 1, chunk, 1 << 30} {
			if piece < 4 && len(wire) > 1000 {
				continue
			}
			check(t, t.TempDir(), wire, piece)
		}
	}
}

func TestRoundTripOfAnything(t *testing.T) {
	dir := t.TempDir()
	rapid.Check(t, func(t *rapid.T) {
		parts := rapid.SliceOf(rapid.SampledFrom([]string{"\r\n", "\r\n", "\r\n", "\r", "\n", "a", "From ", "\x00"})).Draw(t, "parts")
		check(t, dir, strings.Join(parts, ""), rapid.IntRange(1, 9).Draw(t, "piece"))
	})
}

func FuzzRoundTrip(f *testing.F) {
	f.Add([]byte("a\r\nb\r\n"), 1)
	f.Add([]byte("a\nb\r\n\r"), 2)
	f.Fuzz(func(t *testing.T, wire []byte, piece int) {
		check(t, t.TempDir(), string(wire), max(1, piece))
	})
}

// A disk that fails while CRs are put back must be heard of.
func TestWidenTellsErrors(t *testing.T) {
	path := filepath.Join(t.TempDir(), "f")
	if err := os.WriteFile(path, []byte("a\nb\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	f, err := os.Open(path) // read only: writing fails
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if _, err := Widen(f, 0, 4); err == nil {
		t.Error("writing to a file open for reading succeeded")
	}
	if _, err := Widen(f, 0, 9); err == nil {
		t.Error("a file that is too short went unnoticed")
	}
}

func BenchmarkWriter(b *testing.B) {
	wire := bytes.Repeat([]byte(strings.Repeat("x", 70)+"\r\n"), 15000)
	var w Writer
	b.SetBytes(int64(len(wire)))
	b.ReportAllocs()
	for b.Loop() {
		w.Reset(io.Discard, nil)
		if _, err := w.Write(wire); err != nil {
			b.Fatal(err)
		}
	}
}
