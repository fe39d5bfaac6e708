package pop3

import (
	"bufio"
	"context"
	"io"
	"net"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"postcask/migrate/wire"
)

// slowToPart serves one log-in after the other. Between QUIT and its answer a maildrop stays locked until part returns.
func slowToPart(t *testing.T, part func()) (wire.Config, *atomic.Int32) {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	var locked, refused atomic.Int32
	var served sync.WaitGroup
	served.Go(func() {
		for {
			conn, err := listener.Accept()
			if err != nil {
				return
			}
			if locked.Load() > 0 {
				refused.Add(1)
			}
			locked.Add(1)
			in := bufio.NewReader(conn)
			io.WriteString(conn, "+OK ready\r\n")
			for {
				line, err := in.ReadString('\n')
				if err != nil {
					break
				}
				switch verb, _, _ := strings.Cut(strings.TrimSpace(line), " "); verb {
				case "CAPA":
					io.WriteString(conn, "+OK\r\nUIDL\r\nPIPELINING\r\n.\r\n")
				case "QUIT":
					served.Go(func() { // beside the next log-in, if there is one
						part()
						locked.Add(-1)
						io.WriteString(conn, "+OK\r\n")
						conn.Close()
					})
				default:
					io.WriteString(conn, "+OK\r\n")
				}
			}
		}
	})
	t.Cleanup(func() { listener.Close(); served.Wait() })
	return wire.Config{
		Host: "127.0.0.1", Port: listener.Addr().(*net.TCPAddr).Port, TLS: wire.Plain, Timeout: 5 * time.Second,
		User: "me", Auth: "user", Password: func(context.Context) (string, error) { return "secret", nil },
	}, &refused
}

func TestWhoLeavesDoesNotWaitForTheServer(t *testing.T) {
	gone := make(chan struct{})
	cfg, _ := slowToPart(t, func() { <-gone })
	defer close(gone)
	cfg.Timeout = time.Minute
	s, err := New(cfg).Open(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	began := time.Now()
	s.Close()
	if took := time.Since(began); took >= cfg.Timeout/2 {
		t.Errorf("it took %v", took)
	}
}

func TestTheNextLogInWaitsUntilTheMaildropIsFree(t *testing.T) {
	cfg, refused := slowToPart(t, func() { time.Sleep(100 * time.Millisecond) })
	account := New(cfg)
	for range 3 {
		s, err := account.Open(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		s.Close()
	}
	if n := refused.Load(); n > 0 {
		t.Errorf("%d times the maildrop was still locked", n)
	}
	if n := len(account.farewells.conns); n > 1 {
		t.Errorf("%d connections are kept", n)
	}
}
