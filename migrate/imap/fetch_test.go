package imap

import (
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

// fetched reads everything that a Fetch yields: UID to body, or to the error.
func fetched(t *testing.T, s *Session, messages []migrate.Message) (map[uint32]string, error) {
	t.Helper()
	got := map[uint32]string{}
	for f, err := range s.Fetch(t.Context(), "INBOX", messages) {
		if err != nil {
			return got, err
		}
		text := ""
		if f.Err != nil {
			text = "error: " + f.Err.Error()
		} else {
			octets, err := io.ReadAll(f.Body)
			text = string(octets)
			if err != nil {
				text += " then " + err.Error()
			} else if f.Body.Size != int64(len(octets)) {
				t.Errorf("UID %d: size %d, octets %d", f.Message.Key.UID, f.Body.Size, len(octets))
			}
		}
		if _, twice := got[f.Message.Key.UID]; twice {
			t.Errorf("UID %d comes twice", f.Message.Key.UID)
		}
		got[f.Message.Key.UID] = text
	}
	return got, nil
}

func TestFetchOddities(t *testing.T) {
	tests := []struct {
		name  string
		uids  []uint32
		lines []string // the answer to UID FETCH of the group
		rest  map[string][]string
		want  map[uint32]string
	}{
		{name: "UID first", uids: []uint32{5}, lines: []string{"* 1 FETCH (UID 5 BODY[] {3}", "abc)", "TAG OK x"}, want: map[uint32]string{5: "abc"}},
		{name: "UID behind the body", uids: []uint32{5, 6}, lines: []string{"* 1 FETCH (BODY[] {3}", "abc UID 5)", "* 2 FETCH (BODY[] {1}", "z UID 6)", "TAG OK x"},
			want: map[uint32]string{5: "abc", 6: "z"}},
		{name: "flags between", uids: []uint32{5, 6}, lines: []string{"* 1 FETCH (FLAGS (\\Seen ))", "* 7 EXISTS", "* 1 FETCH (UID 5 FLAGS (foo[bar] a] \"q\" \xff[x) BODY[] {3}", "abc)",
			"* 9 RECENT", "* OK [ALERT] hi {5}", "* XFOO (bar {2}", "xx)", "* VANISHED 9", "* 2 FETCH (UID 6 BODY[] {1}", "z)", "TAG OK x"}, want: map[uint32]string{5: "abc", 6: "z"}},
		{name: "split in two", uids: []uint32{5, 6}, lines: []string{"* 1 FETCH (UID 5 FLAGS ())", "* 1 FETCH (BODY[] {3}", "abc)", "* 2 FETCH (UID 6 FLAGS ())", "* 2 FETCH (UID 6 BODY[] {1}", "z)", "TAG OK x"},
			want: map[uint32]string{5: "abc", 6: "z"}},
		{name: "no UID at all", uids: []uint32{5, 6}, lines: []string{"* 1 FETCH (BODY[] {3}", "abc)", "* 2 FETCH (BODY[] {1}", "z)", "TAG OK x"},
			rest: map[string][]string{"5": {"* 1 FETCH (BODY[] {3}", "abc)", "TAG OK x"}, "6": {"* 2 FETCH (BODY[] {1}", "z)", "TAG OK x"}},
			want: map[uint32]string{5: "abc", 6: "z"}},
		{name: "spelled oddly", uids: []uint32{5, 6, 7, 8}, lines: []string{"* 1 fetch (uid 5 body[]<0> {3}", "abc )", "* 2 FETCH  ( UID 6  BODY[] ~{1}", "\x00 )",
			"* 3 FETCH (X-GM-MSGID 123 UID 7 EMAILID (M1) INTERNALDATE \"31-Feb-2020 25:00:00\" BODY[] \"q\\\"d\")", "* 4 FETCH (UID 8 BODY[] {0}", ")", "TAG OK x"},
			want: map[uint32]string{5: "abc", 6: "\x00", 7: "q\"d", 8: ""}},
		{name: "without CR", uids: []uint32{5}, lines: []string{"* 1 FETCH (UID 5 BODY[] {3}\nabc)\nTAG OK x\n"}, want: map[uint32]string{5: "abc"}},
		{name: "one vanished", uids: []uint32{5, 6}, lines: []string{"* 1 FETCH (UID 5 BODY[] {3}", "abc)", "TAG OK x"}, rest: map[string][]string{"6": {"TAG OK x"}},
			want: map[uint32]string{5: "abc"}},
		{name: "one refused", uids: []uint32{5, 6, 7}, lines: []string{"* 1 FETCH (UID 5 BODY[] {3}", "abc)", "TAG NO [SERVERBUG] cannot open"},
			rest: map[string][]string{"6": {"TAG NO [SERVERBUG] broken \x1b[31m"}, "7": {"* 3 FETCH (UID 7 BODY[] {2}", "ok)", "TAG OK x"}},
			want: map[uint32]string{5: "abc", 6: `error: the server does not give this message: NO [SERVERBUG] broken \x1b[31m`, 7: "ok"}},
		{name: "NIL is no message", uids: []uint32{5, 6}, lines: []string{"* 1 FETCH (UID 5 BODY[] nil)", "* 2 FETCH (UID 6 BODY[] {1}", "z)", "TAG OK x"},
			rest: map[string][]string{"5": {"* 1 FETCH (UID 5 BODY[] NIL)", "TAG OK x"}},
			want: map[uint32]string{5: "error: " + errNoBody.Error(), 6: "z"}},
		{name: "told twice, and of others", uids: []uint32{5}, lines: []string{"* 1 FETCH (UID 5 BODY[] {3}", "abc)", "* 1 FETCH (UID 5 BODY[] {3}", "xyz)", "* 9 FETCH (UID 99 BODY[] {3}", "xyz)", "TAG OK x"},
			want: map[uint32]string{5: "abc"}},
		{name: "in another order", uids: []uint32{5, 6}, lines: []string{"* 2 FETCH (UID 6 BODY[] {1}", "z)", "* 1 FETCH (UID 5 BODY[] {3}", "abc)", "TAG OK x"}, want: map[uint32]string{5: "abc", 6: "z"}},
		{name: "nested without end", uids: []uint32{5}, lines: []string{"* 1 FETCH (X " + strings.Repeat("(", 50000) + strings.Repeat(")", 50000) + " UID 5 BODY[] {3}", "abc)", "TAG OK x"},
			want: map[uint32]string{5: "abc"}},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			cfg := serve(t, func(p *peer) {
				p.greet("")
				p.examine("EXAMINE", 9)
				play := func(tag string, lines []string) {
					for _, line := range lines {
						if line = strings.ReplaceAll(line, "TAG", tag); strings.HasSuffix(line, "\n") {
							io.WriteString(p.conn, line)
						} else {
							p.say(line)
						}
					}
				}
				tag, _ := p.expect("UID FETCH")
				play(tag, test.lines)
				for {
					line := p.hear()
					if line == "" {
						return
					}
					tag, rest, _ := strings.Cut(line, " ")
					if rest == "LOGOUT" {
						p.say("* BYE", tag+" OK x")
						return
					}
					set := strings.Fields(rest)[2]
					if test.rest[set] == nil {
						t.Errorf("asked again for %s", set)
					}
					play(tag, test.rest[set])
				}
			})
			s := open(t, cfg, true)
			got, err := fetched(t, s, keys(test.uids...))
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(test.want, got); diff != "" {
				t.Error(diff)
			}
			if err := s.Close(); err != nil {
				t.Error(err)
			}
		})
	}
}

