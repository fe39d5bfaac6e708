// Package storetest holds the tests that every Source and every Sink passes, so that a new store begins with three
// lines of test.
package storetest

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"testing"
	"time"

	"postcask/migrate"
)

// A Store is what is tested: an empty store that mail can be put into and read back from.
type Store struct {
	Open func(ctx context.Context) (Both, error) // one more connection
	// Keywords tells whether the store keeps any keyword.
	Keywords bool
	// LastLineEnd tells that the store gives a message that lacks its last CRLF as it came.
	LastLineEnd bool
}

// Both is an end that can be read and written.
type Both interface {
	migrate.Source
	migrate.Sink
}

// Awkward holds messages whose octets tempt a store to change them. All have CRLF line ends and no NUL, so that any
// server takes them.
var Awkward = map[string]string{
	"plain":          "Subject: plain\r\n\r\nhello\r\n",
	"from lines":     "Subject: from\r\n\r\nFrom here\r\n>From there\r\n>>From beyond\r\n From indented\r\nFrom \r\n",
	"dots":           "Subject: dots\r\n\r\n.\r\n..\r\n.x\r\n...\r\n",
	"header only":    "Subject: header only\r\n\r\n",
	"blank lines":    "Subject: blank\r\n\r\n\r\n\r\n\r\nx\r\n\r\n\r\n\r\n",
	"8 bit":          "Subject: 8bit\r\n\r\n\xe4\xf6\xfc \xff\xfe ünï\r\n",
	"long line":      "Subject: long\r\n\r\n" + strings.Repeat("x", 70000) + "\r\n",
	"literal inside": "Subject: literal\r\n\r\nA1 APPEND x {77}\r\n{5}\r\n* BYE\r\n",
}

// Run runs all tests, each on stores of its own.
func Run(t *testing.T, make func(t *testing.T) Store) {
	t.Run("octets, date and flags come back", func(t *testing.T) { roundTrip(t, make(t)) })
	t.Run("mailboxes are listed, parents first", func(t *testing.T) { mailboxes(t, make(t)) })
	t.Run("what is created twice is there once", func(t *testing.T) { createTwice(t, make(t)) })
	t.Run("nothing is there before the commit", func(t *testing.T) { uncommitted(t, make(t)) })
	t.Run("a body that breaks off leaves nothing", func(t *testing.T) { brokenBody(t, make(t)) })
	t.Run("what vanished is left out", func(t *testing.T) { vanished(t, make(t)) })
	t.Run("bodies may be left unread", func(t *testing.T) { unread(t, make(t)) })
	t.Run("flags can be set", func(t *testing.T) { setFlags(t, make(t)) })
	t.Run("a cancelled context ends it", func(t *testing.T) { cancelled(t, make(t)) })
}

func open(t *testing.T, s Store) Both {
	t.Helper()
	end, err := s.Open(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { end.Close() })
	return end
}

var when = time.Date(2015, 2, 3, 4, 5, 6, 0, time.FixedZone("", -5*3600))

// put appends messages to a mailbox and commits them.
func put(t *testing.T, end Both, path migrate.Path, flags migrate.Flags, octets ...string) []migrate.Stored {
	t.Helper()
	if err := end.Create(t.Context(), migrate.Mailbox{Path: path}); err != nil {
		t.Fatal(err)
	}
	for _, message := range octets {
		m := migrate.Message{Size: int64(len(message)), InternalDate: when, Flags: flags}
		if err := end.Append(t.Context(), path, m, migrate.Body{Reader: strings.NewReader(message), Size: m.Size}); err != nil {
			t.Fatal(err)
		}
	}
	stored, err := end.Commit(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if len(stored) != len(octets) {
		t.Fatalf("%d of %d were answered for", len(stored), len(octets))
	}
	return stored
}

func list(t *testing.T, end Both, path migrate.Path) []migrate.Message {
	t.Helper()
	var all []migrate.Message
	for m, err := range end.Messages(t.Context(), path) {
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, m)
	}
	return all
}

