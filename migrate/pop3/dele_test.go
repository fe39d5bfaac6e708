package pop3

import (
	"bytes"
	"context"
	"fmt"
	"net"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"postcask/migrate"
	"postcask/migrate/testserver"
	"postcask/migrate/wire"
)

// letterOf is a message of the maildrop below.
func letterOf(n int) []byte {
	return fmt.Appendf(nil, "Subject: %d\r\nMessage-ID: <%d@example.org>\r\n\r\nbody %d\r\n", n, n, n)
}

// doomedBy names a message as one that is safe elsewhere with these octets.
func doomedBy(uidl string, octets []byte) migrate.Doomed {
	whole, head := migrate.NewHasher(), migrate.NewHeaderHasher()
	whole.Write(octets)
	head.Write(octets)
	return migrate.Doomed{Key: migrate.Key{Name: uidl}, Identity: whole.Identity(), Header: head.Digest()}
}

// memoryDrop starts a server in memory with n messages, and gives the way to it and the messages as they are doomed.
func memoryDrop(t *testing.T, n int, opts testserver.POP3Options) (*testserver.POP3, wire.Config, []migrate.Doomed) {
	t.Helper()
	server := testserver.StartPOP3(t, opts)
	server.Users(t, "me")
	var doomed []migrate.Doomed
	for i := range n {
		doomed = append(doomed, doomedBy(server.Deliver("me", letterOf(i)), letterOf(i)))
	}
	_, port, err := net.SplitHostPort(server.POP3SAddr)
	if err != nil {
		t.Fatal(err)
	}
	number, err := strconv.Atoi(port)
	if err != nil {
		t.Fatal(err)
	}
	return server, wire.Config{Host: "127.0.0.1", Port: number, TLS: wire.Implicit, CAFile: server.CAFile, Auth: "auto", User: "me", Timeout: 5 * time.Second,
		Password: func(context.Context) (string, error) { return testserver.Password, nil }}, doomed
}

// left gives the numbers of the letters that are still in the maildrop.
func left(server *testserver.POP3) (numbers []int) {
	for _, m := range server.Messages("me") {
		var n int
		fmt.Sscanf(string(m.Octets), "Subject: %d", &n)
		numbers = append(numbers, n)
	}
	return numbers
}

func fates(removal migrate.Removal) (list []migrate.Fate) {
	for _, r := range removal.Removed {
		list = append(list, r.Fate)
	}
	return list
}

