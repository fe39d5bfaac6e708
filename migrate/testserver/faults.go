package testserver

import (
	"io"
	"net"
	"os"
	"sync"
	"time"
)

// A Fault is what befalls a connection, counted in octets of the wire as they are, encrypted or not.
type Fault struct {
	AfterReading int64         // the fault comes once so many octets have come from the client; 0 never
	AfterWriting int64         // the fault comes once so many octets have gone to the client; 0 never
	Stall        bool          // fall silent and keep the connection open, rather than closing it
	Latency      time.Duration // wait so long before each write
}

// Faults tells what befalls the nth connection to a port, counted from 0. It may be called from many goroutines.
type Faults func(n int) Fault

// NewFaultyListener wraps a listener so that its connections break as faults tells.
func NewFaultyListener(ln net.Listener, faults Faults) net.Listener {
	return &faultyListener{Listener: ln, faults: faults}
}

type faultyListener struct {
	net.Listener
	faults Faults

	mu sync.Mutex
	n  int
}

func (l *faultyListener) Accept() (net.Conn, error) {
	conn, err := l.Listener.Accept()
	if err != nil {
		return nil, err
	}
	l.mu.Lock()
	n := l.n
	l.n++
	l.mu.Unlock()
	return &faultyConn{Conn: conn, fault: l.faults(n), closed: make(chan struct{})}, nil
}

// A faultyConn lets octets through up to where its fault comes: not one more is read or written.
type faultyConn struct {
	net.Conn
	fault         Fault
	read, written int64 // each used by one goroutine at a time
	once          sync.Once
	closed        chan struct{}
}

func (c *faultyConn) Read(b []byte) (int, error) {
	if at := c.fault.AfterReading; at > 0 {
		if c.read >= at {
			return 0, c.breakDown()
		}
		b = b[:min(int64(len(b)), at-c.read)]
	}
	n, err := c.Conn.Read(b)
	c.read += int64(n)
	return n, err
}

func (c *faultyConn) Write(b []byte) (int, error) {
	if c.fault.Latency > 0 {
		select {
		case <-time.After(c.fault.Latency):
		case <-c.closed:
		}
	}
	whole := len(b)
	if at := c.fault.AfterWriting; at > 0 {
		b = b[:min(int64(len(b)), at-c.written)]
	}
	n, err := c.Conn.Write(b)
	c.written += int64(n)
	if err == nil && (n < whole || c.fault.AfterWriting > 0 && c.written >= c.fault.AfterWriting) {
		err = c.breakDown()
	}
	return n, err
}

// breakDown closes the connection, or waits in silence until somebody else does.
func (c *faultyConn) breakDown() error {
	if c.fault.Stall {
		// Until the client hangs up, the server stops, or a deadline of the server's own passes.
		io.Copy(io.Discard, c.Conn)
	}
	c.Close()
	return os.ErrClosed
}

func (c *faultyConn) Close() error {
	err := net.ErrClosed
	c.once.Do(func() {
		close(c.closed)
		err = c.Conn.Close()
	})
	return err
}
