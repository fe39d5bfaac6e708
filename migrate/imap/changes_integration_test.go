//go:build integration

package imap

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"postcask/migrate"
	"postcask/migrate/testserver"
)

// TestServersTellWhatHasChanged changes a mailbox on real servers, and compares what they tell of it with two listings.
func TestServersTellWhatHasChanged(t *testing.T) {
	const mbox = migrate.Path("Changing")
	eachServer(t, func(t *testing.T, server *testserver.Server) {
		acct := New(settings(t, server, "ada"))
		hand, err := acct.Open(t.Context(), false)
		if err != nil {
			t.Fatal(err)
		}
		defer hand.Close()
		if err := hand.Create(t.Context(), migrate.Mailbox{Path: mbox}); err != nil {
			t.Fatal(err)
		}
		fill := func(n int) {
			for i := range n {
				if err := hand.Append(t.Context(), mbox, migrate.Message{}, textBody(fmt.Sprintf("Subject: %d\r\n\r\n", i))); err != nil {
					t.Fatal(err)
				}
			}
			if _, err := hand.Commit(t.Context()); err != nil {
				t.Fatal(err)
			}
		}
		reader := open(t, settings(t, server, "ada"), true)
		if _, err := reader.Mailboxes(t.Context()); err != nil {
			t.Fatal(err)
		}
		if reader.vanishes != (server.Name != "courier") {
			t.Errorf("what is gone is told: %v", reader.vanishes)
		}
		listing := func() map[migrate.Key]migrate.Message {
			all := map[migrate.Key]migrate.Message{}
			for m, err := range reader.Messages(t.Context(), mbox) {
				if err != nil {
					t.Fatal(err)
				}
				all[m.Key] = m
			}
			return all
		}
		steps := []struct {
			name string
			do   func()
		}{
			{"filled", func() { fill(20) }},
			{"nothing", func() {}},
			{"flagged", func() { command(t, hand, `UID STORE 3,7:9 +FLAGS (\Seen)`) }},
			{"some more", func() { fill(5) }},
			{"some less", func() {
				command(t, hand, `UID STORE 1,4:6,25 +FLAGS (\Deleted)`)
				command(t, hand, "EXPUNGE")
			}},
			{"all at once", func() {
				command(t, hand, `UID STORE 2,10 +FLAGS (\Deleted)`)
				command(t, hand, "EXPUNGE")
				command(t, hand, `UID STORE 11:12 +FLAGS (\Answered)`)
				fill(3)
			}},
			{"filled again", func() { fill(1000) }},
			{"ten of a thousand", func() {
				command(t, hand, `UID STORE 40:43,100,200,300,400,500,999 +FLAGS (\Deleted)`)
				command(t, hand, "EXPUNGE")
			}},
			{"emptied", func() {
				command(t, hand, `UID STORE 1:* +FLAGS (\Deleted)`)
				command(t, hand, "EXPUNGE")
			}},
		}
		for _, step := range steps {
			since, err := reader.Status(t.Context(), mbox)
			if err != nil {
				t.Fatal(err)
			}
			before := listing()
			step.do()
			var gone []stretch
			told, there := map[migrate.Key]migrate.Message{}, int64(-1)
			for change, err := range reader.Changes(t.Context(), mbox, since) {
				switch {
				case err != nil:
					t.Fatalf("%s: %v", step.name, err)
				case change.First != 0:
					gone = append(gone, stretch{change.First, change.Last})
				case change.Message.Key.IsZero():
					there = change.Messages
				default:
					told[change.Message.Key] = change.Message
				}
			}
			after := listing()
			if there != int64(len(after)) {
				t.Errorf("%s: %d messages are said to be there, of %d", step.name, there, len(after))
			}
			for key, m := range after {
				now, isTold := told[key]
				was, known := before[key]
				if server.Name == "courier" && isTold && now.Size < 0 && key.UID < since.UIDNext { // it keeps no record
					now.Size, now.InternalDate = m.Size, m.InternalDate
				}
				if isTold && (!now.Flags.Equal(m.Flags) || now.Size != m.Size || !now.InternalDate.Equal(m.InternalDate)) {
					t.Errorf("%s: told of %+v, which is %+v", step.name, now, m)
				}
				if !isTold && (!known || !was.Flags.Equal(m.Flags)) {
					t.Errorf("%s: not a word of %+v, which was %+v", step.name, m, was)
				}
			}
			inGap := func(uid uint32) bool {
				return slices.ContainsFunc(gone, func(gap stretch) bool { return gap.first <= uid && uid <= gap.last })
			}
			for key := range before {
				if _, there := after[key]; inGap(key.UID) == there {
					t.Errorf("%s: UID %d is there: %v, and in a gap: %v", step.name, key.UID, there, inGap(key.UID))
				}
			}
			for key := range after {
				if inGap(key.UID) {
					t.Errorf("%s: UID %d is there, and in a gap", step.name, key.UID)
				}
			}
			if len(told) > 15 && !strings.HasPrefix(step.name, "filled") && server.Name != "courier" {
				t.Errorf("%s: %d messages were told of", step.name, len(told))
			}
		}
	})
}

