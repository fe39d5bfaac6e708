package scratch

import (
	"bytes"
	"encoding/binary"
	"math/rand/v2"
	"os"
	"testing"
)

// inMemory tells how many octets of a File are in memory.
func inMemory(f *File) (octets int) {
	for _, p := range f.pages {
		octets += cap(p.octets)
	}
	return octets
}

// A File gives what was written to each place, in whatever order, and zeros where nothing was.
func TestFile(t *testing.T) {
	const width, count = 71, 10_000
	for name, order := range map[string]func(i int) int{
		"from first to last": func(i int) int { return i },
		"from last to first": func(i int) int { return count - 1 - i },
		"across":             func(i int) int { return i * 2_011 % count },
	} {
		t.Run(name, func(t *testing.T) {
			var f File
			defer f.Close()
			want, got := make([]byte, width), make([]byte, width)
			fill := func(i int) []byte {
				clear(want)
				if i%10 > 0 {
					binary.LittleEndian.PutUint64(want[width-8:], uint64(i))
				}
				return want
			}
			for n := range count {
				if i := order(n); i%10 > 0 {
					if err := f.Put(fill(i), int64(i*width)); err != nil {
						t.Fatal(err)
					}
				}
			}
			for n := range count {
				i := order(n)
				if err := f.Get(got, int64(i*width)); err != nil || !bytes.Equal(got, fill(i)) {
					t.Fatalf("record %d: %x, %v", i, got, err)
				}
			}
			if octets := inMemory(&f); octets > mostPages*pageOctets {
				t.Errorf("%d octets are in memory", octets)
			}
		})
	}
}

// What was written last is what is read, also where other pages have been at hand meanwhile.
func TestFileRemembersTheLastChange(t *testing.T) {
	var f File
	defer f.Close()
	want, octets := map[int64]uint64{}, make([]byte, 8)
	for range 10_000 {
		place, value := rand.Int64N(100_000)*8, rand.Uint64()
		binary.LittleEndian.PutUint64(octets, value)
		if err := f.Put(octets, place); err != nil {
			t.Fatal(err)
		}
		want[place] = value
	}
	for place, value := range want {
		if err := f.Get(octets, place); err != nil || binary.LittleEndian.Uint64(octets) != value {
			t.Fatalf("at %d: %x, %v; want %x", place, octets, err, value)
		}
	}
}

// Trouble with the file is told, and told again: what is at hand is not taken for what was asked for.
func TestFileThatIsLost(t *testing.T) {
	var f File
	for n := range int64(2 * mostPages) {
		if err := f.Put([]byte("octets"), n*pageOctets); err != nil {
			t.Fatal(err)
		}
	}
	f.file.Close()
	for range 2 {
		if err := f.Get(make([]byte, 6), 0); err == nil {
			t.Error("read what is lost")
		}
		if err := f.Put([]byte("octets"), 3*mostPages*pageOctets); err == nil {
			t.Error("wrote over what could not be kept")
		}
	}
}

// What is little needs no file.
func TestSmallFileIsInMemory(t *testing.T) {
	t.Setenv("TMPDIR", os.DevNull)
	var f File
	defer f.Close()
	octets := make([]byte, mostPages*pageOctets)
	if err := f.Put(octets, 0); err != nil {
		t.Fatal(err)
	}
	if err := f.Put([]byte{1}, int64(len(octets))); err == nil {
		t.Error("what is more was kept in memory too")
	}
}

// A closed File is as new, and leaves nothing behind.
func TestClosedFile(t *testing.T) {
	dir := t.TempDir()
	t.Setenv("TMPDIR", dir)
	var f File
	for range 2 {
		octets := []byte("octets")
		for n := range int64(2 * mostPages) {
			if err := f.Put(octets, n*pageOctets); err != nil {
				t.Fatal(err)
			}
		}
		f.Close()
		if err := f.Get(octets, 0); err != nil || !bytes.Equal(octets, make([]byte, 6)) {
			t.Errorf("it still has %q, %v", octets, err)
		}
	}
	if left, err := os.ReadDir(dir); err != nil || len(left) > 0 {
		t.Errorf("%v is left behind, %v", left, err)
	}
}
