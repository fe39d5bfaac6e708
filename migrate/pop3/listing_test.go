package pop3

import (
	"fmt"
	"os"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"postcask/migrate"
)

// digestName is the name that a message's octets make.
func digestName(octets string) string {
	h := migrate.NewHasher()
	h.Write([]byte(octets))
	return "sha256:" + h.Identity().Trimmed.String()
}

func TestMessages(t *testing.T) {
	a, b := digestName("a\r\n"), digestName("b\r\n")
	for name, c := range map[string]struct {
		capabilities string
		script       []string
		want         []string
	}{
		"empty maildrop":        {"UIDL", []string{"C: STAT", "S: +OK 0 0"}, nil},
		"empty, without a size": {"UIDL", []string{"C: STAT", "S: +OK 0"}, nil},
		"three": {"UIDL", []string{"C: STAT", "S: +OK 3 360", "C: LIST", "s: +OK\r\n1 120\r\n2 120\r\n3 120\r\n.\r\n",
			"C: UIDL", "s: +OK\r\n1 one\r\n2 two\r\n3 three\r\n.\r\n"}, []string{"one", "two", "three"}},
		"in another order, with odd blanks and sizes": {"UIDL", []string{"C: STAT", "S: +OK 3 x y", "C: LIST", "s: +OK\r\n3 7 old\r\n1 -5\r\n 2\t99999999999999999999\r\n.\r\n",
			"C: UIDL", "s: +OK\r\n2  two\r\n1\tone \r\n3 three\r\n.\r\n"}, []string{"one", "two", "three"}},
		"in one flight":        {"UIDL PIPELINING", []string{"C: STAT", "C: LIST", "C: UIDL", "s: +OK 2 6\r\n+OK\r\n1 3\r\n2 3\r\n.\r\n+OK\r\n1 one\r\n2 two\r\n.\r\n"}, []string{"one", "two"}},
		"empty, in one flight": {"UIDL PIPELINING", []string{"C: STAT", "C: LIST", "C: UIDL", "s: +OK 0 0\r\n-ERR nothing\r\n+OK\r\n.\r\n"}, nil},
		"counts anew once, in flights": {"UIDL PIPELINING", []string{"C: STAT", "C: LIST", "C: UIDL", "s: +OK 1 3\r\n+OK\r\n1 3\r\n2 3\r\n.\r\n+OK\r\n1 one\r\n2 two\r\n.\r\n",
			"C: STAT", "C: LIST", "C: UIDL", "s: +OK 2 6\r\n+OK\r\n1 3\r\n2 3\r\n.\r\n+OK\r\n1 one\r\n2 two\r\n.\r\n"}, []string{"one", "two"}},
		"lines that end in LF": {"UIDL", []string{"C: STAT", "s: +OK 1 2\n", "C: LIST", "s: +OK\n1 2\n.\n", "C: UIDL", "s: +OK\n1 one\n.\n"}, []string{"one"}},
		"counts anew once": {"UIDL", []string{"C: STAT", "S: +OK 1 3", "C: LIST", "s: +OK\r\n1 3\r\n2 3\r\n.\r\n",
			"C: STAT", "S: +OK 2 6", "C: LIST", "s: +OK\r\n1 3\r\n2 3\r\n.\r\n", "C: UIDL", "s: +OK\r\n1 one\r\n2 two\r\n.\r\n"}, []string{"one", "two"}},
		"no UIDL": {"", []string{"C: STAT", "S: +OK 3 9", "C: LIST", "s: +OK\r\n1 3\r\n2 3\r\n3 3\r\n.\r\n", "C: UIDL", "S: -ERR what?",
			"C: RETR 1", "s: +OK\r\na\r\n.\r\n", "C: RETR 2", "s: +OK\r\nb\r\n.\r\n", "C: RETR 3", "s: +OK\r\na\r\n.\r\n"}, []string{a, b, a + ":2"}},
		"the same UIDL twice, with other octets": {"UIDL", []string{"C: STAT", "S: +OK 3 9", "C: LIST", "s: +OK\r\n1 3\r\n2 3\r\n3 3\r\n.\r\n",
			"C: UIDL", "s: +OK\r\n1 x\r\n2 one\r\n3 x\r\n.\r\n",
			"C: RETR 1", "s: +OK\r\na\r\n.\r\n", "C: RETR 3", "s: +OK\r\nb\r\n.\r\n"}, []string{a, "one", b}},
		"UIDLs that are none": {"UIDL", []string{"C: STAT", "S: +OK 5 9", "C: LIST", "s: +OK\r\n1 3\r\n2 3\r\n3 3\r\n4 3\r\n5 3\r\n.\r\n",
			"C: UIDL", "s: +OK\r\n1\r\n2 \r\n3 a b\r\n4 " + strings.Repeat("x", 71) + "\r\n5 \x1b[m\xff\r\n.\r\n",
			"C: RETR 1", "s: +OK\r\na\r\n.\r\n", "C: RETR 2", "s: +OK\r\na\r\n.\r\n", "C: RETR 3", "s: +OK\r\na\r\n.\r\n",
			"C: RETR 4", "s: +OK\r\na\r\n.\r\n", "C: RETR 5", "s: +OK\r\nb\r\n.\r\n"}, []string{a, a + ":2", a + ":3", a + ":4", b}},
		"UIDL that is a path": {"UIDL", []string{"C: STAT", "S: +OK 1 3", "C: LIST", "s: +OK\r\n1 3\r\n.\r\n", "C: UIDL", "s: +OK\r\n1 ../../.ssh/x\r\n.\r\n"}, []string{"../../.ssh/x"}},
		"UIDL of 70":          {"UIDL", []string{"C: STAT", "S: +OK 1 3", "C: LIST", "s: +OK\r\n1 3\r\n.\r\n", "C: UIDL", "s: +OK\r\n1 " + strings.Repeat("~", 70) + "\r\n.\r\n"}, []string{strings.Repeat("~", 70)}},
		"no UIDL, one vanished and one unreadable": {"", []string{"C: STAT", "S: +OK 3 9", "C: LIST", "s: +OK\r\n1 3\r\n2 3\r\n3 3\r\n.\r\n", "C: UIDL", "S: -ERR what?",
			"C: RETR 1", "S: -ERR no such message", "C: RETR 2", "S: -ERR [SYS/PERM] broken", "C: RETR 3", "s: +OK\r\na\r\n.\r\n"}, []string{"unreadable message 2", a}},
	} {
		t.Run(name, func(t *testing.T) {
			s := open(t, loggedIn(c.capabilities, append(c.script, "C: QUIT", "S: +OK", "END")...)...)
			for range 2 { // the second listing asks the server nothing
				got, err := names(s)
				if diff := cmp.Diff(c.want, got); diff != "" || err != nil {
					t.Errorf("%v, -want +got:\n%s", err, diff)
				}
			}
		})
	}
}

