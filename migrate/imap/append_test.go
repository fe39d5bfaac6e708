package imap

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"postcask/migrate"
)

// takeAppends plays the server to APPEND commands until LOGOUT. decide gives the verdict for a message of a command,
// by its body; a refusal that begins with "+" comes in place of the request to go on.
func (p *peer) takeAppends(plus bool, decide func(mbox, body string) string) {
	p.t.Helper()
	for {
		line := p.hear()
		tag, rest, _ := strings.Cut(line, " ")
		switch {
		case line == "":
			return
		case rest == "LOGOUT":
			p.say("* BYE", tag+" OK x")
			return
		case strings.HasPrefix(rest, "SELECT "), strings.HasPrefix(rest, "EXAMINE "):
			p.say("* 0 EXISTS", "* OK [UIDVALIDITY 77] x", "* OK [UIDNEXT 1] x", "* FLAGS (\\Seen had)", "* OK [PERMANENTFLAGS (\\Seen new)] x", tag+" OK x")
		case strings.HasPrefix(rest, "APPEND "):
			verdict := tag + " OK"
			for {
				refusal := decide(rest, "")
				if !plus && strings.HasPrefix(refusal, "+") {
					p.say(tag + " " + refusal[1:])
					break
				}
				if !plus {
					p.say("+ go on")
				}
				body := p.octets(literalSize(line))
				if said := decide(rest, body); said != "" {
					verdict = tag + " " + said
				}
				if line = p.hear(); line == "" {
					p.say(verdict)
					break
				}
				rest = line
			}
		case rest == "NOOP", strings.HasPrefix(rest, "UID FETCH "):
			p.say(tag + " OK nothing told")
		default:
			p.t.Errorf("client said %q", line)
			p.say(tag + " BAD what")
		}
	}
}

// deliver appends count messages and commits them, and once more those that have to come again.
func deliver(t *testing.T, s *Session, mbox migrate.Path, count int, body func(i int) migrate.Body) []migrate.Stored {
	t.Helper()
	all := make([]migrate.Stored, count)
	places := make([]int, count)
	for i := range places {
		places[i] = i
	}
	for round := 0; len(places) > 0; round++ {
		for _, i := range places {
			if err := s.Append(t.Context(), mbox, migrate.Message{}, body(i)); err != nil {
				t.Fatal(err)
			}
		}
		stored, err := s.Commit(t.Context())
		if err != nil || len(stored) != len(places) || round > 1 {
			t.Fatalf("round %d: %d of %d answered for, %v", round, len(stored), len(places), err)
		}
		var again []int
		for n, i := range places {
			if all[i] = stored[n]; errors.Is(stored[n].Err, migrate.ErrAgain) {
				again = append(again, i)
			}
		}
		places = again
	}
	return all
}

func TestAppendRefusalCostsOneMessage(t *testing.T) {
	tests := []struct {
		name, capabilities string
		refusal            string
	}{
		{"at the request to go on", "", "+NO [TOOBIG] too big"},
		{"at the end", "", "NO [TOOBIG] too big"},
		{"at the end with LITERAL+", "LITERAL+", "NO [TOOBIG] too big"},
		{"of a MULTIAPPEND", "LITERAL+ MULTIAPPEND", "BAD [TOOBIG] too big"},
		{"with LITERAL-", "LITERAL- MULTIAPPEND", "NO [TOOBIG] too big"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			count := 0
			cfg := serve(t, func(p *peer) {
				p.greet(test.capabilities)
				p.takeAppends(strings.Contains(test.capabilities, "LITERAL"), func(command, body string) string {
					if strings.HasPrefix(test.refusal, "+") {
						if body == "" {
							if count++; count == 2 {
								return test.refusal
							}
							return ""
						}
						return ""
					}
					if body == "bad" {
						return test.refusal
					}
					return ""
				})
			})
			s := open(t, cfg, false)
			stored := deliver(t, s, "INBOX", 3, func(i int) migrate.Body { return textBody([]string{"one", "bad", "three"}[i]) })
			if stored[0].Err != nil || stored[2].Err != nil || stored[1].Err == nil || !strings.Contains(stored[1].Err.Error(), "[TOOBIG] too big") {
				t.Errorf("got %v", stored)
			}
			if s.conn.Err() != nil {
				t.Errorf("the session is dead: %v", s.conn.Err())
			}
		})
	}
}

