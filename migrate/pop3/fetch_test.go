package pop3

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"postcask/migrate"
)

// listOf is the part of a script that lists messages by UIDL.
func listOf(uidls ...string) []string {
	list, uidl := "s: +OK\r\n", "s: +OK\r\n"
	for i, name := range uidls {
		list += fmt.Sprintf("%d 10\r\n", i+1)
		uidl += fmt.Sprintf("%d %s\r\n", i+1, name)
	}
	return []string{"C: STAT", fmt.Sprintf("S: +OK %d 100", len(uidls)), "C: LIST", list + ".\r\n", "C: UIDL", uidl + ".\r\n"}
}

func join(parts ...[]string) (script []string) {
	for _, part := range parts {
		script = append(script, part...)
	}
	return script
}

var bye = []string{"C: QUIT", "S: +OK", "END"}

func TestFetch(t *testing.T) {
	for name, c := range map[string]struct {
		capabilities string
		script       []string
		ask          []string
		want         []string
	}{
		"one by one": {"", []string{"C: RETR 2", "s: +OK\r\nb\r\n.\r\n", "C: RETR 1", "s: +OK 10 octets\r\n..a\r\n.\r\n"},
			[]string{"two", "one"}, []string{"two: b\r\n", "one: .a\r\n"}},
		"pipelined": {"PIPELINING", []string{"C: RETR 1", "C: RETR 2", "C: RETR 3", "s: +OK\r\na\r\n.\r\n+OK\r\n.\r\n+OK\r\nc\r\n.\r\n"},
			[]string{"one", "two", "three"}, []string{"one: a\r\n", "two: ", "three: c\r\n"}},
		"not in this maildrop": {"", nil, []string{"nobody", ""}, nil},
		"vanished": {"PIPELINING", []string{"C: RETR 1", "C: RETR 2", "S: -ERR Message 1 expunged.", "s: +OK\r\nb\r\n.\r\n"},
			[]string{"one", "two"}, []string{"two: b\r\n"}},
		"one is refused": {"PIPELINING", []string{"C: RETR 1", "C: RETR 2", "S: -ERR [SYS/PERM] cannot read", "s: +OK\r\nb\r\n.\r\n"},
			[]string{"one", "two"}, []string{"one! RETR 1: -ERR [SYS/PERM] cannot read", "two: b\r\n"}},
		"the same twice": {"", []string{"C: RETR 1", "s: +OK\r\na\r\n.\r\n", "C: RETR 1", "s: +OK\r\na\r\n.\r\n"},
			[]string{"one", "one"}, []string{"one: a\r\n", "one: a\r\n"}},
	} {
		t.Run(name, func(t *testing.T) {
			s := open(t, loggedIn(c.capabilities, join(listOf("one", "two", "three"), c.script, bye)...)...)
			got, err := fetch(t.Context(), s, c.ask...)
			if diff := cmp.Diff(c.want, got); diff != "" || err != nil {
				t.Errorf("%v, -want +got:\n%s", err, diff)
			}
		})
	}
}

// What was read to be named is not asked for again.
func TestFetchBehindTheListing(t *testing.T) {
	s := open(t, loggedIn("", "C: STAT", "S: +OK 1 9", "C: LIST", "s: +OK\r\n1 3\r\n.\r\n", "C: UIDL", "S: -ERR what?",
		"C: RETR 1", "s: +OK\r\na\r\n.\r\n", "C: QUIT", "S: +OK", "END")...)
	for m, err := range s.Messages(t.Context(), migrate.Inbox) {
		if err != nil {
			t.Fatal(err)
		}
		got, err := fetch(t.Context(), s, m.Key.Name)
		if diff := cmp.Diff([]string{m.Key.Name + ": a\r\n"}, got); diff != "" || err != nil {
			t.Errorf("%v, -want +got:\n%s", err, diff)
		}
	}
}

