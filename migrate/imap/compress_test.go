package imap

import (
	"bufio"
	"bytes"
	"compress/flate"
	"fmt"
	"io"
	"log/slog"
	"net"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"postcask/migrate"
	"postcask/migrate/wire"
)

// measured is a link over which so many octets a second were seen.
func measured(way wire.Direction, rate int) *wire.Link {
	link := new(wire.Link)
	link.Answered(30 * time.Millisecond)
	link.Moved(way, 10*rate, time.Now().Add(-10*time.Second))
	return link
}

// nearlyMeasured is a link of which it will be known only with the next MiB that it is slow.
func nearlyMeasured(way wire.Direction) (link *wire.Link, measure func()) {
	link = new(wire.Link)
	link.Answered(30 * time.Millisecond)
	link.Moved(way, 3<<20, time.Now().Add(-4*time.Second))
	return link, func() { link.Moved(way, 1<<20, time.Now()) }
}

// packing is a connection in deflate. What is written before flush goes out with it, in one segment.
type packing struct {
	net.Conn
	in   io.Reader
	out  *flate.Writer
	held bytes.Buffer
}

func (p *packing) Read(b []byte) (int, error) { return p.in.Read(b) }

func (p *packing) Write(b []byte) (int, error) {
	n, err := p.out.Write(b)
	if err == nil {
		err = p.flush()
	}
	return n, err
}

func (p *packing) flush() error {
	if err := p.out.Flush(); err != nil {
		return err
	}
	_, err := p.held.WriteTo(p.Conn)
	return err
}

// compress answers COMPRESS, in one segment with more lines that are compressed already, and then the client's proof.
func (p *peer) compress(more ...string) {
	p.t.Helper()
	tag, _ := p.expect("COMPRESS DEFLATE")
	packed := &packing{Conn: p.conn, in: flate.NewReader(p.in)}
	packed.held.WriteString(tag + " OK as you like\r\n")
	packed.out, _ = flate.NewWriter(&packed.held, 6)
	for _, line := range more {
		io.WriteString(packed.out, line+"\r\n")
	}
	packed.flush()
	p.conn, p.in = packed, bufio.NewReader(packed)
	p.answer("NOOP", "TAG OK nothing")
}

// large are messages that are announced to be so large that a slow link would be busy for long.
func large(uids ...uint32) []migrate.Message {
	messages := keys(uids...)
	for i := range messages {
		messages[i].Size = groupOctets
	}
	return messages
}

func TestSlowLinkIsCompressed(t *testing.T) {
	for _, ahead := range []bool{false, true} {
		slowLinkIsCompressed(t, ahead)
	}
}

func slowLinkIsCompressed(t *testing.T, ahead bool) {
	cfg := serve(t, func(p *peer) {
		p.greet("COMPRESS=DEFLATE")
		p.compress("* 1 EXISTS", "* OK [ALERT] it is late")
		p.examine("EXAMINE", 9)
		p.answer("UID FETCH 5", "* 1 FETCH (UID 5 BODY[] {12}", "abcabcabcabc)", "TAG OK x")
		p.answer("UID FETCH 6", "* 2 FETCH (UID 6 BODY[] {3}", "xyz)", "TAG OK x")
		p.bye()
	})
	var trace bytes.Buffer
	cfg.Link = measured(wire.Down, 2e6)
	cfg.Log = slog.New(slog.NewTextHandler(&trace, &slog.HandlerOptions{Level: slog.LevelDebug}))
	s := open(t, cfg, true)
	if ahead {
		s.FetchAhead(t.Context(), "INBOX", large(5, 6))
	}
	got, err := fetched(t, s, large(5, 6))
	if diff := cmp.Diff(map[uint32]string{5: "abcabcabcabc", 6: "xyz"}, got); diff != "" || err != nil {
		t.Error(err, diff)
	}
	for _, line := range []string{"COMPRESS DEFLATE", "ALERT", "UID FETCH 6", "* 2 FETCH (UID 6"} {
		if !strings.Contains(trace.String(), line) {
			t.Errorf("%q is not in the trace", line)
		}
	}
}