func TestAppendOnTheWire(t *testing.T) {
	var commands []string
	cfg := serve(t, func(p *peer) {
		p.greet("LITERAL+ BINARY APPENDLIMIT=100")
		p.takeAppends(true, func(command, body string) string {
			if body != "" || strings.HasSuffix(command, "{0+}") {
				commands = append(commands, command)
			}
			return ""
		})
	})
	s := open(t, cfg, false)
	when := time.Date(2001, 2, 3, 4, 5, 6, 0, time.FixedZone("", -(3*3600+30*60)))
	flags := migrate.NewFlags(`\Seen`, `\Recent`, `\Odd`, "new", "had", "other", "b[ad]", "umlaut\u00e4")
	messages := []struct {
		m    migrate.Message
		body string
	}{
		{migrate.Message{InternalDate: when, Flags: flags}, "abc"},
		{migrate.Message{InternalDate: time.Date(20000, 1, 1, 0, 0, 0, 0, time.UTC)}, "n\x00l"},
		{migrate.Message{Flags: migrate.NewFlags(`\Recent`)}, ""},
	}
	for _, m := range messages {
		if err := s.Append(t.Context(), "INBOX", m.m, textBody(m.body)); err != nil {
			t.Fatal(err)
		}
	}
	stored, err := s.Commit(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	s.Close()
	finished(cfg)
	slices.Sort(commands)
	commands = slices.Compact(commands) // the empty message is asked about twice
	want := []string{`APPEND "INBOX" (\Seen had new) " 3-Feb-2001 04:05:06 -0330" {3+}`, `APPEND "INBOX" {0+}`, `APPEND "INBOX" ~{3+}`}
	if diff := cmp.Diff(want, commands); diff != "" {
		t.Error(diff)
	}
	if diff := cmp.Diff([]string{`\Odd`, "b[ad]", "other", "umlaut\u00e4"}, stored[0].Dropped); diff != "" {
		t.Error(diff)
	}
}

func TestAppendSourceFails(t *testing.T) {
	broken := errors.New("source is gone")
	for _, size := range []int64{100, smallBody + 100} {
		t.Run(fmt.Sprint(size), func(t *testing.T) {
			cfg := serve(t, func(p *peer) {
				p.greet("LITERAL+")
				p.takeAppends(true, func(string, string) string { return "" })
				if strings.Contains(p.said.String(), "LOGOUT") != (size == 100) {
					t.Error("the session did not end as it should")
				}
			})
			s := open(t, cfg, false)
			body := migrate.Body{Reader: io.MultiReader(strings.NewReader("abc"), failing{broken}), Size: size}
			err := s.Append(t.Context(), "INBOX", migrate.Message{}, body)
			if !errors.Is(err, broken) {
				t.Errorf("got %v", err)
			}
			if _, err := s.Commit(t.Context()); (err == nil) != (size == 100) {
				t.Errorf("commit: %v", err)
			}
			short := migrate.Body{Reader: strings.NewReader("abc"), Size: size}
			if err := s.Append(t.Context(), "INBOX", migrate.Message{}, short); err == nil {
				t.Error("a short body was taken")
			}
			s.Close()
		})
	}
}

type failing struct{ err error }

func (f failing) Read([]byte) (int, error) { return 0, f.err }

// slow gives size octets in pieces, with a pause now and then.
type slow struct {
	size  int
	pause time.Duration
}

func (s *slow) Read(p []byte) (int, error) {
	if s.size == 0 {
		return 0, io.EOF
	}
	time.Sleep(s.pause)
	n := min(len(p), s.size, 100<<10)
	for i := range n {
		p[i] = 'x'
	}
	s.size -= n
	return n, nil
}

// A source that pauses for longer than the clock's patience is nobody's fault but its own.
func TestAppendFromSlowSource(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := open(t, piped(t, func(p *peer) {
			p.greet("LITERAL+")
			p.takeAppends(true, func(string, string) string { return "" })
		}), false)
		const size = 300 << 10
		if err := s.Append(t.Context(), "INBOX", migrate.Message{}, migrate.Body{Reader: &slow{size, time.Hour}, Size: size}); err != nil {
			t.Fatal(err)
		}
		if stored, err := s.Commit(t.Context()); err != nil || stored[0].Err != nil {
			t.Fatal(stored, err)
		}
	})
}

// A server that says much while it reads nothing must not bring both sides to wait for each other.
func TestAppendServerTalksFirst(t *testing.T) {
	const size = 12 << 20
	cfg := serve(t, func(p *peer) {
		p.greet("LITERAL+")
		p.examine("SELECT", 0)
		tag, args := p.expect("APPEND")
		talk := strings.Repeat("* 5 EXISTS\r\n", 1000)
		for range 1000 {
			io.WriteString(p.conn, talk)
		}
		p.say("+ go on")
		p.octets(literalSize(args))
		p.hear()
		p.say(tag + " OK [APPENDUID 77 1] x")
		p.bye()
	})
	s := open(t, cfg, false)
	if err := s.Append(t.Context(), "INBOX", migrate.Message{}, migrate.Body{Reader: &slow{size, 0}, Size: -1}); err != nil {
		t.Fatal(err)
	}
	if stored, err := s.Commit(t.Context()); err != nil || stored[0].Err != nil {
		t.Fatal(stored, err)
	}
}

// An OK that comes in place of the request to go on stores nothing: not an octet of the message has been sent.
func TestAppendAnsweredBeforeItsOctets(t *testing.T) {
	cfg := serve(t, func(p *peer) {
		p.greet("UIDPLUS")
		p.examine("SELECT", 0)
		p.answer("APPEND", "TAG OK [APPENDUID 77 1] stored")
		p.bye()
	})
	s := open(t, cfg, false)
	body := migrate.Body{Reader: strings.NewReader("x\r\n"), Size: 3}
	if err := s.Append(t.Context(), "INBOX", migrate.Message{}, body); err != nil {
		t.Fatal(err)
	}
	stored, err := s.Commit(t.Context())
	if err != nil || len(stored) != 1 || stored[0].Err == nil || !stored[0].Key.IsZero() {
		t.Errorf("got %+v, %v", stored, err)
	}
}

