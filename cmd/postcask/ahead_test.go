package main

import (
	"context"
	"errors"
	"net"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"go.uber.org/goleak"

	"postcask/archive"
	"postcask/migrate"
	"postcask/migrate/ledger"
)

// A mute server takes connections, counts them and says nothing until they end.
func muteServer(t *testing.T) (addr string, met *atomic.Int64) {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	met = new(atomic.Int64)
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		for {
			conn, err := listener.Accept()
			if err != nil {
				return
			}
			met.Add(1)
			conn.SetReadDeadline(time.Now().Add(time.Minute))
			conn.Read(make([]byte, 1)) // until the other side goes away
			conn.Close()
		}
	}()
	t.Cleanup(func() { listener.Close(); <-ended })
	return listener.Addr().String(), met
}

// The connection is made while the archive is being opened. Trouble with the archive is what the user is told of, at
// once, whatever the server does; and who finds another run at work does not knock at the server at all.
func TestTroubleWithTheArchiveComesFirst(t *testing.T) {
	for name, c := range map[string]struct {
		spoil  func(t *testing.T, own string)
		status int
		knocks int64 // at most
	}{
		"a damaged index": {func(t *testing.T, own string) {
			if err := os.WriteFile(filepath.Join(own, "index.db"), []byte("not a database"), 0o600); err != nil {
				t.Fatal(err)
			}
		}, exitDamaged, 1},
		"another run is at it": {func(t *testing.T, own string) {
			release, err := ledger.Lock(filepath.Join(own, "lock"))
			if err != nil {
				t.Fatal(err)
			}
			t.Cleanup(func() { release() })
		}, exitLocked, 0},
	} {
		t.Run(name, func(t *testing.T) {
			before := goleak.IgnoreCurrent()
			t.Cleanup(func() { goleak.VerifyNone(t, before) }) // when the server has gone too
			dir := filepath.Join(t.TempDir(), "mail")
			store, err := archive.Create(t.Context(), dir, archive.Maildir, "a test")
			if err == nil {
				err = store.Close()
			}
			if err != nil {
				t.Fatal(err)
			}
			c.spoil(t, filepath.Join(dir, ".postcask"))
			addr, met := muteServer(t)
			t.Setenv("POSTCASK_PASSWORD", canary)
			began := time.Now()
			status, _, stderr := run(t, "backup", "imap://me@"+addr+"?tls=none", dir)
			if took := time.Since(began); status != c.status || took > 30*time.Second { // the server is mute for a minute
				t.Errorf("status %d after %v, want %d: %s", status, took, c.status, stderr)
			}
			if strings.Count(stderr, "postcask: error:") != 1 || !strings.Contains(stderr, "index.db") && !strings.Contains(stderr, "another run") {
				t.Errorf("it says: %s", stderr)
			}
			if n := met.Load(); n > c.knocks {
				t.Errorf("%d connections to the server, want at most %d", n, c.knocks)
			}
		})
	}
}

// countedEnd tells whether it was closed.
type countedEnd struct{ closed *atomic.Int64 }

func (e countedEnd) Close() error { e.closed.Add(1); return nil }

// A connection that was begun goes to the first who asks, and is closed where nobody does.
func TestAhead(t *testing.T) {
	defer goleak.VerifyNone(t, goleak.IgnoreCurrent())
	var opened, closed atomic.Int64
	var refuse error
	fresh := func() *ahead[countedEnd] {
		opened.Store(0)
		closed.Store(0)
		return &ahead[countedEnd]{open: func(ctx context.Context) (countedEnd, error) {
			opened.Add(1)
			if refuse == nil {
				return countedEnd{&closed}, nil
			}
			<-ctx.Done()
			return countedEnd{}, refuse
		}}
	}
	check := func(what string, wantOpened, wantClosed int64) {
		t.Helper()
		if o, c := opened.Load(), closed.Load(); o != wantOpened || c != wantClosed {
			t.Errorf("%s: %d opened, %d closed; want %d and %d", what, o, c, wantOpened, wantClosed)
		}
	}

	a := fresh()
	a.begin(t.Context())
	a.begin(t.Context()) // the lock was waited for
	a.leave()
	check("nobody asked", 1, 1)

	a = fresh()
	a.begin(t.Context())
	for range 2 {
		if _, err := a.take(t.Context()); err != nil {
			t.Error(err)
		}
	}
	a.leave()
	check("two asked", 2, 0)

	a = fresh()
	if _, err := a.take(t.Context()); err != nil {
		t.Error(err)
	}
	a.leave()
	check("never begun", 1, 0)

	refuse = errors.New("the line is dead")
	a = fresh()
	a.begin(t.Context())
	ctx, cancel := context.WithCancel(t.Context())
	time.AfterFunc(time.Millisecond, cancel)
	if _, err := a.take(ctx); !errors.Is(err, refuse) {
		t.Errorf("got %v", err)
	}
	a.leave()
	check("given up", 1, 0)

	a = &ahead[countedEnd]{open: func(context.Context) (countedEnd, error) { panic("a fault") }}
	a.begin(t.Context())
	func() {
		defer func() {
			if fault, ok := recover().(*migrate.Panic); !ok || fault.Value != "a fault" {
				t.Errorf("the fault is not told: %v", fault)
			}
		}()
		a.take(t.Context())
	}()
	a.leave()
}