func TestMessagesRefused(t *testing.T) {
	shortList := []string{"C: STAT", "S: +OK 2 6", "C: LIST", "s: +OK\r\n1 3\r\n.\r\n"}
	twiceOne := []string{"C: STAT", "S: +OK 2 6", "C: LIST", "s: +OK\r\n1 3\r\n1 3\r\n.\r\n"}
	zero := []string{"C: STAT", "S: +OK 1 6", "C: LIST", "s: +OK\r\n0 3\r\n.\r\n"}
	uidl := []string{"C: STAT", "S: +OK 2 6", "C: LIST", "s: +OK\r\n1 3\r\n2 3\r\n.\r\n", "C: UIDL", "s: +OK\r\n1 a\r\n\r\n.\r\n"}
	one := []string{"C: STAT", "S: +OK 1 3", "C: LIST", "s: +OK\r\n1 3\r\n.\r\n"}
	for name, c := range map[string]struct {
		script []string
		kind   migrate.Kind
		words  string
	}{
		"LIST short, twice":             {append(shortList, shortList...), migrate.Unavailable, "STAT tells of 2 messages, LIST has 1 lines"},
		"LIST repeats, twice":           {append(twiceOne, twiceOne...), migrate.Unavailable, "1 repeat a number"},
		"LIST counts from 0":            {append(zero, zero...), migrate.Unavailable, "1 have none that fits"},
		"UIDL has a gap, twice":         {append(uidl, uidl...), migrate.Unavailable, "STAT tells of 2 messages, UIDL has 2 lines"},
		"UIDL is there, and fails":      {append(one, "C: UIDL", "S: -ERR oops"), migrate.Failed, "UIDL: -ERR oops"},
		"UIDL fails for now":            {append(one, "C: UIDL", "S: -ERR [SYS/TEMP] oops"), migrate.Unavailable, "UIDL: -ERR [SYS/TEMP] oops"},
		"LIST refused":                  {[]string{"C: STAT", "S: +OK 1 3", "C: LIST", "S: -ERR oops"}, migrate.Failed, "LIST: -ERR oops"},
		"STAT without a number":         {[]string{"C: STAT", "S: +OK many"}, migrate.Unavailable, "not a number"},
		"STAT below 0":                  {[]string{"C: STAT", "S: +OK -1 0"}, migrate.Unavailable, "not a number"},
		"STAT of thousands of millions": {[]string{"C: STAT", "S: +OK 4294967296 0"}, migrate.Unavailable, "more than postcask takes"},
		"speaks unasked":                {[]string{"C: STAT", "s: +OK 1 3\r\n+OK\r\n"}, migrate.Unavailable, "unasked"},
	} {
		t.Run(name, func(t *testing.T) {
			s := open(t, loggedIn("UIDL", c.script...)...)
			_, err := names(s)
			if err == nil || migrate.KindOf(err) != c.kind || !strings.Contains(err.Error(), c.words) {
				t.Errorf("got kind %d: %v; want kind %d, with %q", migrate.KindOf(err), err, c.kind, c.words)
			}
		})
	}
}