func TestRemove(t *testing.T) {
	other := []byte("Subject: 1\r\nMessage-ID: <X@example.org>\r\n\r\nbody 1\r\n") // as long as letter 1
	if len(other) != len(letterOf(1)) {
		t.Fatal("the test's own letters differ in length")
	}
	for _, test := range []struct {
		name   string
		opts   testserver.POP3Options
		change func(server *testserver.POP3, doomed []migrate.Doomed) []migrate.Doomed
		want   []migrate.Fate
		left   []int
		reads  bool // whole messages are read
	}{
		{name: "all of them", want: []migrate.Fate{migrate.Gone, migrate.Gone, migrate.Gone}},
		{name: "one of them", change: func(_ *testserver.POP3, doomed []migrate.Doomed) []migrate.Doomed { return doomed[1:2] },
			want: []migrate.Fate{migrate.Gone}, left: []int{0, 2}},
		{name: "another client was faster", change: func(server *testserver.POP3, doomed []migrate.Doomed) []migrate.Doomed {
			server.Remove("me", doomed[0].Key.Name)
			return doomed
		}, want: []migrate.Fate{migrate.Vanished, migrate.Gone, migrate.Gone}},
		{name: "unique id used again, another size", change: func(_ *testserver.POP3, doomed []migrate.Doomed) []migrate.Doomed {
			doomed[1] = doomedBy(doomed[1].Key.Name, []byte("Subject: what the archive has\r\n\r\n"))
			return doomed
		}, want: []migrate.Fate{migrate.Gone, migrate.Kept, migrate.Gone}, left: []int{1}, reads: true},
		{name: "unique id used again, same size", change: func(_ *testserver.POP3, doomed []migrate.Doomed) []migrate.Doomed {
			doomed[1] = doomedBy(doomed[1].Key.Name, other)
			return doomed
		}, want: []migrate.Fate{migrate.Gone, migrate.Kept, migrate.Gone}, left: []int{1}, reads: true},
		{name: "sizes announced wrongly", opts: testserver.POP3Options{Size: func(octets []byte) int { return len(octets) + 7 }},
			want: []migrate.Fate{migrate.Gone, migrate.Gone, migrate.Gone}, reads: true},
		{name: "no TOP", opts: testserver.POP3Options{Without: []string{"TOP"}},
			want: []migrate.Fate{migrate.Gone, migrate.Gone, migrate.Gone}, reads: true},
		{name: "no PIPELINING", opts: testserver.POP3Options{Without: []string{"PIPELINING"}},
			want: []migrate.Fate{migrate.Gone, migrate.Gone, migrate.Gone}},
		{name: "no UIDL", opts: testserver.POP3Options{Without: []string{"UIDL"}},
			want: []migrate.Fate{migrate.Kept, migrate.Kept, migrate.Kept}, left: []int{0, 1, 2}},
		{name: "one unique id for all", opts: testserver.POP3Options{UIDL: func(string, int, []byte) string { return "same" }},
			want: []migrate.Fate{migrate.Kept, migrate.Kept, migrate.Kept}, left: []int{0, 1, 2}},
		{name: "named by digest", change: func(_ *testserver.POP3, doomed []migrate.Doomed) []migrate.Doomed {
			doomed[2].Key.Name = digestPrefix + doomed[2].Identity.Trimmed.String()
			return doomed
		}, want: []migrate.Fate{migrate.Gone, migrate.Gone, migrate.Kept}, left: []int{2}},
		{name: "one DELE refused", opts: testserver.POP3Options{Refuse: func(_, command string) string {
			if command == "DELE 2" {
				return "-ERR [SYS/PERM] this one is held"
			}
			return ""
		}}, want: []migrate.Fate{migrate.Gone, migrate.Kept, migrate.Gone}, left: []int{1}},
	} {
		t.Run(test.name, func(t *testing.T) {
			server, cfg, doomed := memoryDrop(t, 3, test.opts)
			if test.change != nil {
				doomed = test.change(server, doomed)
			}
			removal, err := openAt(t, cfg).Remove(t.Context(), migrate.Inbox, doomed)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(test.want, fates(removal)); diff != "" || !removal.Spent {
				t.Errorf("spent: %v, fates -want +got:\n%s", removal.Spent, diff)
			}
			if diff := cmp.Diff(test.left, left(server)); diff != "" {
				t.Errorf("in the maildrop -want +got:\n%s", diff)
			}
			for _, r := range removal.Removed {
				if (r.Fate == migrate.Kept) != (r.Err != nil) {
					t.Errorf("fate %d, and the reason is %v", r.Fate, r.Err)
				}
			}
			reads := slices.ContainsFunc(server.Commands(), func(line string) bool { return strings.HasPrefix(line, "RETR") })
			if reads != test.reads {
				t.Errorf("whole messages were read: %v, want %v", reads, test.reads)
			}
		})
	}
}

// A session deletes a hundred at most, so that little has to be looked for again where its QUIT is lost.
func TestRemoveInShortSessions(t *testing.T) {
	server, cfg, doomed := memoryDrop(t, 250, testserver.POP3Options{})
	for _, want := range []int{150, 50, 0} {
		removal, err := openAt(t, cfg).Remove(t.Context(), migrate.Inbox, doomed)
		if err != nil {
			t.Fatal(err)
		}
		var later []migrate.Doomed
		for i, r := range removal.Removed {
			if r.Fate == migrate.Untried {
				later = append(later, doomed[i])
			}
		}
		if doomed = later; len(doomed) != want || len(left(server)) != want {
			t.Fatalf("%d are to be done later and %d are left, want %d", len(doomed), len(left(server)), want)
		}
	}
}

// Without +OK to QUIT nothing is known, and nothing is told: the server may have deleted all, some or none.
func TestQuitWithoutAnswerTellsNothing(t *testing.T) {
	one := []migrate.Doomed{doomedBy("one", letterOf(1))}
	opening := loggedIn("UIDL\r\nTOP", "C: STAT", "S: +OK 1 9", "C: LIST", fmt.Sprintf("s: +OK\r\n1 %d\r\n.\r\n", len(letterOf(1))), "C: UIDL", "s: +OK\r\n1 one\r\n.\r\n",
		"C: TOP 1 0", "s: +OK\r\nSubject: 1\r\nMessage-ID: <1@example.org>\r\n\r\n.\r\n", "C: DELE 1", "S: +OK", "C: QUIT")
	for _, test := range []struct {
		name   string
		script []string
	}{
		{"refused", []string{"S: -ERR some deleted messages not removed"}},
		{"hangs up", nil},
		{"half an answer", []string{"s: +O"}},
		{"nonsense", []string{"S: bye"}},
	} {
		t.Run(test.name, func(t *testing.T) {
			s := open(t, append(slices.Clone(opening), test.script...)...)
			removal, err := s.Remove(t.Context(), migrate.Inbox, one)
			if !migrate.IsTemporary(err) || len(removal.Removed) != 0 {
				t.Errorf("got %v and %v, want an error that is worth another try and nothing told", removal, err)
			}
			if err := s.Close(); err != nil {
				t.Error(err)
			}
		})
	}
}