func TestFetchCutLiteral(t *testing.T) {
	for _, announced := range []string{"1000", "4294967296"} {
		t.Run(announced, func(t *testing.T) {
			cfg := serve(t, func(p *peer) {
				p.greet("")
				p.examine("EXAMINE", 1)
				p.answer("UID FETCH", "* 1 FETCH (UID 5 BODY[] {"+announced+"}", "abc")
			})
			s := open(t, cfg, true)
			seen := 0
			for f, err := range s.Fetch(t.Context(), "INBOX", keys(5)) {
				if err != nil {
					if !migrate.IsTemporary(err) {
						t.Errorf("not temporary: %v", err)
					}
					continue
				}
				seen++
				octets, err := io.ReadAll(f.Body)
				if string(octets) != "abc\r\n" || !errors.Is(err, io.ErrUnexpectedEOF) {
					t.Errorf("read %q, %v", octets, err)
				}
			}
			if seen != 1 {
				t.Errorf("%d bodies", seen)
			}
			if _, err := s.Mailboxes(t.Context()); !migrate.IsTemporary(err) {
				t.Errorf("the session goes on: %v", err)
			}
		})
	}
}

// Who stops at a body that is cut short is not told of it once more.
func TestWhoStopsAtABrokenBodyIsToldNothingMore(t *testing.T) {
	cfg := serve(t, func(p *peer) {
		p.greet("")
		p.examine("EXAMINE", 1)
		p.answer("UID FETCH", "* 1 FETCH (UID 5 BODY[] {1000}", "abc")
	})
	s := open(t, cfg, true)
	for f, err := range s.Fetch(t.Context(), "INBOX", keys(5)) {
		if err != nil {
			t.Fatal(err)
		}
		if _, err := io.ReadAll(f.Body); !errors.Is(err, io.ErrUnexpectedEOF) {
			t.Errorf("the body ends with %v", err)
		}
		break
	}
	if _, err := s.Mailboxes(t.Context()); !migrate.IsTemporary(err) {
		t.Errorf("the session goes on: %v", err)
	}
}