func TestWhatAMessageTells(t *testing.T) {
	s := open(t, loggedIn("", "C: STAT", "S: +OK 2 9", "C: LIST", "s: +OK\r\n1 77\r\n2 x\r\n.\r\n",
		"C: UIDL", "s: +OK\r\n1\r\n2 two\r\n.\r\n", "C: RETR 1", "s: +OK\r\na\r\n\r\n.\r\n", "C: QUIT", "S: +OK", "END")...)
	var got []migrate.Message
	for m, err := range s.Messages(t.Context(), migrate.Inbox) {
		if err != nil {
			t.Fatal(err)
		}
		got = append(got, m)
	}
	h := migrate.NewHasher()
	h.Write([]byte("a\r\n\r\n"))
	want := []migrate.Message{
		{Key: migrate.Key{Name: digestName("a")}, Size: 5, Identity: h.Identity()},
		{Key: migrate.Key{Name: "two"}, Size: -1},
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
}

// A digest's name is longer than a UIDL may be, so that no server can give one message the name of another.
func TestNoUIDLLooksLikeADigest(t *testing.T) {
	for _, name := range []string{digestName("a"), unreadablePrefix + "1"} {
		if usable(name) {
			t.Errorf("%q could be a UIDL", name)
		}
	}
}

func TestOtherMailboxes(t *testing.T) {
	s := open(t, loggedIn("", join(listOf("1", "2", "3", "4", "5"), bye)...)...)
	boxes, err := s.Mailboxes(t.Context())
	if len(boxes) != 1 || boxes[0].Path != migrate.Inbox || err != nil {
		t.Errorf("mailboxes: %v, %v", boxes, err)
	}
	for _, err := range s.Messages(t.Context(), "Sent") {
		if err == nil {
			t.Error("messages of a mailbox that is not there")
		}
	}
	for mbox, want := range map[migrate.Path]int64{migrate.Inbox: 5, "Sent": 0} {
		if got, err := s.Status(t.Context(), mbox); got != (migrate.Status{Messages: want}) || err != nil {
			t.Errorf("status of %s: %v, %v", mbox, got, err)
		}
	}
}

// Each of many messages is found again by its name, whatever the order, and no other; what is kept of them takes a file
// that is gone with the session.
func TestLargeMaildropIsIndexed(t *testing.T) {
	t.Setenv("TMPDIR", t.TempDir())
	const count = 20_011 // a prime number
	var list, uidl strings.Builder
	var want []string
	for n := 1; n <= count; n++ {
		name := "u" + strconv.Itoa(n*7919%count) // each once, in no order
		want = append(want, name)
		list.WriteString(strconv.Itoa(n) + " " + strconv.Itoa(n+7) + "\r\n")
		uidl.WriteString(strconv.Itoa(n) + " " + name + "\r\n")
	}
	s := open(t, loggedIn("UIDL", "C: STAT", fmt.Sprintf("S: +OK %d 1", count), "C: LIST", "s: +OK\r\n"+list.String()+".\r\n",
		"C: UIDL", "s: +OK\r\n"+uidl.String()+".\r\n", "C: QUIT", "S: +OK", "END")...)
	got, err := names(s)
	if err != nil {
		t.Fatal(err)
	}
	if !slices.Equal(got, want) {
		t.Fatal("the names differ")
	}
	ask := func(names ...string) map[string]scan {
		messages := make([]migrate.Message, len(names))
		for i, name := range names {
			messages[i].Key.Name = name
		}
		found, err := s.drop.find(messages)
		if err != nil {
			t.Fatal(err)
		}
		return found
	}
	for _, places := range [][]int{{0, 1, 2, 3}, {4}, {5, 9, 1000}, {count - 1, 0}, {17, 3, 17, 20_000, 2}} {
		var names []string
		for _, i := range places {
			names = append(names, want[i])
		}
		for i, name := range names {
			if got, want := ask(names...)[name], (scan{places[i] + 1, int64(places[i] + 8)}); got != want {
				t.Errorf("%q is %v, want %v", name, got, want)
			}
		}
	}
	for _, name := range []string{"", "nobody", "~", want[0] + "z"} {
		if there := ask(want[4], name)[name]; there.number != 0 {
			t.Errorf("%q is number %d, want none", name, there.number)
		}
	}
	s.Close()
	if left, err := os.ReadDir(os.Getenv("TMPDIR")); len(left) > 0 || err != nil {
		t.Errorf("left behind: %v, %v", left, err)
	}
}

// Where there is no room for the list of messages, that is said, and no message is taken for one without a name.
func TestNoRoomForTheListing(t *testing.T) {
	t.Setenv("TMPDIR", t.TempDir()+"/missing")
	const count = 20_000
	var list, uidl strings.Builder
	for n := 1; n <= count; n++ {
		fmt.Fprintf(&list, "%d 3\r\n", n)
		fmt.Fprintf(&uidl, "%d u%d\r\n", n, n)
	}
	s := open(t, loggedIn("UIDL", "C: STAT", fmt.Sprintf("S: +OK %d 1", count), "C: LIST", "s: +OK\r\n"+list.String()+".\r\n")...)
	if got, err := names(s); len(got) > 0 || err == nil || migrate.KindOf(err) != migrate.Failed || !strings.Contains(err.Error(), "temporary file") {
		t.Errorf("got %d names, %v", len(got), err)
	}
}
