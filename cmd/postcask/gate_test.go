//go:build unix

package main

import (
	"io"
	"net"
	"strings"
	"sync"
	"testing"
	"time"
)

// A gate is a way to a server that can be all but closed, and opened: what has to happen while mail is on its way has all
// the time that it needs.
type gate struct {
	addr string

	to       string
	listener net.Listener
	wait     sync.WaitGroup

	mu     sync.Mutex
	held   bool
	free   int           // octets that are let through at once all the same
	moment int           // octets let through in each momentOfGate behind these; 0 for none
	spent  chan struct{} // closed once free is 0
	opened chan struct{}
	conns  []net.Conn
	over   bool
}

const momentOfGate = 10 * time.Millisecond

// startGate makes an open gate before the server at an address, until the test ends.
func startGate(t *testing.T, to string) *gate {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	g := &gate{addr: listener.Addr().String(), to: to, listener: listener, spent: make(chan struct{}), opened: make(chan struct{})}
	g.wait.Go(func() {
		for {
			client, err := listener.Accept()
			if err != nil {
				return
			}
			g.wait.Go(func() { g.connect(client) })
		}
	})
	t.Cleanup(g.stop)
	return g
}

// hold lets so many octets through from now on, and then as many as it is told in each moment. It is called once.
func (g *gate) hold(free, moment int) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.held, g.free, g.moment = true, free, moment
}

// open lets everything through again. It is called once.
func (g *gate) open() {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.held = false
	close(g.opened)
}

func (g *gate) stop() {
	g.listener.Close()
	g.mu.Lock()
	g.over = true
	for _, conn := range g.conns {
		conn.Close()
	}
	g.mu.Unlock()
	g.wait.Wait()
}

func (g *gate) connect(client net.Conn) {
	defer client.Close()
	server, err := net.Dial("tcp", g.to)
	if err != nil {
		return
	}
	defer server.Close()
	g.mu.Lock()
	g.conns = append(g.conns, client, server)
	over := g.over
	g.mu.Unlock()
	if over {
		return
	}
	ended := make(chan struct{})
	g.wait.Go(func() {
		defer close(ended)
		io.Copy(server, client)
		server.Close()
	})
	g.carry(client, server, ended)
	client.Close()
	<-ended
}

// carry brings what the server says, as far as the gate lets it, until either side has gone.
func (g *gate) carry(client io.Writer, server io.Reader, ended <-chan struct{}) {
	octets := make([]byte, 16<<10)
	for {
		n, err := server.Read(octets[:g.pass(len(octets), ended)])
		if err != nil {
			return
		}
		if _, err := client.Write(octets[:n]); err != nil {
			return
		}
	}
}

// pass waits until something may come through, and gives how much, at most n.
func (g *gate) pass(n int, ended <-chan struct{}) int {
	g.mu.Lock()
	held, free := g.held, min(n, g.free)
	if g.free -= free; free > 0 && g.free == 0 {
		close(g.spent)
	}
	g.mu.Unlock()
	if !held {
		return n
	}
	if free > 0 {
		return free
	}
	var moment <-chan time.Time
	if g.moment > 0 {
		moment = time.After(momentOfGate)
	}
	select {
	case <-moment:
		return min(n, g.moment)
	case <-g.opened:
	case <-ended:
	}
	return n
}

// A spoken is what a program says, for others to wait for.
type spoken struct {
	mu   sync.Mutex
	text strings.Builder
	more chan struct{} // closed by the next words; nil where nobody waits
}

func (s *spoken) Write(words []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.more != nil {
		close(s.more)
		s.more = nil
	}
	return s.text.Write(words)
}

func (s *spoken) String() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.text.String()
}

// await waits until the words have been said.
func (s *spoken) await(t *testing.T, words string) {
	t.Helper()
	deadline := time.After(time.Minute)
	for {
		s.mu.Lock()
		if s.more == nil {
			s.more = make(chan struct{})
		}
		said, more := strings.Contains(s.text.String(), words), s.more
		s.mu.Unlock()
		if said {
			return
		}
		select {
		case <-more:
		case <-deadline:
			t.Fatalf("it has never said %q: %s", words, s)
		}
	}
}
