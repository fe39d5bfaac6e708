//go:build linux

package main

import (
	"net"
	"sync"
	"time"
)

// A delayLine stands before a server as a long way would: each direction takes the time given, nothing else is
// limited, and any number of octets can be under way. The server sees a connection one and a half round trips after
// the client has asked for it.
type delayLine struct {
	addr   string
	oneWay time.Duration
	to     string
	ln     net.Listener
	wait   sync.WaitGroup
	done   chan struct{}

	mu    sync.Mutex
	conns map[net.Conn]bool
}

func newDelayLine(to string, oneWay time.Duration) (*delayLine, error) {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	d := &delayLine{addr: ln.Addr().String(), oneWay: oneWay, to: to, ln: ln, done: make(chan struct{}), conns: map[net.Conn]bool{}}
	d.wait.Go(d.serve)
	return d, nil
}

func (d *delayLine) close() error {
	close(d.done)
	err := d.ln.Close()
	d.mu.Lock()
	for conn := range d.conns {
		conn.Close()
	}
	d.mu.Unlock()
	d.wait.Wait()
	return err
}

func (d *delayLine) serve() {
	for {
		client, err := d.ln.Accept()
		if err != nil {
			return
		}
		d.wait.Go(func() { d.connect(client) })
	}
}

// connect joins a client to the server until both have hung up.
func (d *delayLine) connect(client net.Conn) {
	if !d.keep(client) {
		return
	}
	defer d.drop(client)
	select {
	case <-time.After(3 * d.oneWay):
	case <-d.done:
		return
	}
	server, err := net.Dial("tcp", d.to)
	if err != nil || !d.keep(server) {
		return
	}
	defer d.drop(server)
	var both sync.WaitGroup
	both.Go(func() { d.carry(server, client) })
	both.Go(func() { d.carry(client, server) })
	both.Wait()
}

func (d *delayLine) keep(conn net.Conn) bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	select {
	case <-d.done:
		conn.Close()
		return false
	default:
	}
	d.conns[conn] = true
	return true
}

func (d *delayLine) drop(conn net.Conn) {
	conn.Close()
	d.mu.Lock()
	delete(d.conns, conn)
	d.mu.Unlock()
}

// A stretch is what was read at once, and when it arrives.
type stretch struct {
	due    time.Time
	octets []byte
}

// underWay is how many stretches of up to 32 KiB a direction holds: far more than any window of TCP.
const underWay = 2048

// carry takes octets one way.
func (d *delayLine) carry(to, from net.Conn) {
	queue := make(chan stretch, underWay)
	d.wait.Go(func() {
		defer close(queue)
		for {
			b := make([]byte, 32<<10)
			n, err := from.Read(b)
			if n > 0 {
				queue <- stretch{time.Now().Add(d.oneWay), b[:n]}
			}
			if err != nil {
				return
			}
		}
	})
	for s := range queue {
		time.Sleep(time.Until(s.due))
		if _, err := to.Write(s.octets); err != nil {
			from.Close() // ends the reading
			for range queue {
			}
			return
		}
	}
	time.Sleep(d.oneWay)
	if half, ok := to.(interface{ CloseWrite() error }); ok {
		half.CloseWrite()
	}
}