// A session that has not listed finds a message by its digest, and the second of twins.
func TestFetchByDigestInANewSession(t *testing.T) {
	s := open(t, loggedIn("", "C: STAT", "S: +OK 3 9", "C: LIST", "s: +OK\r\n1 3\r\n2 3\r\n3 3\r\n.\r\n", "C: UIDL", "S: -ERR what?",
		"C: RETR 1", "s: +OK\r\na\r\n.\r\n", "C: RETR 2", "s: +OK\r\nb\r\n.\r\n", "C: RETR 3", "s: +OK\r\na\r\n.\r\n", "C: QUIT", "S: +OK", "END")...)
	twin := digestName("a") + ":2"
	got, err := fetch(t.Context(), s, twin, digestName("nobody's"))
	if diff := cmp.Diff([]string{twin + ": a\r\n"}, got); diff != "" || err != nil {
		t.Errorf("%v, -want +got:\n%s", err, diff)
	}
}

func TestHeaders(t *testing.T) {
	s := open(t, loggedIn("TOP", join(listOf("one", "two"),
		[]string{"C: TOP 1 0", "s: +OK\r\nSubject: a\r\n\r\n.\r\n", "C: TOP 2 0", "S: -ERR no TOP"}, bye)...)...)
	var got []string
	for f, err := range s.Headers(t.Context(), "INBOX", messages("one", "two")) {
		if err != nil {
			t.Fatal(err)
		}
		if f.Err != nil {
			got = append(got, f.Err.Error())
			continue
		}
		got = append(got, fmt.Sprintf("%q", f.Octets))
	}
	if diff := cmp.Diff([]string{`"Subject: a\r\n\r\n"`, "TOP 2 0: -ERR no TOP"}, got); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
}

// What is left unread is skipped, within the loop and behind it; a body whose turn is over gives nothing.
func TestUnreadBodiesAreSkipped(t *testing.T) {
	s := open(t, loggedIn("PIPELINING", join(listOf("one", "two", "three"),
		[]string{"C: RETR 1", "C: RETR 2", "C: RETR 3", "s: +OK\r\nabc\r\n.\r\n+OK\r\nd\r\n.\r\n-ERR no\r\n", "C: RETR 2", "s: +OK\r\nd\r\n.\r\n"}, bye)...)...)
	var first io.Reader
	for f, err := range s.Fetch(t.Context(), migrate.Inbox, messages("one", "two", "three")) {
		if err != nil {
			t.Fatal(err)
		}
		if first == nil {
			first = f.Body
			io.ReadFull(first, make([]byte, 1))
			continue
		}
		if n, err := first.Read(make([]byte, 1)); n != 0 || !errors.Is(err, errStale) {
			t.Errorf("a body whose turn is over: %d, %v", n, err)
		}
		break
	}
	got, err := fetch(t.Context(), s, "two")
	if diff := cmp.Diff([]string{"two: d\r\n"}, got); diff != "" || err != nil {
		t.Errorf("%v, -want +got:\n%s", err, diff)
	}
}

// What is at hand from the listing comes in its place among those that are asked for, and each once.
func TestFetchOfKnownAndUnknown(t *testing.T) {
	s := open(t, loggedIn("PIPELINING", "C: STAT", "S: +OK 3 9", "C: LIST", "s: +OK\r\n1 3\r\n2 3\r\n3 3\r\n.\r\n", "C: UIDL", "s: +OK\r\n1 one\r\n2\r\n3 three\r\n.\r\n",
		"C: RETR 2", "s: +OK\r\nb\r\n.\r\n", "C: RETR 1", "C: RETR 3", "s: +OK\r\na\r\n.\r\n+OK\r\nc\r\n.\r\n", "C: QUIT", "S: +OK", "END")...)
	ask, err := names(s)
	if err != nil {
		t.Fatal(err)
	}
	got, err := fetch(t.Context(), s, ask...)
	if diff := cmp.Diff([]string{"one: a\r\n", digestName("b") + ": b\r\n", "three: c\r\n"}, got); diff != "" || err != nil {
		t.Errorf("%v, -want +got:\n%s", err, diff)
	}
}

// Closing with answers under way hangs up: no QUIT.
func TestCloseWithAnswersUnderWay(t *testing.T) {
	s := open(t, loggedIn("", join(listOf("one"), []string{"C: RETR 1", "s: +OK\r\nabc\r\n", "END"})...)...)
	for _, err := range s.Fetch(t.Context(), migrate.Inbox, messages("one")) {
		if err != nil {
			t.Fatal(err)
		}
		break
	}
	begin := time.Now()
	for range 2 {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	}
	if took := time.Since(begin); took >= 5*time.Second {
		t.Errorf("closing took %v: it waited for the rest", took)
	}
	if _, err := names(s); err == nil {
		t.Error("a closed session lists")
	}
}