// A link may turn out to be slow in the midst of a Fetch: what was asked for comes in full before compression begins.
func TestCompressionBeginsInTheMidstOfAFetch(t *testing.T) {
	link, measure := nearlyMeasured(wire.Down)
	var uids []uint32
	want := map[uint32]string{}
	for uid := range uint32(singlesAtOnce + 4) {
		uids, want[uid+1] = append(uids, uid+1), "abc"
	}
	body := func(p *peer) {
		tag, args := p.expect("UID FETCH")
		uid, _, _ := strings.Cut(args, " ")
		p.say("* 1 FETCH (UID "+uid+" BODY[] {3}", "abc)", tag+" OK x")
	}
	cfg := serve(t, func(p *peer) {
		p.greet("COMPRESS=DEFLATE")
		tag, _ := p.expect("EXAMINE")
		measure()
		p.say("* 100 EXISTS", "* OK [UIDVALIDITY 77] x", "* OK [UIDNEXT 101] x", tag+" OK x")
		for range singlesAtOnce - 1 { // one less since EXAMINE was under way with them
			body(p)
		}
		p.compress()
		for range 5 {
			body(p)
		}
		p.bye()
	})
	cfg.Link = link
	got, err := fetched(t, open(t, cfg, true), large(uids...))
	if diff := cmp.Diff(want, got); diff != "" || err != nil {
		t.Error(err, diff)
	}
}

func TestNothingIsCompressedWithoutNeed(t *testing.T) {
	tests := []struct {
		name         string
		link         *wire.Link
		capabilities string
		messages     []migrate.Message
	}{
		{"a fast link", measured(wire.Down, 50e6), "COMPRESS=DEFLATE", large(5)},
		{"a link of unknown speed", new(wire.Link), "COMPRESS=DEFLATE", large(5)},
		{"compress=off", nil, "COMPRESS=DEFLATE", large(5)},
		{"a server that does not offer it", measured(wire.Down, 2e6), "COMPRESS=LZ4", large(5)},
		{"little that is left", measured(wire.Down, 2e6), "COMPRESS=DEFLATE", keys(5)},
		{"only the way up is slow", measured(wire.Up, 2e6), "COMPRESS=DEFLATE", large(5)},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			cfg := serve(t, func(p *peer) {
				p.greet(test.capabilities)
				p.examine("EXAMINE", 9)
				p.answer("UID FETCH 5", "* 1 FETCH (UID 5 BODY[] {3}", "abc)", "TAG OK x")
				p.bye()
			})
			cfg.Link = test.link
			if got, err := fetched(t, open(t, cfg, true), test.messages); got[5] != "abc" || err != nil {
				t.Error(got, err)
			}
		})
	}
}

// While it is not known whether a link is slow, what is asked for is little at once; on one that seems to be fast, a distant
// server has enough to do to keep it busy.
func TestAFastLinkIsKeptBusyFromTheFirst(t *testing.T) {
	const many = 10 // groups
	for _, atOnce := range []int{inFlight, many} {
		link := new(wire.Link)
		if atOnce == many {
			link.Moved(wire.Down, 2<<20, time.Now())
		}
		var uids []uint32
		for uid := range uint32(many) {
			uids = append(uids, uid+1)
		}
		messages := keys(uids...)
		for i := range messages {
			messages[i].Size = groupOctets / 16
		}
		cfg := serve(t, func(p *peer) {
			p.greet("COMPRESS=DEFLATE")
			p.examine("EXAMINE", 99)
			var tags []string
			for uid := range many {
				tag, _ := p.expect("UID FETCH")
				tags = append(tags, tag)
				if len(tags) < atOnce {
					continue // nothing is answered before so many are there
				}
				p.say(fmt.Sprintf("* 1 FETCH (UID %d BODY[] {3}", uid+2-atOnce), "abc)", tags[uid+1-atOnce]+" OK x")
			}
			for uid := many + 1 - atOnce; uid < many; uid++ {
				p.say(fmt.Sprintf("* 1 FETCH (UID %d BODY[] {3}", uid+1), "abc)", tags[uid]+" OK x")
			}
			p.bye()
		})
		cfg.Link = link
		if got, err := fetched(t, open(t, cfg, true), messages); len(got) != many || err != nil {
			t.Errorf("%d at once: %v, %v", atOnce, got, err)
		}
	}
}