// An interrupt or a fault before QUIT leaves without QUIT, so that nothing is deleted that is not told of.
func TestRemoveCutBeforeQuitDeletesNothing(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	server, cfg, doomed := memoryDrop(t, 3, testserver.POP3Options{Refuse: func(_, command string) string {
		if command == "DELE 3" {
			cancel()
		}
		return ""
	}})
	s := openAt(t, cfg)
	if removal, err := s.Remove(ctx, migrate.Inbox, doomed); err == nil {
		t.Errorf("got %v, want an error", removal)
	}
	s.Close()
	if n := len(left(server)); n != 3 || slices.Contains(server.Commands(), "QUIT") {
		t.Errorf("%d messages are left, want 3; commands %q", n, server.Commands())
	}
}

// A session that listed, as the one that downloads does, never deletes; and Remove is the end of its session.
func TestRemoveTakesASessionOfItsOwn(t *testing.T) {
	server, cfg, doomed := memoryDrop(t, 1, testserver.POP3Options{})
	s := openAt(t, cfg)
	if _, err := names(s); err != nil {
		t.Fatal(err)
	}
	if _, err := s.Remove(t.Context(), migrate.Inbox, doomed); migrate.KindOf(err) != migrate.Misuse || len(left(server)) != 1 {
		t.Errorf("got %v with %d left, want an error of kind Misuse", err, len(left(server)))
	}
	s.Close()
	s = openAt(t, cfg)
	if _, err := s.Remove(t.Context(), migrate.Inbox, doomed); err != nil {
		t.Fatal(err)
	}
	if _, err := s.Remove(t.Context(), migrate.Inbox, doomed); err == nil {
		t.Error("a session that is over deletes")
	}
}

// Cut at every octet that the server sends: what is told to be gone is gone, and nothing else is.
func TestRemoveCutAtEveryOctet(t *testing.T) {
	var script bytes.Buffer
	script.WriteString("+OK ready\r\n+OK\r\nUIDL\r\nTOP\r\n.\r\n+OK\r\n+OK\r\n+OK\r\nUIDL\r\nTOP\r\n.\r\n+OK 2 99\r\n")
	fmt.Fprintf(&script, "+OK\r\n1 %d\r\n2 %d\r\n.\r\n+OK\r\n1 a\r\n2 b\r\n.\r\n", len(letterOf(0)), len(letterOf(1)))
	for n := range 2 {
		fmt.Fprintf(&script, "+OK\r\nSubject: %d\r\nMessage-ID: <%d@example.org>\r\n\r\n.\r\n", n, n)
	}
	script.WriteString("+OK\r\n+OK\r\n+OK bye\r\n")
	whole := script.Bytes()
	doomed := []migrate.Doomed{doomedBy("a", letterOf(0)), doomedBy("b", letterOf(1))}
	for cut := range len(whole) + 1 {
		cfg, _ := serve(t, func(s *server) error {
			at := 0
			for _, answer := range answersOf(whole) {
				end := min(at+len(answer), cut)
				if at > 0 {
					if _, err := s.hear(); err != nil {
						return nil
					}
				}
				if at < end {
					s.say(string(whole[at:end]))
				}
				if at += len(answer); at > cut {
					return nil
				}
			}
			return nil
		})
		s, err := New(cfg).Open(t.Context())
		if err != nil {
			continue
		}
		removal, err := s.Remove(t.Context(), migrate.Inbox, doomed)
		s.Close()
		if complete := cut >= len(whole); complete != (err == nil) {
			t.Fatalf("cut at %d of %d: %v, %v", cut, len(whole), removal, err)
		}
	}
}

// answersOf takes what a server says apart into one answer for each command.
func answersOf(said []byte) (answers []string) {
	lines := strings.SplitAfter(string(said), "\r\n")
	for i := 0; i < len(lines); i++ {
		answer := lines[i]
		if many := i+1 < len(lines) && !strings.HasPrefix(lines[i+1], "+OK") && lines[i+1] != ""; many {
			for i++; lines[i] != ".\r\n"; i++ {
				answer += lines[i]
			}
			answer += lines[i]
		}
		if answer != "" {
			answers = append(answers, answer)
		}
	}
	return answers
}
