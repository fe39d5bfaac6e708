package pop3

import (
	"bytes"
	"fmt"
	"io"
	"runtime"
	"strings"
	"testing"
	"time"

	"postcask/migrate"
)

const heapLimit = 16 << 20

// watchHeap looks at the heap until it is asked for the largest size there was.
func watchHeap() (peak func() uint64) {
	stop, most := make(chan struct{}), make(chan uint64)
	go func() {
		var highest uint64
		var now runtime.MemStats
		for {
			select {
			case <-stop:
				most <- highest
				return
			case <-time.After(time.Millisecond):
				runtime.ReadMemStats(&now)
				highest = max(highest, now.HeapAlloc)
			}
		}
	}()
	return func() uint64 {
		close(stop)
		return <-most
	}
}

// A message of 200 MB passes, read and skipped and named by its digest, while the heap stays below 16 MB.
func TestLargeMessageInConstantMemory(t *testing.T) {
	const size = 200_000_000
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
	peak := watchHeap()
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
	most := peak()
	if octets < size {
		t.Errorf("%d octets came, want %d", octets, size)
	}
	if most > heapLimit {
		t.Errorf("the heap grew to %d octets, want at most %d", most, heapLimit)
	}
	t.Logf("%d octets twice, peak heap %d", octets, most)
}

// Unique ids of 8 KB each, 80 MB in all, are read and not kept.
func TestLongUIDLsInConstantMemory(t *testing.T) {
	const count = 10_000
	long := bytes.Repeat([]byte("x"), 8000)
	cfg, _ := serve(t, func(s *server) error {
		if err := s.play(loggedIn("UIDL", "C: STAT", fmt.Sprintf("S: +OK %d 1", count), "C: LIST", "S: +OK")...); err != nil {
			return err
		}
		for n := range count {
			s.say(fmt.Sprintf("%d 10\r\n", n+1))
		}
		if err := s.play("S: .", "C: UIDL", "S: +OK"); err != nil {
			return err
		}
		var line []byte // the server shall not be what takes memory
		for n := range count {
			line = fmt.Appendf(line[:0], "%d %s\r\n", n+1, long)
			if _, err := s.Conn.Write(line); err != nil {
				return err
			}
		}
		return s.play("S: .", "C: RETR 1", "s: +OK\r\na\r\n")
	})
	s := openAt(t, cfg)
	peak := watchHeap()
	_, err := names(s)
	most := peak()
	if err == nil || !strings.Contains(err.Error(), "message 1") {
		t.Errorf("got %v, want the first RETR to be cut", err)
	}
	if most > heapLimit {
		t.Errorf("the heap grew to %d octets, want at most %d", most, heapLimit)
	}
}
