package imap

import (
	"bufio"
	"bytes"
	"context"
	"fmt"
	"io"
	"net"
	"strings"
	"testing"
	"time"

	"postcask/migrate"
	"postcask/migrate/wire"
)

// benchServer answers by respond to each command after the log-in, until the benchmark ends. respond may read literals.
func benchServer(b *testing.B, capabilities string, respond func(in *bufio.Reader, out *bufio.Writer, command string)) *Session {
	b.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		b.Fatal(err)
	}
	done := make(chan struct{})
	go func() {
		defer close(done)
		conn, err := listener.Accept()
		if err != nil {
			return
		}
		defer conn.Close()
		in, out := bufio.NewReaderSize(conn, 1<<20), bufio.NewWriterSize(conn, 1<<20)
		fmt.Fprintf(out, "* OK [CAPABILITY IMAP4rev1 %s] ready\r\n", capabilities)
		for out.Flush() == nil {
			line, err := in.ReadString('\n')
			if err != nil {
				return
			}
			tag, command, _ := strings.Cut(strings.TrimSuffix(line, "\r\n"), " ")
			switch word, _, _ := strings.Cut(command, " "); word {
			case "LOGIN":
				fmt.Fprintf(out, "%s OK [CAPABILITY IMAP4rev1 %s] in\r\n", tag, capabilities)
				continue
			case "EXAMINE", "SELECT":
				out.WriteString("* 1000 EXISTS\r\n* OK [UIDVALIDITY 77] x\r\n* OK [UIDNEXT 4000000000] x\r\n")
			default:
				respond(in, out, command)
			}
			fmt.Fprintf(out, "%s OK done\r\n", tag)
		}
	}()
	s, err := New(wire.Config{Host: "127.0.0.1", Port: listener.Addr().(*net.TCPAddr).Port, TLS: wire.Plain, User: "ada",
		Password: func(context.Context) (string, error) { return "secret", nil }}).Open(b.Context(), capabilities == "")
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() {
		s.Close()
		listener.Close()
		<-done
	})
	return s
}

// BenchmarkFetch reads a thousand messages through the fetch lane, from a server that has them ready.
func BenchmarkFetch(b *testing.B) {
	const count = 1000
	for _, size := range []int{5_000, 60_000} {
		b.Run(fmt.Sprint(size), func(b *testing.B) {
			body := bytes.Repeat([]byte("0123456789abcdefghijklmnopqrstuvwxyz\r\n"), size/38)
			s := benchServer(b, "", func(_ *bufio.Reader, out *bufio.Writer, command string) {
				var first, last int
				fmt.Sscanf(command, "UID FETCH %d:%d", &first, &last)
				for uid := first; uid <= last; uid++ {
					fmt.Fprintf(out, "* %d FETCH (UID %d BODY[] {%d}\r\n", uid, uid, len(body))
					out.Write(body)
					out.WriteString(")\r\n")
				}
			})
			messages := make([]migrate.Message, count)
			for i := range messages {
				messages[i] = migrate.Message{Key: migrate.Key{Validity: 77, UID: uint32(i + 1)}, Size: int64(len(body))}
			}
			b.SetBytes(int64(count * len(body)))
			b.ReportAllocs()
			for b.Loop() {
				seen := 0
				for f, err := range s.Fetch(b.Context(), "INBOX", messages) {
					if err != nil {
						b.Fatal(err)
					}
					if n, err := io.Copy(io.Discard, f.Body); n != int64(len(body)) || err != nil {
						b.Fatal(n, err)
					}
					seen++
				}
				if seen != count {
					b.Fatal(seen)
				}
			}
		})
	}
}

// BenchmarkListing lists a thousand messages.
func BenchmarkListing(b *testing.B) {
	s := benchServer(b, "", func(_ *bufio.Reader, out *bufio.Writer, command string) {
		for i := range 1000 {
			fmt.Fprintf(out, "* %d FETCH (UID %d FLAGS (\\Seen \\Answered $Forwarded) INTERNALDATE \"17-Jul-1996 02:44:25 -0700\" RFC822.SIZE 4711)\r\n", i+1, i+10)
		}
	})
	b.ReportAllocs()
	for b.Loop() {
		seen := 0
		for _, err := range s.Messages(b.Context(), "INBOX") {
			if err != nil {
				b.Fatal(err)
			}
			seen++
		}
		if seen != 1000 {
			b.Fatal(seen)
		}
	}
}

// BenchmarkAppend sends a thousand messages through the append lane, to a server that takes them and throws them away.
func BenchmarkAppend(b *testing.B) {
	const count = 1000
	for _, capabilities := range []string{"LITERAL+", "LITERAL+ MULTIAPPEND"} {
		for _, size := range []int{5_000, 60_000} {
			b.Run(fmt.Sprintf("%s/%d", strings.ReplaceAll(capabilities, " ", "/"), size), func(b *testing.B) {
				s := benchServer(b, capabilities, func(in *bufio.Reader, _ *bufio.Writer, command string) {
					for strings.HasSuffix(command, "}") {
						in.Discard(literalSize(command))
						line, _ := in.ReadString('\n')
						command = strings.TrimSuffix(line, "\r\n")
					}
				})
				body := bytes.Repeat([]byte("x"), size)
				m := migrate.Message{Flags: migrate.NewFlags(`\Seen`), InternalDate: time.Date(2001, 2, 3, 4, 5, 6, 0, time.UTC)}
				b.SetBytes(int64(count * size))
				b.ReportAllocs()
				for b.Loop() {
					for range count {
						if err := s.Append(b.Context(), "INBOX", m, migrate.Body{Reader: bytes.NewReader(body), Size: int64(size)}); err != nil {
							b.Fatal(err)
						}
					}
					if stored, err := s.Commit(b.Context()); len(stored) != count || err != nil {
						b.Fatal(len(stored), err)
					}
				}
			})
		}
	}
}