// TestAListingWhileOthersExpunge lists a mailbox of real servers from which messages go meanwhile, on both sides of where
// the listing stands: what is left is listed, each message once.
func TestAListingWhileOthersExpunge(t *testing.T) {
	const mbox, count = migrate.Path("Going"), 40 << 6
	eachServer(t, func(t *testing.T, server *testserver.Server) {
		hand, err := New(settings(t, server, "ada")).Open(t.Context(), false)
		if err != nil {
			t.Fatal(err)
		}
		defer hand.Close()
		if err := hand.Create(t.Context(), migrate.Mailbox{Path: mbox}); err != nil {
			t.Fatal(err)
		}
		for i := range 40 {
			if err := hand.Append(t.Context(), mbox, migrate.Message{}, textBody(fmt.Sprintf("Subject: %d\r\n\r\n", i))); err != nil {
				t.Fatal(err)
			}
		}
		if _, err := hand.Commit(t.Context()); err != nil {
			t.Fatal(err)
		}
		raw, err := hand.rawOf(t.Context(), mbox)
		if err != nil {
			t.Fatal(err)
		}
		for range 6 {
			command(t, hand, "NOOP") // or one of them would not see what it has copied
			command(t, hand, fmt.Sprintf("UID COPY 1:* %q", raw))
		}
		reader := open(t, settings(t, server, "ada"), true)
		if _, err := reader.Mailboxes(t.Context()); err != nil {
			t.Fatal(err)
		}
		listing := func(meanwhile func(migrate.Message)) (uids []uint32) {
			if _, err := reader.Status(t.Context(), mbox); err != nil {
				t.Fatal(err)
			}
			for m, err := range reader.Messages(t.Context(), mbox) {
				if err != nil {
					t.Fatal(err)
				}
				if uids = append(uids, m.Key.UID); meanwhile != nil {
					meanwhile(m)
				}
			}
			return uids
		}
		before := listing(nil)
		if len(before) != count {
			t.Fatalf("%d messages", len(before))
		}
		listed := listing(func(m migrate.Message) {
			if m.Key.UID != before[20] && m.Key.UID != before[stretchSize-9] {
				return
			}
			for _, number := range []int{1, 2, 3, 7, 1000, stretchSize - 1, stretchSize, stretchSize + 1, stretchSize + 400} {
				if m.Key.UID != before[20] {
					number += 5
				}
				command(t, hand, fmt.Sprintf(`UID STORE %d +FLAGS (\Deleted)`, before[number]))
			}
			command(t, hand, "EXPUNGE")
			for _, err := range reader.Fetch(t.Context(), mbox, []migrate.Message{m}) { // in which the server may tell
				if err != nil {
					t.Fatal(err)
				}
			}
			command(t, reader, "NOOP")
		})
		after := listing(nil)
		if len(after) >= count-9 || !slices.IsSorted(listed) {
			t.Errorf("%d messages are left of %d", len(after), count)
		}
		for _, uid := range after {
			if _, found := slices.BinarySearch(listed, uid); !found {
				t.Errorf("UID %d is there, and was not listed", uid)
			}
		}
		if once := slices.Compact(slices.Clone(listed)); len(once) != len(listed) {
			t.Errorf("%d are listed, %d of them more than once", len(listed), len(listed)-len(once))
		}
	})
}

// command has the server do something that postcask does not.
func command(t *testing.T, s *Session, line string) {
	t.Helper()
	if st, err := s.exchange(t.Context(), line, nil); err != nil || !st.ok() {
		t.Fatal(line, st, err)
	}
}
