//go:build integration

package imap

import (
	"errors"
	"fmt"
	"slices"
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
			told := map[migrate.Key]migrate.Message{}
			for change, err := range reader.Changes(t.Context(), mbox, since) {
				if server.Name == "courier" && errors.Is(err, migrate.ErrCannotTell) {
					return // it keeps no record
				}
				if err != nil {
					t.Fatalf("%s: %v", step.name, err)
				}
				if change.First != 0 {
					gone = append(gone, stretch{change.First, change.Last})
				} else {
					told[change.Message.Key] = change.Message
				}
			}
			after := listing()
			for key, m := range after {
				now, isTold := told[key]
				was, known := before[key]
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
			if len(told) > 15 && step.name != "filled" {
				t.Errorf("%s: %d messages were told of", step.name, len(told))
			}
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