func TestAppendTryCreate(t *testing.T) {
	made, count := false, 0
	cfg := serve(t, func(p *peer) {
		p.greet("LITERAL+")
		for {
			line := p.hear()
			tag, rest, _ := strings.Cut(line, " ")
			word, _, _ := strings.Cut(rest, " ")
			switch word {
			case "":
				return
			case "LIST":
				if rest == `LIST "" "*"` {
					p.say(`* LIST () "/" INBOX`, `* LIST () "/" New`)
				}
				p.say(tag + " OK x")
			case "CREATE":
				made = true
				p.say(tag + " OK x")
			case "APPEND":
				p.octets(literalSize(line))
				p.hear()
				if count++; count == 1 {
					p.say(tag + " NO [TRYCREATE] no such mailbox")
					break
				}
				p.say(tag + " OK [APPENDUID 9 4] x")
			default:
				p.say(tag + " OK x")
			}
		}
	})
	s := open(t, cfg, false)
	stored := deliver(t, s, "New", 1, func(int) migrate.Body { return textBody("abc") })
	s.Close()
	finished(cfg)
	if stored[0].Err != nil || stored[0].Key != (migrate.Key{Validity: 9, UID: 4}) || !made {
		t.Error(stored, made)
	}
}

func TestAppendUIDs(t *testing.T) {
	tests := []struct {
		set  string
		n    int
		want []uint32
	}{
		{"5", 1, []uint32{5}}, {"5:7", 3, []uint32{5, 6, 7}}, {"5,8:9", 3, []uint32{5, 8, 9}}, {"", 1, nil}, {"5:7", 2, nil}, {"5", 2, nil}, {"7:5", 3, nil},
		{"1:4294967295", 2, nil}, {"0", 1, nil}, {"5,5", 2, nil}, {"x", 1, nil}, {"99999999999", 1, nil}, {"4294967295", 1, []uint32{4294967295}},
	}
	for _, test := range tests {
		got, ok := parseUIDs(test.set, test.n)
		if ok != (test.want != nil) || ok && !cmp.Equal(test.want, got) {
			t.Errorf("%q for %d: %v, %v", test.set, test.n, got, ok)
		}
	}
}

func TestAppendKeysWithoutUIDPLUS(t *testing.T) {
	cfg := serve(t, func(p *peer) {
		p.greet("LITERAL+")
		p.examine("SELECT", 4)
		for range 2 {
			tag, args := p.expect("APPEND")
			p.octets(literalSize(args))
			p.hear()
			p.say(tag + " OK stored")
		}
		p.answer("NOOP", "TAG OK x")
		p.answer("UID FETCH 5:*", "* 6 FETCH (UID 9 RFC822.SIZE 5)", "* 5 FETCH (RFC822.SIZE 3 UID 8)", "TAG OK x")
		p.bye()
	})
	s := open(t, cfg, false)
	for _, body := range []string{"one", "three"} {
		if err := s.Append(t.Context(), "INBOX", migrate.Message{}, textBody(body)); err != nil {
			t.Fatal(err)
		}
	}
	stored, err := s.Commit(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	want := []migrate.Stored{{Key: migrate.Key{Validity: 77, UID: 8}}, {Key: migrate.Key{Validity: 77, UID: 9}}}
	if diff := cmp.Diff(want, stored); diff != "" {
		t.Error(diff)
	}
}

// Who is interrupted may finish the group in hand: nothing of it was lost, and nothing is called stored that was not sent.
func TestCommitAfterInterrupt(t *testing.T) {
	sent := 0
	cfg := serve(t, func(p *peer) {
		p.greet("LITERAL+")
		p.takeAppends(true, func(command, body string) string {
			if body != "" {
				sent++
			}
			return ""
		})
	})
	s := open(t, cfg, false)
	ctx, cancel := context.WithCancel(t.Context())
	for _, body := range []string{"one", "two"} {
		if err := s.Append(ctx, "INBOX", migrate.Message{}, textBody(body)); err != nil {
			t.Fatal(err)
		}
	}
	cancel()
	if err := s.Append(ctx, "INBOX", migrate.Message{}, textBody("three")); !errors.Is(err, context.Canceled) {
		t.Errorf("append: %v", err)
	}
	if stored, err := s.Commit(ctx); !errors.Is(err, context.Canceled) {
		t.Errorf("commit: %v, %v", stored, err)
	}
	stored, err := s.Commit(t.Context())
	if err != nil || len(stored) != 2 || stored[0].Err != nil || stored[1].Err != nil {
		t.Errorf("commit: %v, %v", stored, err)
	}
	s.Close()
	finished(cfg)
	if sent != 2 {
		t.Errorf("%d messages were sent", sent)
	}
}
