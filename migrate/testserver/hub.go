package testserver

import (
	"crypto/tls"
	"net"
	"os"
	"sync"
	"testing"
)

// A hub keeps the listeners and connections of a server in memory, so that stopping it leaves no goroutine behind.
type hub struct {
	wg    sync.WaitGroup
	mu    sync.Mutex
	ln    []net.Listener
	conns map[net.Conn]struct{}
	over  bool
}

// listen opens a port on the loopback address, whose connections break as faults tells if it is not nil, and speak TLS
// from the start if config is not nil.
func (h *hub) listen(faults Faults, config *tls.Config) (net.Listener, error) {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	h.mu.Lock()
	h.ln = append(h.ln, ln)
	h.mu.Unlock()
	if faults != nil {
		ln = NewFaultyListener(ln, faults)
	}
	ln = &countedListener{ln, h}
	if config != nil {
		ln = tls.NewListener(ln, config)
	}
	return ln, nil
}

// serve runs handle for each connection, in a goroutine of its own, until stop.
func (h *hub) serve(ln net.Listener, handle func(net.Conn)) {
	h.wg.Go(func() {
		for {
			conn, err := ln.Accept()
			if err != nil {
				return
			}
			h.wg.Go(func() {
				defer conn.Close()
				handle(conn)
			})
		}
	})
}

// stop closes everything and waits until the last goroutine and connection are gone.
func (h *hub) stop() error {
	h.mu.Lock()
	h.over = true
	for _, ln := range h.ln {
		ln.Close()
	}
	open := make([]net.Conn, 0, len(h.conns))
	for conn := range h.conns {
		open = append(open, conn)
	}
	h.mu.Unlock()
	for _, conn := range open {
		conn.Close()
	}
	h.wg.Wait()
	return nil
}

type countedListener struct {
	net.Listener
	hub *hub
}

func (l *countedListener) Accept() (net.Conn, error) {
	conn, err := l.Listener.Accept()
	if err != nil {
		return nil, err
	}
	h := l.hub
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.over {
		conn.Close()
		return nil, net.ErrClosed
	}
	if h.conns == nil {
		h.conns = make(map[net.Conn]struct{})
	}
	counted := &countedConn{Conn: conn, hub: h}
	h.conns[counted] = struct{}{}
	h.wg.Add(1)
	return counted, nil
}

type countedConn struct {
	net.Conn
	hub  *hub
	once sync.Once
}

func (c *countedConn) Close() error {
	err := net.ErrClosed
	c.once.Do(func() {
		err = c.Conn.Close()
		c.hub.mu.Lock()
		delete(c.hub.conns, c)
		c.hub.mu.Unlock()
		c.hub.wg.Done()
	})
	return err
}

// serverTLS is the configuration of a server in memory.
func serverTLS() (*tls.Config, error) {
	ca, err := sharedCA()
	if err != nil {
		return nil, err
	}
	cert, err := ca.Issue(CertificateRequest{})
	return &tls.Config{Certificates: []tls.Certificate{cert}, MinVersion: tls.VersionTLS12}, err
}

// sharedCAFile writes the CA's certificate where clients can be pointed to, to be removed by the caller.
func sharedCAFile() (string, error) {
	ca, err := sharedCA()
	if err != nil {
		return "", err
	}
	f, err := os.CreateTemp("", "postcask-ca-*.pem")
	if err != nil {
		return "", err
	}
	_, err = f.Write(ca.PEM())
	if closeErr := f.Close(); err == nil {
		err = closeErr
	}
	return f.Name(), err
}

// stopAfter ends the test if err is one, and stops the server when the test is over.
func stopAfter(tb testing.TB, s *Server, err error) {
	tb.Helper()
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() {
		if err := s.Stop(); err != nil {
			tb.Error(err)
		}
	})
}