// Another use in the midst of a Fetch takes its answers: the Fetch says so instead of mixing messages up.
func TestFetchInAFetch(t *testing.T) {
	s := open(t, loggedIn("PIPELINING", join(listOf("one", "two"),
		[]string{"C: RETR 1", "C: RETR 2", "s: +OK\r\na\r\n.\r\n+OK\r\nb\r\n.\r\n", "C: RETR 1", "s: +OK\r\na\r\n.\r\n"}, bye)...)...)
	var ended error
	for _, err := range s.Fetch(t.Context(), migrate.Inbox, messages("one", "two")) {
		if ended = err; err != nil {
			break
		}
		if got, err := fetch(t.Context(), s, "one"); err != nil || len(got) != 1 {
			t.Fatal(got, err)
		}
	}
	if ended == nil {
		t.Error("the outer loop went on")
	}
}

// The window never holds more than 256 commands, nor more than 16 MB announced, and is kept full, however many messages
// are asked for at once.
func TestWindow(t *testing.T) {
	const count = 1000
	for name, c := range map[string]struct{ octets, most int }{
		"small": {1000, 256}, "1 MB": {1 << 20, 16}, "large": {20 << 20, 1}, "not told": {-1, 64},
	} {
		t.Run(name, func(t *testing.T) {
			most := 0
			cfg, _ := serve(t, func(s *server) error {
				list, uidl, asked := "", "", []string{}
				for n := 1; n <= count; n++ {
					list += fmt.Sprintf("%d %d\r\n", n, c.octets)
					uidl += fmt.Sprintf("%d u%d\r\n", n, n)
					asked = append(asked, fmt.Sprintf("RETR %d", n))
				}
				if err := s.play(loggedIn("PIPELINING UIDL", "C: STAT", fmt.Sprintf("S: +OK %d 1", count),
					"C: LIST", "s: +OK\r\n"+list+".\r\n", "C: UIDL", "s: +OK\r\n"+uidl+".\r\n")...); err != nil {
					return err
				}
				for at := 0; at < count; {
					// All that comes before the first answer is one window; each answer may then let more come.
					line, err := s.hear()
					if err != nil || line != asked[at] {
						return fmt.Errorf("want %q, got %q, %v", asked[at], line, err)
					}
					if at%10 == 0 {
						time.Sleep(time.Millisecond)
						most = max(most, 1+strings.Count(peek(s), "\n"))
					}
					at++
					s.say(fmt.Sprintf("+OK\r\n%d\r\n.\r\n", at))
				}
				return s.play(bye...)
			})
			s := openAt(t, cfg)
			var ask, want []string
			for n := 1; n <= count; n++ {
				ask = append(ask, fmt.Sprintf("u%d", n))
				want = append(want, fmt.Sprintf("u%d: %d\r\n", n, n))
			}
			got, err := fetch(t.Context(), s, ask...)
			if diff := cmp.Diff(want, got); diff != "" || err != nil {
				t.Errorf("%v, -want +got:\n%s", err, diff)
			}
			s.Close()
			if most > c.most || most < c.most*3/4 {
				t.Errorf("%d commands were under way, want %d", most, c.most)
			}
		})
	}
}

// peek gives what has come and is not read.
func peek(s *server) string {
	if s.in.Buffered() == 0 {
		return ""
	}
	octets, _ := s.in.Peek(s.in.Buffered())
	return string(octets)
}

