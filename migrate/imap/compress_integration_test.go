//go:build integration

package imap

import (
	"crypto/sha256"
	"encoding/base64"
	"io"
	"math/rand/v2"
	"net"
	"strings"
	"sync"
	"testing"
	"time"

	"postcask/migrate"
	"postcask/migrate/testserver"
	"postcask/migrate/wire"
)

// slowLine leads to address over a line that takes so many octets a second each way, and 10 ms and more for each
// question. It is gone with the test.
func slowLine(t *testing.T, address string, rate int) (port int) {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	var lines sync.WaitGroup
	t.Cleanup(func() { listener.Close(); lines.Wait() })
	lead := func(to, from net.Conn, least time.Duration) {
		defer to.(*net.TCPConn).CloseWrite()
		piece := make([]byte, 64<<10)
		for {
			n, err := from.Read(piece)
			time.Sleep(max(least, time.Duration(n)*time.Second/time.Duration(rate)))
			if _, gone := to.Write(piece[:n]); err != nil || gone != nil {
				return
			}
		}
	}
	lines.Go(func() {
		for {
			near, err := listener.Accept()
			if err != nil {
				return
			}
			far, err := net.Dial("tcp", address)
			if err != nil {
				t.Error(err)
				near.Close()
				continue
			}
			near.(*net.TCPConn).SetReadBuffer(64 << 10)
			far.(*net.TCPConn).SetReadBuffer(64 << 10)
			lines.Go(func() {
				var both sync.WaitGroup
				both.Go(func() { lead(far, near, 10*time.Millisecond) })
				both.Go(func() { lead(near, far, 0) })
				both.Wait()
				near.Close()
				far.Close()
			})
		}
	})
	return listener.Addr().(*net.TCPAddr).Port
}

// letters are so many messages of some 100 KB, and each tenth a large one, that shrink as mail does.
func letters(count int) (bodies []string, octets int64) {
	r := rand.New(rand.NewPCG(1, 1))
	for i := range count {
		size := 20_000 + r.IntN(60_000)
		if i%10 == 9 {
			size = 300_000
		}
		noise := make([]byte, size)
		for j := range noise {
			noise[j] = byte(r.Uint32())
		}
		coded := base64.StdEncoding.EncodeToString(noise)
		var b strings.Builder
		b.WriteString("Subject: a letter\r\n\r\n" + strings.Repeat("The quick brown fox jumps over the lazy dog.\r\n", 1+r.IntN(size/60)))
		for len(coded) > 76 {
			b.WriteString(coded[:76] + "\r\n")
			coded = coded[76:]
		}
		bodies = append(bodies, b.String())
		octets += int64(b.Len())
	}
	return bodies, octets
}

// TestServersCompressOverASlowLine brings mail up and down over a line that is measured, and not called, slow: no octet
// changes, and fewer are on the wire. At the server itself nothing is ever compressed.
func TestServersCompressOverASlowLine(t *testing.T) {
	for _, name := range testserver.Named(t) {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			offers := name != "courier"
			bodies, octets := letters(map[bool]int{true: 80, false: 20}[offers])
			server := startCompressing(t, name)
			server.Users(t, "ada")
			near := settings(t, server, "ada")
			far := near
			far.Port = slowLine(t, server.IMAPSAddr, 2.2e6)
			up, sent := bringUp(t, far, "Far", bodies)
			bringUp(t, near, "Near", bodies[:10])
			down, came := bringDown(t, far, "Far", bodies)
			stays, _ := bringDown(t, near, "Far", bodies)
			if up != offers || down != offers {
				t.Errorf("compressed on the way up: %v, down: %v", up, down)
			}
			if offers && (sent > octets*9/10 || came > octets*9/10) {
				t.Errorf("%d octets went and %d came for %d", sent, came, octets)
			}
			if stays {
				t.Error("compressed without a need")
			}
			t.Logf("%d octets, on the wire up %d, down %d", octets, sent, came)
		})
	}
}

func startCompressing(t *testing.T, name string) *testserver.Server {
	if name == "dovecot" {
		return testserver.StartDovecot(t, testserver.DovecotOptions{Extra: "mail_plugins = zlib\nprotocol imap {\n mail_plugins = zlib imap_zlib\n}"})
	}
	return testserver.Start(t, name)
}

// bringUp appends bodies in groups, as a run does, and tells whether the session was compressed then.
func bringUp(t *testing.T, cfg wire.Config, mbox migrate.Path, bodies []string) (compressed bool, sent int64) {
	t.Helper()
	cfg.Link = new(wire.Link)
	s := open(t, cfg, false)
	if err := s.Create(t.Context(), migrate.Mailbox{Path: mbox}); err != nil {
		t.Fatal(err)
	}
	for i, body := range bodies {
		if err := s.Append(t.Context(), mbox, migrate.Message{}, textBody(body)); err != nil {
			t.Fatal(err)
		}
		if i%20 != 19 && i+1 < len(bodies) {
			continue
		}
		stored, err := s.Commit(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		for _, one := range stored {
			if one.Err != nil {
				t.Fatal(one.Err)
			}
		}
	}
	_, sent = s.conn.Octets()
	return s.deflated, sent
}

// bringDown reads mbox by two sessions that take turns, and compares what comes with bodies.
func bringDown(t *testing.T, cfg wire.Config, mbox migrate.Path, bodies []string) (compressed bool, came int64) {
	t.Helper()
	cfg.Link = new(wire.Link)
	acct := New(cfg)
	var sessions []*Session
	for range 2 {
		s, err := acct.Open(t.Context(), true)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { s.Close() })
		sessions = append(sessions, s)
	}
	var listed []migrate.Message
	for m, err := range sessions[0].Messages(t.Context(), mbox) {
		if err != nil {
			t.Fatal(err)
		}
		listed = append(listed, m)
	}
	wanted := map[[sha256.Size]byte]int{}
	for _, body := range bodies {
		wanted[sha256.Sum256([]byte(body))]++
	}
	for turn := 0; len(listed) > 0; turn++ {
		n := min(len(listed), 25)
		for f, err := range sessions[turn%2].Fetch(t.Context(), mbox, listed[:n]) {
			if err != nil || f.Err != nil {
				t.Fatal(err, f.Err)
			}
			octets, err := io.ReadAll(f.Body)
			if err != nil {
				t.Fatal(err)
			}
			wanted[sha256.Sum256(octets)]--
		}
		listed = listed[n:]
	}
	for _, missing := range wanted {
		if missing != 0 {
			t.Fatal("other octets came than were sent")
		}
	}
	for _, s := range sessions {
		in, _ := s.conn.Octets()
		compressed, came = compressed || s.deflated, came+in
	}
	return compressed, came
}
