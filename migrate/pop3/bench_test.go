package pop3

import (
	"bytes"
	"fmt"
	"io"
	"strconv"
	"strings"
	"testing"

	"postcask/migrate"
)

// letters are bodies as they go over the line, dots stuffed, without the end.
var letters = map[string][]byte{
	"5 KB of text":     bytes.Repeat([]byte("Some words, and then more; not too many on one line.\r\n"), 96),
	"5 KB of dots":     bytes.Repeat([]byte("..here.and.there\r\n"), 285),
	"60 KB of base64":  bytes.Repeat([]byte(strings.Repeat("TWFu", 19)+"\r\n"), 790),
	"1 MB in one line": append(bytes.Repeat([]byte("x"), 1<<20), "\r\n"...),
}

// BenchmarkRETR reads messages through a session, from a server that has nothing else to do.
func BenchmarkRETR(b *testing.B) {
	for name, letter := range letters {
		for _, capabilities := range []string{"PIPELINING UIDL", "UIDL"} {
			way := "one by one"
			if strings.HasPrefix(capabilities, "P") {
				way = "pipelined"
			}
			b.Run(name+", "+way, func(b *testing.B) { benchmarkRETR(b, letter, capabilities) })
		}
	}
}

func benchmarkRETR(b *testing.B, letter []byte, capabilities string) {
	const count = 1000
	answer := append(append([]byte("+OK\r\n"), letter...), ".\r\n"...)
	cfg, _ := serve(b, func(s *server) error {
		var list, uidl []byte
		for n := 1; n <= count; n++ {
			list = fmt.Appendf(list, "%d %d\r\n", n, len(letter))
			uidl = fmt.Appendf(uidl, "%d u%d\r\n", n, n)
		}
		if err := s.play(loggedIn(capabilities, "C: STAT", fmt.Sprintf("S: +OK %d 1", count),
			"C: LIST", "s: +OK\r\n"+string(list)+".\r\n", "C: UIDL", "s: +OK\r\n"+string(uidl)+".\r\n")...); err != nil {
			return err
		}
		for {
			line, err := s.in.ReadSlice('\n')
			if err != nil || bytes.HasPrefix(line, []byte("QUIT")) {
				s.say("+OK\r\n")
				return nil
			}
			if _, err := s.Conn.Write(answer); err != nil {
				return nil
			}
		}
	})
	s := openAt(b, cfg)
	ask := make([]migrate.Message, count)
	for n := range ask {
		ask[n].Key.Name = "u" + strconv.Itoa(n+1)
	}
	buffer := make([]byte, 32<<10)
	b.SetBytes(int64(len(letter)))
	b.ReportAllocs()
	for left := b.N; left > 0; left -= count {
		for f, err := range s.Fetch(b.Context(), migrate.Inbox, ask[:min(left, count)]) {
			if err != nil {
				b.Fatal(err)
			}
			if _, err := io.CopyBuffer(struct{ io.Writer }{io.Discard}, f.Body, buffer); err != nil {
				b.Fatal(err)
			}
		}
	}
}

// BenchmarkBody takes the dots out of a body, without a connection.
func BenchmarkBody(b *testing.B) {
	for name, letter := range letters {
		b.Run(name, func(b *testing.B) {
			octets := append(bytes.Clone(letter), ".\r\n"...)
			from := bytes.NewReader(octets)
			body := bodyOver(b, from)
			fresh := *body
			buffer := make([]byte, 32<<10)
			b.SetBytes(int64(len(letter)))
			b.ReportAllocs()
			for b.Loop() {
				*body = fresh
				from.Reset(octets)
				body.conn.in.Reset(from)
				for {
					if _, err := body.Read(buffer); err == io.EOF {
						break
					} else if err != nil {
						b.Fatal(err)
					}
				}
			}
		})
	}
}

// BenchmarkListing reads STAT, LIST and UIDL of a maildrop with 100,000 messages, and finds each by its name, some at once.
func BenchmarkListing(b *testing.B) {
	const count = 100_000
	var list, uidl []byte
	for n := 1; n <= count; n++ {
		list = fmt.Appendf(list, "%d 5000\r\n", n)
		uidl = fmt.Appendf(uidl, "%d %016x\r\n", n, n*7919)
	}
	b.ReportAllocs()
	for b.Loop() {
		cfg, _ := serve(b, func(s *server) error {
			return s.play(loggedIn("PIPELINING UIDL", "C: STAT", fmt.Sprintf("S: +OK %d 1", count),
				"C: LIST", "s: +OK\r\n"+string(list)+".\r\n", "C: UIDL", "s: +OK\r\n"+string(uidl)+".\r\n", "C: QUIT", "S: +OK", "END")...)
		})
		s := openAt(b, cfg)
		var some []migrate.Message
		for m, err := range s.Messages(b.Context(), migrate.Inbox) {
			if some = append(some, m); err == nil && len(some) == findAtOnce {
				var found map[string]scan
				if found, err = s.drop.find(some); found[m.Key.Name].number == 0 {
					b.Fatal("not found:", m)
				}
				some = some[:0]
			}
			if err != nil {
				b.Fatal(err)
			}
		}
		s.Close()
	}
}