// The connection cut at every octet of what the server says: never a message that seems whole and is not.
func TestCutAtEveryOctet(t *testing.T) {
	answers := []string{"+OK <1@example.org>\r\n", "+OK\r\nPIPELINING\r\nUIDL\r\n.\r\n", "+OK\r\n", "+OK\r\n",
		"+OK 2 20\r\n", "+OK\r\n1 10\r\n2 10\r\n.\r\n", "+OK\r\n1 one\r\n2 two\r\n.\r\n", "+OK\r\na\r\n..b\r\n.\r\n", "+OK\r\nc\r\n.\r\n"}
	want := []string{"one: a\r\n.b\r\n", "two: c\r\n"}
	whole := strings.Join(answers, "")
	for cut := range len(whole) + 1 {
		cfg, _ := serve(t, func(s *server) error {
			left := cut
			for _, answer := range append([]string{""}, answers...) {
				if answer != "" && !strings.HasPrefix(answer, "+OK <") {
					if _, err := s.hear(); err != nil {
						return nil
					}
				}
				n := min(left, len(answer))
				s.say(answer[:n])
				if left -= n; left == 0 && cut < len(whole) {
					return nil
				}
			}
			io.Copy(io.Discard, s.in)
			return nil
		})
		cfg.Timeout = time.Second
		s, err := New(cfg).Open(t.Context())
		var got []string
		if err == nil {
			got, err = fetch(t.Context(), s, "one", "two")
			for i := range got {
				if got[i] != want[i] {
					t.Errorf("cut at %d: %q, want %q", cut, got[i], want[i])
				}
			}
			if err != nil {
				if again, second := names(s); second == nil && cut < strings.Index(whole, "+OK\r\na") {
					t.Errorf("cut at %d: a dead session lists %q", cut, again)
				}
				if _, second := fetch(t.Context(), s, "one"); second == nil {
					t.Errorf("cut at %d: a dead session fetches", cut)
				}
			}
			s.Close()
		}
		if cut < len(whole) && migrate.KindOf(err) != migrate.Unavailable {
			t.Errorf("cut at %d: got %q, %v; want kind Unavailable", cut, got, err)
		}
		if cut == len(whole) && (err != nil || len(got) != 2) {
			t.Errorf("not cut: got %q, %v", got, err)
		}
	}
}

func TestCutBodySaysSo(t *testing.T) {
	s := open(t, loggedIn("", join(listOf("one"), []string{"C: RETR 1", "s: +OK\r\nabc\r\n"})...)...)
	for f, err := range s.Fetch(t.Context(), migrate.Inbox, messages("one")) {
		if err != nil {
			t.Fatal(err)
		}
		got, err := io.ReadAll(f.Body)
		if string(got) != "abc\r\n" || !errors.Is(err, io.ErrUnexpectedEOF) || errors.Is(err, context.Canceled) {
			t.Errorf("got %q, %v", got, err)
		}
		break
	}
	first := s.conn.Err()
	if _, err := s.Status(t.Context(), migrate.Inbox); !errors.Is(err, first) {
		t.Errorf("got %v, want the first error, %v", err, first)
	}
}

// A server that falls silent is given up after the time-out, at every step.
func TestStall(t *testing.T) {
	for _, capabilities := range []string{"UIDL", "PIPELINING UIDL"} {
		testStall(t, loggedIn(capabilities, join(listOf("one"), []string{"C: RETR 1", "s: +OK\r\nabc\r\n", "END"})...))
	}
}

func testStall(t *testing.T, script []string) {
	for end := range script {
		if script[end] == "END" || strings.HasPrefix(script[end], "C: ") {
			continue
		}
		t.Run(fmt.Sprintf("step %d", end), func(t *testing.T) {
			steps := join(script[:end], []string{"SILENCE"})
			if strings.HasPrefix(script[end], "s: ") { // half an answer, and silence
				steps = join(script[:end], []string{script[end][:len(script[end])-3], "SILENCE"})
			}
			synctest.Test(t, func(t *testing.T) {
				cfg := piped(t, func(s *server) error { return s.play(steps...) })
				begin := time.Now()
				s, err := New(cfg).Open(t.Context())
				if err == nil {
					defer s.Close()
					_, err = fetch(t.Context(), s, "one")
				}
				if migrate.KindOf(err) != migrate.Unavailable || !strings.Contains(err.Error(), "no answer") {
					t.Errorf("got %v, want a time-out", err)
				}
				if took := time.Since(begin); took != cfg.Timeout {
					t.Errorf("that took %v", took)
				}
			})
		})
	}
}

