package pop3

import (
	"bytes"
	"encoding/binary"
	"math/rand/v2"
	"os"
	"testing"
)

// A table gives each record as it was written, in whatever order, and zeros where nothing was.
func TestTable(t *testing.T) {
	const width, count = 71, 50_000
	for name, order := range map[string]func(i int) int{
		"from first to last": func(i int) int { return i },
		"from last to first": func(i int) int { return count - 1 - i },
		"across":             func(i int) int { return i * 20_011 % count },
	} {
		t.Run(name, func(t *testing.T) {
			table := newTable(width, count)
			defer table.close()
			want := make([]byte, width)
			fill := func(i int) []byte {
				clear(want)
				if i%10 > 0 {
					binary.LittleEndian.PutUint64(want[width-8:], uint64(i))
				}
				return want
			}
			for n := range min(count, 5000) {
				i := order(n * (count / 5000))
				if i%10 == 0 {
					continue
				}
				record, err := table.change(i)
				if err != nil {
					t.Fatal(err)
				}
				copy(record, fill(i))
			}
			for n := range min(count, 5000) {
				i := order(n * (count / 5000))
				if record, err := table.record(i); err != nil || !bytes.Equal(record, fill(i)) {
					t.Fatalf("record %d: %x, %v", i, record, err)
				}
			}
			if len(table.window) > tableOctets {
				t.Errorf("%d octets are in memory", len(table.window))
			}
		})
	}
}

// What was changed last is what is read, also when the stretch at hand has been another meanwhile.
func TestTableRemembersTheLastChange(t *testing.T) {
	table, want := newTable(8, 100_000), map[int]uint64{}
	defer table.close()
	for range 3000 {
		i, value := rand.IntN(100_000), rand.Uint64()
		record, err := table.change(i)
		if err != nil {
			t.Fatal(err)
		}
		binary.LittleEndian.PutUint64(record, value)
		want[i] = value
	}
	for i, value := range want {
		if record, err := table.record(i); err != nil || binary.LittleEndian.Uint64(record) != value {
			t.Fatalf("record %d: %x, %v; want %x", i, record, err, value)
		}
	}
}

// Trouble with the file is told, and told again: what is at hand is not taken for what was asked for.
func TestTableWhoseFileIsLost(t *testing.T) {
	table := newTable(8, 100_000)
	if _, err := table.record(99_999); err != nil {
		t.Fatal(err)
	}
	table.close()
	for range 2 {
		if record, err := table.record(0); err == nil {
			t.Errorf("got %x", record)
		}
		if record, err := table.change(50_000); err == nil {
			t.Errorf("got %x", record)
		}
	}
}

// A small maildrop needs no file.
func TestSmallTableIsInMemory(t *testing.T) {
	t.Setenv("TMPDIR", os.DevNull)
	table := newTable(71, 1000)
	for i := range 1000 {
		if _, err := table.change(i); err != nil {
			t.Fatal(err)
		}
	}
}