func TestHostileSizes(t *testing.T) {
	for _, size := range []string{"-5", "9223372036854775808", "18446744073709551615", "4611686018427387905"} {
		t.Run(size, func(t *testing.T) {
			cfg := serve(t, func(p *peer) {
				p.greet("")
				p.examine("EXAMINE", 1)
				p.answer("UID FETCH", "* 1 FETCH (UID 5 BODY[] {"+size+"}", "abc", "TAG OK x")
			})
			_, err := fetched(t, open(t, cfg, true), keys(5))
			if err == nil || !strings.Contains(err.Error(), "literal of "+size) {
				t.Errorf("got %v", err)
			}
		})
	}
}

// A message that is announced to fill the disk costs itself, and one more connection for the others.
func TestMessageBeyondAllMeasure(t *testing.T) {
	for _, order := range []string{"UID 5 BODY[] {4294967297}", "BODY[] {4294967297}"} {
		cfg := serve(t, func(p *peer) {
			p.greet("")
			p.examine("EXAMINE", 1)
			p.answer("UID FETCH 5 ", "* 1 FETCH ("+order, strings.Repeat("x", 1000))
			p.hear()
		})
		s := open(t, cfg, true)
		var told, last error
		for f, err := range s.Fetch(t.Context(), "INBOX", keys(5)) {
			if last = err; err == nil {
				told = f.Err
			}
		}
		if told == nil || !strings.Contains(told.Error(), "4294967297 octets") || migrate.IsTemporary(told) {
			t.Errorf("%s: the message: %v", order, told)
		}
		if !migrate.IsTemporary(last) {
			t.Errorf("%s: the session: %v", order, last)
		}
	}
}

func TestEndlessLine(t *testing.T) {
	cfg := serve(t, func(p *peer) {
		p.greet("")
		p.expect("EXAMINE")
		io.WriteString(p.conn, "* FLAGS (")
		for range 1000 {
			if _, err := io.WriteString(p.conn, strings.Repeat("x", 64<<10)); err != nil {
				return
			}
		}
	})
	s := open(t, cfg, true)
	for _, err := range s.Messages(t.Context(), "INBOX") {
		if err == nil || !strings.Contains(err.Error(), "line of more than") {
			t.Errorf("got %v", err)
		}
	}
	if in, _ := s.conn.Octets(); in > 4<<20 {
		t.Errorf("read %d octets of it", in)
	}
}