// A server that does not compress after all costs one connection at most, and is not asked again in this run.
func TestServerThatOnlyOffersCompression(t *testing.T) {
	plainly := func(p *peer) {
		p.examine("EXAMINE", 9)
		p.answer("UID FETCH 5", "* 1 FETCH (UID 5 BODY[] {3}", "abc)", "TAG OK x")
		p.bye()
	}
	tests := []struct {
		name     string
		compress func(*peer) // what it says to the command
		error    string      // of the first Fetch; empty where it goes on in plain words
		asked    bool        // the next session asks too
	}{
		{"NO", func(p *peer) { p.answer("COMPRESS", "TAG NO not now"); plainly(p) }, "", false},
		{"BAD", func(p *peer) { p.answer("COMPRESS", "TAG BAD what?"); plainly(p) }, "", false},
		{"another layer does", func(p *peer) { p.answer("COMPRESS", "TAG NO [COMPRESSIONACTIVE] TLS does"); plainly(p) }, "", true},
		{"OK, and then plain words", func(p *peer) {
			p.answer("COMPRESS", "TAG OK yes")
			p.say("* 1 EXISTS", "and I can not say it otherwise")
			p.hear()
		}, "makes no sense", false},
		{"OK, and then nothing", func(p *peer) { p.answer("COMPRESS", "TAG OK yes"); io.Copy(io.Discard, p.in) }, "no answer for", false},
		{"OK, and hangs up", func(p *peer) { p.answer("COMPRESS", "TAG OK yes") }, "", false},
		{"garbage in the midst of a message", func(p *peer) {
			p.compress()
			p.examine("EXAMINE", 9)
			tag, _ := p.expect("UID FETCH 5")
			p.say("* 1 FETCH (UID 5 BODY[] {3}")
			packed := p.conn.(*packing)
			packed.Conn.Write([]byte("\xff\xff\xff" + tag))
		}, "makes no sense", false},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			sessions := 0
			cfg := serve(t, func(p *peer) {
				p.greet("COMPRESS=DEFLATE")
				if sessions++; sessions == 1 || test.asked {
					test.compress(p)
					return
				}
				plainly(p)
			})
			if test.error == "no answer for" {
				cfg.Timeout = time.Second
			}
			cfg.Link = measured(wire.Down, 2e6)
			acct := New(cfg)
			for try := range 2 {
				s, err := acct.Open(t.Context(), true)
				if err != nil {
					t.Fatal(err)
				}
				got, err := fetched(t, s, large(5))
				s.Close()
				fails := try == 0 && (test.error != "" || strings.Contains(test.name, "hangs up"))
				switch {
				case !fails && (err != nil || got[5] != "abc"):
					t.Errorf("try %d: %v, %v", try, got, err)
				case fails && (migrate.KindOf(err) != migrate.Unavailable || !migrate.IsTemporary(err) || !strings.Contains(err.Error(), test.error)):
					t.Errorf("try %d: %v, %v", try, got, err)
				}
			}
		})
	}
}

func TestSlowWayUpIsCompressed(t *testing.T) {
	bodies := []string{strings.Repeat("first ", 9), strings.Repeat("second ", 9), strings.Repeat("third ", 9), strings.Repeat("fourth ", 9)}
	tests := []struct {
		name, capabilities string
		before             string // which step the way up turns out to be slow
		plain              int    // messages that have gone before
	}{
		{"in the midst of a group", "LITERAL+", "third", 2},
		{"in the midst of a command", "LITERAL+ MULTIAPPEND", "third", 2},
		{"at the end of a group", "LITERAL+ MULTIAPPEND", "commit", 3},
		{"one message at a time", "X-NOTHING", "third", 2},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			var arrived []string
			cfg := serve(t, func(p *peer) {
				p.greet("COMPRESS=DEFLATE " + test.capabilities)
				p.examine("SELECT", 0)
				take := func(upTo int) {
					for len(arrived) < upTo {
						tag, line := p.expect(`APPEND "INBOX"`)
						from := len(arrived) + 1
						for line != "" {
							if !strings.Contains(line, "+}") {
								p.say("+ go on")
							}
							arrived = append(arrived, p.octets(literalSize(line)))
							line = p.hear()
						}
						p.say(fmt.Sprintf("%s OK [APPENDUID 77 %d:%d] x", tag, from, len(arrived)))
					}
				}
				take(test.plain)
				p.compress()
				take(len(bodies))
				p.bye()
			})
			var measure func()
			cfg.Link, measure = nearlyMeasured(wire.Up)
			s := open(t, cfg, false)
			stored := 0
			for i, body := range bodies {
				if strings.HasPrefix(body, test.before) {
					measure()
				}
				if err := s.Append(t.Context(), "INBOX", migrate.Message{}, textBody(body)); err != nil {
					t.Fatal(err)
				}
				if i < 2 {
					continue
				}
				if i == 2 && test.before == "commit" {
					measure()
				}
				verdicts, err := s.Commit(t.Context())
				if err != nil {
					t.Fatal(err)
				}
				for _, one := range verdicts {
					if stored++; one.Err != nil || one.Key.UID != uint32(stored) {
						t.Errorf("%+v for message %d", one, stored)
					}
				}
			}
			s.Close()
			finished(cfg)
			if diff := cmp.Diff(bodies, arrived); diff != "" || stored != len(bodies) {
				t.Error(stored, diff)
			}
		})
	}
}