func fetch(t *testing.T, end Both, path migrate.Path, messages []migrate.Message) map[migrate.Key]string {
	t.Helper()
	got := map[migrate.Key]string{}
	for f, err := range end.Fetch(t.Context(), path, messages) {
		if err != nil {
			t.Fatal(err)
		}
		if f.Err != nil {
			t.Errorf("%s: %v", f.Message.Key, f.Err)
			continue
		}
		octets, err := io.ReadAll(f.Body)
		if err != nil {
			t.Fatal(err)
		}
		if f.Body.Size >= 0 && f.Body.Size != int64(len(octets)) {
			t.Errorf("%s: %d octets came where %d were announced", f.Message.Key, len(octets), f.Body.Size)
		}
		got[f.Message.Key] = string(octets)
	}
	return got
}

func roundTrip(t *testing.T, s Store) {
	end := open(t, s)
	messages := Awkward
	if s.LastLineEnd {
		messages = map[string]string{"no last line end": "Subject: unended\r\n\r\nno line end"}
		for name, message := range Awkward {
			messages[name] = message
		}
	}
	flags := migrate.NewFlags(`\Seen`, `\Flagged`)
	if s.Keywords {
		flags = migrate.NewFlags(`\Seen`, `\Flagged`, "$Forwarded")
	}
	for name, message := range messages {
		for i, stored := range put(t, end, "Work/2020", flags, message) {
			if stored.Err != nil || len(stored.Dropped) > 0 {
				t.Errorf("%s: %d: %v, dropped %v", name, i, stored.Err, stored.Dropped)
			}
		}
	}
	again := open(t, s)
	listed := list(t, again, "Work/2020")
	bodies := fetch(t, again, "Work/2020", listed)
	var got, want []string
	for _, m := range listed {
		if !m.InternalDate.Equal(when) {
			t.Errorf("%s: arrived %v, want %v", m.Key, m.InternalDate, when)
		}
		if !m.Flags.Equal(flags) {
			t.Errorf("%s: flags %v, want %v", m.Key, m.Flags, flags)
		}
		got = append(got, bodies[m.Key])
	}
	for _, message := range messages {
		want = append(want, message)
	}
	slices.Sort(got)
	slices.Sort(want)
	if !slices.Equal(got, want) {
		for i := range want {
			if i >= len(got) || got[i] != want[i] {
				t.Errorf("octets differ: want %.200q", want[i])
			}
		}
	}
}

