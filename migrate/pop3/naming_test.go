package pop3

import (
	"crypto/sha256"
	"encoding/binary"
	"fmt"
	"runtime"
	"strings"
	"testing"

	"postcask/migrate"
)

// what gives the identity of the nth of messages of which each third is as the one before it.
func what(number int) migrate.Identity {
	digest := sha256.Sum256(binary.BigEndian.AppendUint64(nil, uint64(number-number%3/2)))
	return migrate.Identity{Size: int64(number), Full: digest, Trimmed: digest}
}

// Messages of a maildrop without UIDL are found again by the names that were made for them, and by no other spelling of
// these; very many take little memory.
func TestManyNamesMadeOfDigests(t *testing.T) {
	const count = 20_000
	drop := newMaildrop(count)
	defer drop.close()
	heap := func() int64 {
		var now runtime.MemStats
		runtime.GC()
		runtime.ReadMemStats(&now)
		return int64(now.HeapAlloc)
	}
	before := heap()
	for number := 1; number <= count; number++ {
		var err error
		switch number % 1000 {
		case 1:
			err = drop.others.setGone(number)
		case 4:
			err = drop.others.nameByNumber(number)
		default:
			err = drop.others.nameByDigest(number, what(number))
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	if grown := heap() - before; grown > 40*count {
		t.Errorf("they take %d octets of memory each", grown/count)
	}
	find := func(name string) int {
		t.Helper()
		number, err := drop.others.find(name)
		if err != nil {
			t.Fatal(err)
		}
		return number
	}
	for number := 1; number <= count; number++ {
		m, err := drop.message(number)
		if err != nil {
			t.Fatal(err)
		}
		want := digestPrefix + what(number).Trimmed.String()
		switch {
		case number%1000 == 1:
			if isGone, err := drop.others.isGone(number); !isGone || m.Key.Name != "" || err != nil {
				t.Errorf("message %d that is gone is called %q, %v", number, m.Key.Name, err)
			}
			continue
		case number%1000 == 4:
			want = fmt.Sprint(unreadablePrefix, number)
		case number%3 == 2 && number%1000 != 2:
			want += ":2"
		}
		if number%1000 == 5 { // the one before it cannot be read
			want = strings.TrimSuffix(want, ":2")
		}
		if m.Key.Name != want || m.Identity != (migrate.Identity{}) && m.Identity != what(number) || m.Identity.IsZero() != (number%1000 == 4) {
			t.Fatalf("message %d is %+v, not %s", number, m, want)
		}
		if found := find(want); found != number {
			t.Fatalf("%s is message %d, not %d", want, found, number)
		}
	}
	known := digestPrefix + what(3).Trimmed.String()
	for _, name := range []string{"", known + ":1", known + ":0", known + ":", known + ":01", known + ":99", strings.ToUpper(known), known[:40],
		digestPrefix, unreadablePrefix, unreadablePrefix + "3", unreadablePrefix + "04", unreadablePrefix + "-4", unreadablePrefix + "99999999999999999999"} {
		if number := find(name); number != 0 {
			t.Errorf("%q is message %d", name, number)
		}
	}
}
