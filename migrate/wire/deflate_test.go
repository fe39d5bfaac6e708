package wire

import (
	"bytes"
	"compress/flate"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"hash"
	"io"
	"math/rand/v2"
	"net"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"

	"postcask/migrate"
)

// mailLike gives octets of which some shrink and some do not, always the same for one seed.
func mailLike(seed uint64, octets int) []byte {
	r := rand.New(rand.NewPCG(seed, 0))
	var b bytes.Buffer
	for b.Len() < octets {
		noise := make([]byte, r.IntN(3000))
		for i := range noise {
			noise[i] = byte(r.Uint32())
		}
		b.WriteString(strings.Repeat("Received: from mail.example.org by example.net\r\n", r.IntN(40)))
		b.WriteString(base64.StdEncoding.EncodeToString(noise))
		b.Write(noise[:len(noise)/4])
	}
	return b.Bytes()[:octets]
}

// pieces writes p in pieces of odd sizes, with a pause now and then.
func pieces(w io.Writer, p []byte, flush func() error) error {
	r := rand.New(rand.NewPCG(7, 7))
	for n := 0; len(p) > 0; n++ {
		size := min(len(p), 1+r.IntN(1<<uint(r.IntN(18))))
		if _, err := w.Write(p[:size]); err != nil {
			return err
		}
		if err := flush(); err != nil {
			return err
		}
		if p = p[size:]; n%50 == 0 {
			time.Sleep(time.Millisecond)
		}
	}
	return nil
}

func sum(h hash.Hash) string { return base64.StdEncoding.EncodeToString(h.Sum(nil)) }

func TestCompressedConnectionBringsEveryOctet(t *testing.T) {
	down, up := mailLike(1, 300<<10), mailLike(2, 300<<10)
	for _, upload := range []bool{false, true} {
		arrived := sha256.New()
		var serving sync.WaitGroup
		serving.Add(1)
		cfg := serve(t, func(c net.Conn) {
			defer serving.Done()
			out, _ := flate.NewWriter(c, 6)
			var sending sync.WaitGroup
			defer sending.Wait()
			sending.Go(func() {
				if err := pieces(out, down, out.Flush); err != nil {
					t.Error(err)
				}
			})
			if _, err := io.CopyN(arrived, flate.NewReader(c), int64(len(up))); err != nil {
				t.Error(err)
			}
		})
		cfg.Timeout = 20 * time.Second
		conn, err := Dial(t.Context(), cfg)
		if err != nil {
			t.Fatal(err)
		}
		ahead := make([]byte, 1000) // what came with the server's consent
		if _, err := io.ReadFull(conn, ahead); err != nil {
			t.Fatal(err)
		}
		conn.Deflate(ahead, upload)
		serving.Go(func() {
			if err := pieces(conn, up, func() error { return nil }); err != nil {
				t.Error(err)
			}
		})
		got := make([]byte, len(down))
		if _, err := io.ReadFull(conn, got); err != nil || !bytes.Equal(got, down) {
			t.Errorf("upload %v: down: %v, equal %v", upload, err, bytes.Equal(got, down))
		}
		serving.Wait()
		want := sha256.New()
		want.Write(up)
		if sum(arrived) != sum(want) {
			t.Errorf("upload %v: other octets have arrived", upload)
		}
		in, out := conn.Octets()
		if in >= int64(len(down)) || in == 0 {
			t.Errorf("%d octets came for %d", in, len(down))
		}
		if upload != (out < int64(len(up))) {
			t.Errorf("upload %v: %d octets went for %d", upload, out, len(up))
		}
		conn.Close()
	}
}

func TestCompressedConnectionEnds(t *testing.T) {
	deflated := func(octets string) []byte {
		var b bytes.Buffer
		w, _ := flate.NewWriter(&b, 6)
		io.WriteString(w, octets)
		w.Flush()
		return b.Bytes()
	}
	hello := deflated("* 1 EXISTS\r\n")
	cases := []struct {
		name  string
		sends []byte
		brings,
		wants string
		plain bool // nothing is compressed from then on
	}{
		{"hung up on", hello, "* 1 EXISTS\r\n", "the server closed the connection", false},
		{"cut in the middle of a block", hello[:len(hello)-6], "* 1 EXISTS\r", "the server closed the connection", false},
		{"the server speaks plainly", []byte("* OK what is deflate?\r\n"), "p", "makes no sense", true},
		{"garbage later", append(bytes.Clone(hello), "\xff\xff\xff\xff\xff"...), "* 1 EXISTS\r\n", "makes no sense", true},
		{"a stream that ends", append(bytes.Clone(hello), 3, 0), "* 1 EXISTS\r\n", "the server closed the connection", false},
	}
	for _, c := range cases {
		cfg := serve(t, func(conn net.Conn) { conn.Write(c.sends) })
		cfg.Timeout, cfg.Link = 10*time.Second, new(Link)
		conn, err := Dial(t.Context(), cfg)
		if err != nil {
			t.Fatal(err)
		}
		conn.Deflate(nil, false)
		got, err := io.ReadAll(conn)
		if string(got) != c.brings {
			t.Errorf("%s: %q", c.name, got)
		}
		known := conn.Err()
		if migrate.KindOf(known) != migrate.Unavailable || !strings.Contains(known.Error(), c.wants) || !migrate.IsTemporary(known) {
			t.Errorf("%s: %v, and the error that stays is %v", c.name, err, known)
		}
		if cfg.Link.plain != c.plain {
			t.Errorf("%s: compressed no more: %v", c.name, cfg.Link.plain)
		}
		conn.Close()
	}
}

func TestDeflateBombFillsNothing(t *testing.T) {
	cfg := serve(t, func(c net.Conn) {
		var block bytes.Buffer
		w, _ := flate.NewWriter(&block, 9)
		w.Write(make([]byte, 1<<20))
		w.Flush()
		for range 1000 {
			if _, err := c.Write(block.Bytes()); err != nil {
				return
			}
		}
	})
	cfg.Timeout, cfg.Link = 10*time.Second, new(Link)
	conn, err := Dial(t.Context(), cfg)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	conn.Deflate(nil, false)
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	n, err := io.CopyBuffer(struct{ io.Writer }{io.Discard}, struct{ io.Reader }{conn}, make([]byte, 64<<10))
	runtime.ReadMemStats(&after)
	if migrate.KindOf(err) != migrate.Unavailable || !strings.Contains(err.Error(), "makes no sense") || n > growsFreely+1<<20 {
		t.Errorf("after %d octets: %v", n, err)
	}
	if after.HeapAlloc > before.HeapAlloc+8<<20 {
		t.Errorf("it has taken %d octets of memory", after.HeapAlloc-before.HeapAlloc)
	}
	if !cfg.Link.plain {
		t.Error("the next connection would be compressed too")
	}
}

func TestCompressedConnectionGivesUpOnASilentServer(t *testing.T) {
	conn := dialSilent(t)
	conn.Deflate(nil, true)
	if _, err := io.WriteString(conn, "NOOP\r\n"); err != nil {
		t.Fatal(err)
	}
	if _, err := conn.Read(make([]byte, 1)); migrate.KindOf(err) != migrate.Unavailable || errors.Is(err, io.EOF) {
		t.Error(err)
	}
}