func mailboxes(t *testing.T, s Store) {
	end := open(t, s)
	want := []migrate.Path{"A", "A/b", "A/b/c d", "Ünï/日本語", "Q&A", "100%"}
	for _, path := range want {
		if err := end.Create(t.Context(), migrate.Mailbox{Path: path, Subscribed: path == "A/b"}); err != nil {
			t.Fatal(err)
		}
	}
	listed, err := open(t, s).Mailboxes(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	at := map[migrate.Path]int{}
	for i, mbox := range listed {
		if _, twice := at[mbox.Path]; twice {
			t.Errorf("%q is listed twice", mbox.Path)
		}
		at[mbox.Path] = i
		if parent, ok := at[mbox.Path.Parent()]; ok && parent > i {
			t.Errorf("%q comes before its parent", mbox.Path)
		}
		if mbox.Path == "A/b" && !mbox.Subscribed {
			t.Errorf("%q is not subscribed", mbox.Path)
		}
	}
	for _, path := range want {
		if _, ok := at[path]; !ok {
			t.Errorf("%q is not listed, but %v", path, listed)
		}
	}
}

func createTwice(t *testing.T, s Store) {
	end := open(t, s)
	put(t, end, "Twice", nil, Awkward["plain"])
	for range 2 {
		if err := end.Create(t.Context(), migrate.Mailbox{Path: "Twice"}); err != nil {
			t.Fatal(err)
		}
	}
	if got := list(t, open(t, s), "Twice"); len(got) != 1 {
		t.Errorf("%d messages, want 1", len(got))
	}
}

func uncommitted(t *testing.T, s Store) {
	end := open(t, s)
	put(t, end, "Box", nil, Awkward["plain"])
	stored := put(t, end, "Box", nil, Awkward["dots"], Awkward["8 bit"], Awkward["dots"])
	keys := map[migrate.Key]bool{}
	for _, one := range stored {
		if one.Err != nil {
			t.Error(one.Err)
		}
		if !one.Key.IsZero() && keys[one.Key] {
			t.Errorf("two messages have the key %v", one.Key)
		}
		keys[one.Key] = true
	}
	if got := list(t, open(t, s), "Box"); len(got) != 4 {
		t.Errorf("%d messages, want 4", len(got))
	}
	if stored, err := end.Commit(t.Context()); err != nil || len(stored) != 0 {
		t.Errorf("an empty commit gives %v, %v", stored, err)
	}
}

func brokenBody(t *testing.T, s Store) {
	broken := errors.New("the source broke off")
	end := open(t, s)
	put(t, end, "Box", nil, Awkward["plain"])
	for _, size := range []int{50, 400000} {
		message := "Subject: half\r\n\r\n" + strings.Repeat("y", size)
		m := migrate.Message{Size: int64(len(message)) + 100, InternalDate: when}
		body := io.MultiReader(strings.NewReader(message), failing{broken})
		err := end.Append(t.Context(), "Box", m, migrate.Body{Reader: body, Size: m.Size})
		if !errors.Is(err, broken) {
			t.Errorf("%d octets: got %v, want %v", size, err, broken)
		}
		fresh := open(t, s)
		if got := list(t, fresh, "Box"); len(got) != 1 {
			t.Errorf("%d octets: %d messages are there, want 1", size, len(got))
		}
		end = fresh
	}
}

type failing struct{ err error }

func (f failing) Read([]byte) (int, error) { return 0, f.err }

func vanished(t *testing.T, s Store) {
	end := open(t, s)
	put(t, end, "Box", nil, Awkward["plain"], Awkward["dots"])
	listed := list(t, end, "Box")
	ghost := listed[0]
	ghost.Key.UID += 1000
	if ghost.Key.Name != "" {
		ghost.Key.Name += "000"
		ghost.Key.UID = listed[0].Key.UID
	}
	got := fetch(t, end, "Box", []migrate.Message{listed[0], ghost, listed[1]})
	if len(got) != 2 {
		t.Errorf("%d bodies, want 2", len(got))
	}
}

func unread(t *testing.T, s Store) {
	end := open(t, s)
	var messages []string
	for i := range 20 {
		messages = append(messages, fmt.Sprintf("Subject: %d\r\n\r\n%s\r\n", i, strings.Repeat("z", i*3000)))
	}
	put(t, end, "Box", nil, messages...)
	listed := list(t, end, "Box")
	seen := 0
	for f, err := range end.Fetch(t.Context(), "Box", listed) {
		if err != nil {
			t.Fatal(err)
		}
		if _, err := io.CopyN(io.Discard, f.Body, 10); err != nil {
			t.Fatal(err)
		}
		seen++
	}
	if seen != len(messages) {
		t.Errorf("%d bodies, want %d", seen, len(messages))
	}
	for range end.Fetch(t.Context(), "Box", listed) {
		break // the caller has enough
	}
	got := fetch(t, end, "Box", listed[19:])
	if !bytes.Equal([]byte(got[listed[19].Key]), []byte(messages[19])) {
		t.Errorf("after a loop that was left: %.100q", got[listed[19].Key])
	}
}

func setFlags(t *testing.T, s Store) {
	end := open(t, s)
	flagger, ok := end.(migrate.Flagger)
	if !ok {
		t.Fatal("no Flagger")
	}
	put(t, end, "Box", migrate.NewFlags(`\Seen`), Awkward["plain"], Awkward["dots"])
	listed := list(t, end, "Box")
	ghost := listed[0].Key
	ghost.UID += 1000
	if ghost.Name != "" {
		ghost = migrate.Key{Name: ghost.Name + "000"}
	}
	err := flagger.SetFlags(t.Context(), "Box", []migrate.FlagChange{
		{Key: listed[0].Key, Flags: migrate.NewFlags(`\Answered`, `\Flagged`)}, {Key: ghost, Flags: nil}, {Key: listed[1].Key}})
	if err != nil {
		t.Fatal(err)
	}
	got := list(t, open(t, s), "Box")
	if !got[0].Flags.Equal(migrate.NewFlags(`\Answered`, `\Flagged`)) || len(got[1].Flags) != 0 {
		t.Errorf("flags are %v and %v", got[0].Flags, got[1].Flags)
	}
}

func cancelled(t *testing.T, s Store) {
	end := open(t, s)
	put(t, end, "Box", nil, Awkward["plain"])
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := end.Mailboxes(ctx); err == nil {
		t.Error("mailboxes are listed")
	}
	if _, err := s.Open(ctx); err == nil {
		if _, err := end.Commit(ctx); err == nil {
			t.Error("neither opening nor committing minds")
		}
	}
}