// A server that is slow and goes on, for far longer than the time-out, is not given up.
func TestSlowDrip(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		cfg := piped(t, func(s *server) error {
			if err := s.play(loggedIn("", listOf("one")...)...); err != nil {
				return err
			}
			if _, err := s.hear(); err != nil {
				return err
			}
			for _, c := range "+OK\r\nabcdefghij\r\n.\r\n" {
				time.Sleep(200 * time.Millisecond)
				s.say(string(c))
			}
			return s.play(bye...)
		})
		s := openAt(t, cfg)
		got, err := fetch(t.Context(), s, "one")
		if diff := cmp.Diff([]string{"one: abcdefghij\r\n"}, got); diff != "" || err != nil {
			t.Errorf("%v, -want +got:\n%s", err, diff)
		}
	})
}

// An answer that nobody asked for is not taken for a message's: every message would then bear the name of the one before it.
func TestAnswersNobodyAskedFor(t *testing.T) {
	for name, script := range map[string][]string{
		"before the first": {"s: +OK\r\n1 one\r\n2 two\r\n.\r\n+OK\r\nevil\r\n.\r\n"},
		"behind the first": {"S: +OK\r\n1 one\r\n2 two\r\n.", "C: RETR 1", "s: +OK\r\nfirst\r\n.\r\n+OK\r\nevil\r\n.\r\n"},
	} {
		t.Run(name, func(t *testing.T) {
			s := open(t, append(loggedIn("", "C: STAT", "S: +OK 2 20", "C: LIST", "S: +OK\r\n1 7\r\n2 8\r\n.", "C: UIDL"), script...)...)
			got, err := fetch(t.Context(), s, "one", "two")
			if err == nil || !strings.Contains(err.Error(), "unasked") || strings.Contains(strings.Join(got, ""), "evil") {
				t.Errorf("got %q, %v", got, err)
			}
		})
	}
}

// The clock doesn't run while the caller takes its time, between messages, in a body, or with nothing asked.
func TestSlowCaller(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := openAt(t, piped(t, func(s *server) error {
			return s.play(loggedIn("", join(listOf("one", "two"), []string{"C: RETR 1", "s: +OK\r\nab", "s: c\r\n.\r\n", "C: RETR 2", "s: +OK\r\nd\r\n.\r\n"}, bye)...)...)
		}))
		pause := func() { time.Sleep(time.Hour) }
		pause()
		var got string
		for f, err := range s.Fetch(t.Context(), migrate.Inbox, messages("one", "two")) {
			if err != nil {
				t.Fatal(err)
			}
			pause()
			for buffer := make([]byte, 1); ; {
				n, err := f.Body.Read(buffer)
				got += string(buffer[:n])
				if err == io.EOF {
					break
				}
				if err != nil {
					t.Fatal(err)
				}
				if got == "a" {
					pause()
				}
			}
			pause()
		}
		if got != "abc\r\nd\r\n" {
			t.Errorf("got %q", got)
		}
	})
}

// What waits for the rest of a message ends when it is cancelled.
func TestCancel(t *testing.T) {
	s := open(t, loggedIn("", join(listOf("one"), []string{"C: RETR 1", "s: +OK\r\nabc\r\n", "END"})...)...)
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	for f, err := range s.Fetch(ctx, migrate.Inbox, messages("one")) {
		if err != nil {
			t.Fatal(err)
		}
		if _, err := f.Body.Read(make([]byte, 1)); err != nil {
			t.Fatal(err)
		}
		time.AfterFunc(20*time.Millisecond, cancel) // before or while it waits
		if _, err := io.ReadAll(f.Body); !errors.Is(err, context.Canceled) || !errors.Is(err, io.ErrUnexpectedEOF) || migrate.IsTemporary(err) {
			t.Errorf("got %v", err)
		}
		break
	}
	if _, err := names(s); !errors.Is(err, context.Canceled) {
		t.Errorf("then %v", err)
	}
}

// A context that has ended already asks nothing and harms nothing.
func TestCancelledBefore(t *testing.T) {
	s := open(t, loggedIn("", join(listOf("one"), bye)...)...)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := fetch(ctx, s, "one"); !errors.Is(err, context.Canceled) {
		t.Errorf("got %v", err)
	}
	if got, err := names(s); len(got) != 1 || err != nil {
		t.Errorf("then %q, %v", got, err)
	}
}
