package archive

import (
	"bytes"
	"fmt"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"postcask/migrate"
	"postcask/migrate/ledger"
)

// readBack reads all of a mailbox back, by its number.
func readBack(t *testing.T, a *Archive, mbox migrate.Path, keys ...migrate.Key) map[migrate.Key]migrate.ReadBack {
	t.Helper()
	back := map[migrate.Key]migrate.ReadBack{}
	for b, err := range a.Keeper().ReadBack(t.Context(), mbox, keys) {
		if err != nil {
			t.Fatal(err)
		}
		back[b.Key] = b
	}
	return back
}

func TestReadBackTellsOctetsAsTheyAreOnDisk(t *testing.T) {
	inEach(t, func(t *testing.T, a *Archive) {
		wires := []string{
			"Subject: a\r\n\r\nFrom here\r\n>From there\r\n", "Subject: b\r\n\r\nno end", "bare\nlines\n", "",
			"Subject: long\r\n\r\n" + strings.Repeat("0123456789\r\n", 200_000),
		}
		var keys []migrate.Key
		for _, stored := range store(t, a, "INBOX", wires...) {
			keys = append(keys, stored.Key)
		}
		back := readBack(t, a, "INBOX", append(keys, keyOf(4711))...)
		if len(back) != len(wires) {
			t.Errorf("%d messages were read back, want %d", len(back), len(wires))
		}
		for i, wire := range wires {
			whole, head := migrate.NewHasher(), migrate.NewHeaderHasher()
			whole.Write([]byte(wire))
			head.Write([]byte(wire))
			if b := back[keys[i]]; b.Err != nil || b.Identity != whole.Identity() || b.Header != head.Digest() {
				t.Errorf("%.40q was read back as %+v", wire, b)
			}
		}
		if back := readBack(t, a, "Elsewhere", keys...); len(back) != 0 {
			t.Errorf("a mailbox that is not there gives %d messages", len(back))
		}
	})
}

// A bit that flipped in a file, a file that is gone: each such message has an error, and the others have none.
func TestReadBackSeesDamage(t *testing.T) {
	inEach(t, func(t *testing.T, a *Archive) {
		var wires []string
		for i := range 5 {
			wires = append(wires, fmt.Sprintf("Subject: number %d\r\n\r\nbody of %d\r\n", i, i))
		}
		var keys []migrate.Key
		for _, stored := range store(t, a, "INBOX", wires...) {
			keys = append(keys, stored.Key)
		}
		mail := slices.DeleteFunc(files(t, a.dir, "*"), func(file string) bool { return strings.HasPrefix(file, a.ownPath("")) })
		for _, file := range mail {
			octets, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			at := bytes.Index(octets, []byte("body of 3"))
			if at < 0 {
				continue
			}
			octets[at] ^= 0x20
			if err := os.WriteFile(file, octets, 0o600); err != nil {
				t.Fatal(err)
			}
		}
		for i, key := range keys {
			b := readBack(t, a, "INBOX", keys...)[key]
			if damaged := migrate.KindOf(b.Err) == migrate.Damaged; damaged != (i == 3) {
				t.Errorf("message %d: %v", i, b.Err)
			}
		}
		for _, file := range mail {
			if err := os.Remove(file); err != nil {
				t.Fatal(err)
			}
		}
		for key, b := range readBack(t, a, "INBOX", keys...) {
			if migrate.KindOf(b.Err) != migrate.Damaged {
				t.Errorf("%s is not there any more: %v", key, b.Err)
			}
		}
	})
}

func TestKeeperTellsTimesAndNotesDeletions(t *testing.T) {
	inEach(t, func(t *testing.T, a *Archive) {
		keeper := a.Keeper()
		if newest, err := keeper.Newest(t.Context()); err != nil || !newest.IsZero() {
			t.Errorf("a new archive was written to at %v, %v", newest, err)
		}
		future := time.Date(2041, 1, 1, 0, 0, 0, 0, time.UTC)
		for _, started := range []time.Time{future, future.AddDate(-10, 0, 0)} {
			if _, err := a.Index().StartRun(t.Context(), ledger.Run{Command: "backup", Started: started}); err != nil {
				t.Fatal(err)
			}
		}
		if newest, err := keeper.Newest(t.Context()); err != nil || !newest.Equal(future) {
			t.Errorf("the newest run was at %v, %v; want %v", newest, err, future)
		}
		key := store(t, a, "INBOX", "Subject: a\r\n\r\n")[0].Key
		added, err := keeper.Added(t.Context(), "INBOX", []migrate.Key{key, keyOf(4711), {UID: 3}})
		if err != nil || len(added) != 1 || time.Since(added[key]) > time.Minute {
			t.Errorf("added: %v, %v", added, err)
		}
		if err := keeper.NoteDeleted(t.Context(), "INBOX", []migrate.Key{{Name: "uidl-1"}, {Name: "uidl-2"}}); err != nil {
			t.Fatal(err)
		}
		var noted []string
		for e, err := range a.Index().Events(t.Context(), 0) {
			if err != nil {
				t.Fatal(err)
			}
			noted = append(noted, e.Kind+" "+string(e.Mailbox)+" "+e.Key.Name)
		}
		if want := "deleted INBOX uidl-1, deleted INBOX uidl-2"; strings.Join(noted, ", ") != want {
			t.Errorf("noted %q, want %q", noted, want)
		}
	})
}
