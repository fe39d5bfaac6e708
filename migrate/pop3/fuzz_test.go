package pop3

import (
	"context"
	"io"
	"net"
	"strings"
	"testing"
	"time"
	"unicode"

	"postcask/migrate"
	"postcask/migrate/wire"
)

// FuzzReplies lets a server say anything at all, whatever it is asked: the conversation comes to an end, without a
// fault, and what is shown of it is fit for a terminal.
func FuzzReplies(f *testing.F) {
	const in = "+OK ready\r\n+OK\r\n.\r\n+OK\r\n+OK\r\n+OK\r\n.\r\n"
	for _, seed := range []string{
		in + "+OK 1 10\r\n+OK\r\n1 10\r\n.\r\n+OK\r\n1 a\r\n.\r\n+OK\r\nX: 1\r\n\r\n..x\r\n.\r\n+OK\r\n",
		in + "+OK 2 10\r\n+OK\r\n1 10\r\n2\r\n.\r\n+OK\r\n2 a\r\n2 b\r\n.\r\n", in + "+OK 0 junk\r\n", in + "+OK -1 0\r\n", in + "+OK 99999999999999999999 0\r\n",
		"", "\r\n", "-ERR [IN-USE] busy\r\n", "+ok\x1b[2J\r\n-ERR[x]\r\n", "+OK <1.2@example.org>\r\n+OK\r\nSASL PLAIN\r\nSTLS\r\n", "+OK\n+OK\n.\n+OK\n", in + "+OK 1 1\r\n+OK\r\n1 -5\r\n.\r\n-ERR no\r\n+OK\r\n\n.\n\r\n.\r\n+OK\r\na\r\n.\r\n",
	} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, said string) {
		for _, err := range converse(t, said) {
			if shown := err.Error(); strings.ContainsFunc(shown, unicode.IsControl) || strings.Contains(shown, "s3cret") || len(shown) > 8<<10 {
				t.Errorf("%q is told as %q", said, shown)
			}
		}
	})
}

// converse logs in, lists and fetches while the server says what it has to say and hangs up.
func converse(t *testing.T, said string) (errs []error) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	done := make(chan struct{})
	go func() {
		defer close(done)
		conn, err := listener.Accept()
		if err != nil {
			return
		}
		io.WriteString(conn, said) // the client may be gone already
		conn.(*net.TCPConn).CloseWrite()
		io.Copy(io.Discard, conn)
		conn.Close()
	}()
	defer func() {
		listener.Close()
		<-done
	}()
	cfg := wire.Config{
		Host: "127.0.0.1", Port: listener.Addr().(*net.TCPAddr).Port, TLS: wire.Plain, Timeout: 5 * time.Second,
		User: "me", Password: func(context.Context) (string, error) { return "s3cret", nil },
	}
	s, err := New(cfg).Open(t.Context())
	if err != nil {
		return []error{err}
	}
	defer s.Close()
	var listed []migrate.Message
	for m, err := range s.Messages(t.Context(), migrate.Inbox) {
		if err != nil {
			return []error{err}
		}
		if listed = append(listed, m); len(listed) == 20 {
			break
		}
	}
	for got, err := range s.Fetch(t.Context(), migrate.Inbox, listed) {
		switch {
		case err != nil:
			return append(errs, err)
		case got.Err != nil:
			errs = append(errs, got.Err)
		default:
			if _, err := io.Copy(io.Discard, got.Body); err != nil {
				errs = append(errs, err)
			}
		}
	}
	return errs
}
