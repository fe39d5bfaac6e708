package pop3

import (
	"bufio"
	"bytes"
	"errors"
	"io"
	"net"
	"strings"
	"testing"
	"testing/iotest"

	"postcask/migrate/wire"
)

// testBuffer is smaller than bufferSize, so that its edges are soon met.
const testBuffer = 4 << 10

// bodyOver makes a body of what a reader brings. The connection is there to be failed.
func bodyOver(t testing.TB, r io.Reader) *body {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer listener.Close()
	w, err := wire.Dial(t.Context(), &wire.Config{Host: "127.0.0.1", Port: listener.Addr().(*net.TCPAddr).Port, TLS: wire.Plain})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { w.Close() })
	return &body{conn: &conn{Conn: w, in: bufio.NewReaderSize(r, testBuffer)}, announced: -1, endless: &endless{most: mostOctets}}
}

func TestBody(t *testing.T) {
	long := strings.Repeat("x", 3*testBuffer)
	for name, c := range map[string]struct{ wire, want string }{
		"empty message":              {".\r\n", ""},
		"one line":                   {"a\r\n.\r\n", "a\r\n"},
		"one empty line":             {"\r\n.\r\n", "\r\n"},
		"dot line":                   {"a\r\n..\r\nb\r\n.\r\n", "a\r\n.\r\nb\r\n"},
		"dots at the start":          {"...a\r\n.\r\n", "..a\r\n"},
		"dot that was not doubled":   {".a\r\n.\r\n", "a\r\n"},
		"LF dot LF":                  {"a\n.\nb\r\n.\r\n", "a\n.\nb\r\n"},
		"LF dot CRLF":                {"a\n.\r\nb\r\n.\r\n", "a\n.\r\nb\r\n"},
		"LF dot dot":                 {"a\n..b\r\n.\r\n", "a\n..b\r\n"},
		"CR dot CRLF":                {"a\r.\r\nb\r\n.\r\n", "a\r.\r\nb\r\n"},
		"CRLF dot LF":                {"a\r\n.\nb\r\n.\r\n", "a\r\n\nb\r\n"},
		"CRLF dot CR":                {"a\r\n.\rb\r\n.\r\n", "a\r\n\rb\r\n"},
		"CRLF dot CR CRLF":           {"a\r\n.\r\r\n.\r\n", "a\r\n\r\r\n"},
		"CR CR LF":                   {"a\r\r\n.\r\n", "a\r\r\n"},
		"CR CRLF dot":                {"a\r\r\n..\r\n.\r\n", "a\r\r\n.\r\n"},
		"NUL and eight bits":         {"\x00\xff\xfe\r\n.\r\n", "\x00\xff\xfe\r\n"},
		"line longer than buffers":   {long + "\r\n.\r\n", long + "\r\n"},
		"dot at the buffer's edge":   {long[:testBuffer-2] + "\r\n..\r\n.\r\n", long[:testBuffer-2] + "\r\n.\r\n"},
		"CR at the buffer's edge":    {long[:testBuffer-1] + "\r\n..\r\n.\r\n", long[:testBuffer-1] + "\r\n.\r\n"},
		"line end at buffer's edge":  {long[:testBuffer-3] + "\r\n.\r\n", long[:testBuffer-3] + "\r\n"},
		"looks like another message": {"+OK\r\n-ERR\r\n..\r\n.\r\n", "+OK\r\n-ERR\r\n.\r\n"},
	} {
		t.Run(name, func(t *testing.T) {
			const next = "+OK next\r\n"
			for way, reader := range map[string]func(io.Reader) io.Reader{
				"whole": func(r io.Reader) io.Reader { return r }, "one octet": iotest.OneByteReader, "with its end": iotest.DataErrReader,
			} {
				b := bodyOver(t, reader(strings.NewReader(c.wire+next)))
				got, err := io.ReadAll(b)
				if err != nil || string(got) != c.want {
					t.Errorf("%s: got %.80q, %v; want %.80q", way, got, err, c.want)
				}
				if rest, _ := io.ReadAll(b.conn.in); string(rest) != next {
					t.Errorf("%s: %.80q is left, want %q", way, rest, next)
				}
				small := bodyOver(t, reader(strings.NewReader(c.wire)))
				if got, err := io.ReadAll(iotest.OneByteReader(small)); err != nil || string(got) != c.want {
					t.Errorf("%s, read octet by octet: got %.80q, %v; want %.80q", way, got, err, c.want)
				}
			}
		})
	}
}

func TestBodyCutAnywhere(t *testing.T) {
	const whole = "a\r\n..b\r\n\r\n.\r\n"
	for n := range len(whole) {
		b := bodyOver(t, strings.NewReader(whole[:n]))
		if got, err := io.ReadAll(b); !errors.Is(err, io.ErrUnexpectedEOF) || errors.Is(err, io.EOF) && err == io.EOF {
			t.Errorf("%q: got %q, %v; want an unexpected EOF", whole[:n], got, err)
		}
	}
}

// FuzzBody stuffs any octets as RFC 1939, section 3, has it, and wants them back.
func FuzzBody(f *testing.F) {
	for _, seed := range []string{"", "a", ".", "\r\n.", "\n.\n", "\r\n.\r\n", "\r\r\n..", "..\r\n...\r"} {
		f.Add([]byte(seed), uint8(0))
	}
	f.Fuzz(func(t *testing.T, octets []byte, size uint8) {
		want := append(bytes.Clone(octets), "\r\n"...)
		stuffed := bytes.ReplaceAll(append([]byte("\r\n"), want...), []byte("\r\n."), []byte("\r\n.."))[2:]
		b := bodyOver(t, bytes.NewReader(append(stuffed, ".\r\n"...)))
		got, err := io.ReadAll(struct{ io.Reader }{iotestSize{b, int(size) + 1}})
		if err != nil || !bytes.Equal(got, want) {
			t.Errorf("got %q, %v; want %q", got, err, want)
		}
	})
}

// iotestSize reads at most size octets at a time.
type iotestSize struct {
	r    io.Reader
	size int
}

func (r iotestSize) Read(p []byte) (int, error) { return r.r.Read(p[:min(len(p), r.size)]) }