func TestFetchLeftEarly(t *testing.T) {
	cfg := serve(t, func(p *peer) {
		p.greet("")
		p.examine("EXAMINE", 9)
		p.answer("UID FETCH", "* 1 FETCH (UID 5 BODY[] {3}", "abc)", "* 2 FETCH (UID 6 BODY[] {3}", "def)", "TAG OK x")
		p.answer("UID FETCH", "* 2 FETCH (UID 6 BODY[] {3}", "def)", "TAG OK x")
		p.bye()
	})
	s := open(t, cfg, true)
	var late io.Reader
	for f, err := range s.Fetch(t.Context(), "INBOX", keys(5, 6)) {
		if err != nil || f.Message.Key.UID != 5 {
			t.Fatal(f, err)
		}
		late = f.Body
		break
	}
	if _, err := io.ReadAll(late); err != errStepOver {
		t.Errorf("a body read too late: %v", err)
	}
	got, err := fetched(t, s, keys(6))
	if diff := cmp.Diff(map[uint32]string{6: "def"}, got); diff != "" || err != nil {
		t.Error(diff, err)
	}
}

// Whoever reads a body may take a rest: the server is not to blame.
func TestFetchByASlowReader(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := open(t, piped(t, func(p *peer) {
			p.greet("")
			p.examine("EXAMINE", 9)
			p.answer("UID FETCH", "* 1 FETCH (UID 5 BODY[] {200000}", strings.Repeat("x", 200000)+")", "* 2 FETCH (UID 6 BODY[] {1}", "z)", "TAG OK x")
			p.bye()
		}), true)
		total := 0
		for f, err := range s.Fetch(t.Context(), "INBOX", keys(5, 6)) {
			if err != nil {
				t.Fatal(err)
			}
			n, err := f.Body.Read(make([]byte, 1000))
			if err != nil {
				t.Fatal(err)
			}
			time.Sleep(time.Hour)
			rest, err := io.ReadAll(f.Body)
			if err != nil {
				t.Fatal(err)
			}
			total += n + len(rest)
		}
		if total != 200001 {
			t.Errorf("%d octets", total)
		}
	})
}

func TestFetchLargeBodyBeforeUID(t *testing.T) {
	body := strings.Repeat("0123456789abcdef", 200<<10) // over what is held in memory
	cfg := serve(t, func(p *peer) {
		p.greet("")
		p.examine("EXAMINE", 9)
		p.answer("UID FETCH", fmt.Sprintf("* 1 FETCH (BODY[] {%d}", len(body)), body+" UID 5)", "TAG OK x")
		p.bye()
	})
	got, err := fetched(t, open(t, cfg, true), keys(5))
	if err != nil || got[5] != body {
		t.Errorf("%d octets, %v", len(got[5]), err)
	}
}

func TestFetchGroups(t *testing.T) {
	const count = 3000
	messages := make([]migrate.Message, count)
	for i := range messages {
		messages[i].Key = migrate.Key{Validity: 77, UID: uint32(1000000 + 7*i)}
	}
	cfg := serve(t, func(p *peer) {
		p.greet("")
		p.examine("EXAMINE", count)
		for {
			line := p.hear()
			if line == "" {
				return
			}
			if len(line) > 8192 {
				t.Errorf("a line of %d octets", len(line))
			}
			tag, rest, _ := strings.Cut(line, " ")
			if rest == "LOGOUT" {
				p.say("* BYE", tag+" OK x")
				return
			}
			for uid := range strings.SplitSeq(strings.Fields(rest)[2], ",") {
				p.say(fmt.Sprintf("* 1 FETCH (UID %s BODY[] {%d}", uid, len(uid)), uid+")")
			}
			p.say(tag + " OK x")
		}
	})
	got, err := fetched(t, open(t, cfg, true), messages)
	if err != nil || len(got) != count {
		t.Fatalf("%d of %d, %v", len(got), count, err)
	}
	for uid, text := range got {
		if text != fmt.Sprint(uid) {
			t.Errorf("UID %d has %q", uid, text)
		}
	}
}
