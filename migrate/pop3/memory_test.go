package pop3

import (
	"bytes"
	"fmt"
	"io"
	"runtime"
	"testing"

	"postcask/migrate"
)

// A message of 200 MB passes, read and skipped and named by its digest, while the heap stays below 16 MB.
func TestLargeMessageInConstantMemory(t *testing.T) {
	const size, limit = 200_000_000, 16 << 20
	line := bytes.Repeat([]byte("0123456789abcdef"), 4<<10)
	line = append(line[:len(line)-2], "\r\n"...)
	cfg, _ := serve(t, func(s *server) error {
		if err := s.play(loggedIn("PIPELINING", "C: STAT", fmt.Sprintf("S: +OK 1 %d", size), "C: LIST", fmt.Sprintf("s: +OK\r\n1 %d\r\n.\r\n", size), "C: UIDL", "S: -ERR none")...); err != nil {
			return err
		}
		for range 2 {
			if err := s.play("C: RETR 1", "S: +OK"); err != nil {
				return err
			}
			for sent := 0; sent < size; sent += len(line) {
				if _, err := s.Conn.Write(line); err != nil {
					return err
				}
			}
			s.say(".\r\n")
		}
		return s.play(bye...)
	})
	s := openAt(t, cfg)
	stop, peak := make(chan struct{}), make(chan uint64)
	go func() {
		var most uint64
		var now runtime.MemStats
		for {
			select {
			case <-stop:
				peak <- most
				return
			default:
				runtime.ReadMemStats(&now)
				most = max(most, now.HeapAlloc)
				runtime.Gosched()
			}
		}
	}()
	var octets int64
	for m, err := range s.Messages(t.Context(), migrate.Inbox) {
		if err != nil {
			t.Fatal(err)
		}
		for f, err := range s.Fetch(t.Context(), migrate.Inbox, []migrate.Message{m}) {
			if err != nil {
				t.Fatal(err)
			}
			n, err := io.Copy(io.Discard, f.Body)
			if err != nil || n != m.Identity.Size {
				t.Errorf("%d octets, %v; want %d", n, err, m.Identity.Size)
			}
			octets += n
		}
	}
	close(stop)
	most := <-peak
	if octets < size {
		t.Errorf("%d octets came, want %d", octets, size)
	}
	if most > limit {
		t.Errorf("the heap grew to %d octets, want at most %d", most, limit)
	}
	t.Logf("%d octets twice, peak heap %d", octets, most)
}
