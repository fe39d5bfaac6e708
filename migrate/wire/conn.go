package wire

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"os"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"postcask/migrate"
)

// A Conn is a connection to a mail server. One inactivity clock watches both directions while a command is pending:
// a long upload keeps the reader alive and the other way round, a slow server is never cut off while octets move, and
// a dead one never waited for without end. The first error stays: every later call returns it. Reading and writing may
// go on in different goroutines.
type Conn struct {
	cfg    *Config
	socket *clocked
	top    io.ReadWriter // the socket, or TLS over it, or compression over either
	secure bool          // there is TLS

	few   int           // octets that came since sluggish began to count
	slow  time.Duration // how long Read has waited for them
	wrote atomic.Bool   // and so it counts anew

	mu  sync.Mutex
	err error
}

// A server that keeps the clock from running out by an octet now and then is not alive for that: in so many time-outs
// of waiting it has to bring so many octets. One that works for long and says so each minute brings more.
const (
	sluggishTimeouts = 5
	sluggishOctets   = 64
)

// Dial connects, and does the TLS handshake where cfg.TLS is Implicit. The server's certificate has to be valid for
// cfg.Host now and to come from a trusted authority. With a pin it must be the pinned one, which then needs no
// authority. Errors are of kind Unavailable, or Unsafe where the certificate is the trouble.
func Dial(ctx context.Context, cfg *Config) (*Conn, error) {
	ctx, cancel := context.WithTimeoutCause(ctx, cfg.timeout(), silence(cfg.timeout()))
	defer cancel()
	var connecting atomic.Int64 // since start, when the address was known
	dialer := net.Dialer{Control: func(string, string, syscall.RawConn) error {
		connecting.Store(int64(time.Since(start)))
		return nil
	}}
	dial := dialer.DialContext
	if cfg.Dial != nil {
		connecting.Store(int64(time.Since(start)))
		dial = cfg.Dial
	}
	tcp, err := dial(ctx, "tcp", cfg.Address())
	if err != nil {
		return nil, unreachable(err)
	}
	cfg.Link.Answered(time.Since(start) - time.Duration(connecting.Load()))
	socket := &clocked{Conn: tcp, timeout: cfg.timeout(), link: cfg.Link}
	socket.setBusy(true)
	c := &Conn{cfg: cfg, socket: socket, top: socket}
	if cfg.TLS == Implicit {
		if err := c.StartTLS(ctx); err != nil {
			return nil, err
		}
	}
	return c, nil
}

// unreachable wraps what kept us from the server. A name that nobody knows is not known a moment later either; one
// that cannot be looked up for now may be.
func unreachable(err error) error {
	e := &migrate.Error{Kind: migrate.Unavailable, Err: err}
	if dns, ok := errors.AsType[*net.DNSError](err); ok && dns.IsNotFound {
		e.Advice, e.Hint = migrate.Never, "see whether the name of the host is written as it should be"
	}
	return e
}

// StartTLS does the TLS handshake now. Nothing that was received in clear may be left unread by the caller: it would
// have to be taken for an injection. On an error the connection is closed.
func (c *Conn) StartTLS(ctx context.Context) error {
	ctx, cancel := context.WithTimeoutCause(ctx, c.cfg.timeout(), silence(c.cfg.timeout()))
	defer cancel()
	stop := c.Watch(ctx)
	defer stop()
	config, err := tlsConfig(c.cfg)
	if err == nil {
		secure := tls.Client(c.socket, config)
		if err = secure.HandshakeContext(ctx); err == nil {
			c.top, c.secure = secure, true
			return nil
		}
		if errors.Is(err, context.DeadlineExceeded) {
			err = context.Cause(ctx)
		}
	}
	var bad *tls.CertificateVerificationError
	if _, untrusted := errors.AsType[*certificateError](err); untrusted || errors.As(err, &bad) {
		err = &migrate.Error{Kind: migrate.Unsafe, Err: fmt.Errorf("certificate of %s: %w", c.cfg.Host, err),
			Hint: "name the server as its certificate does, or trust its authority with ca=FILE or its certificate with pin=sha256:HEX"}
	}
	if _, ok := errors.AsType[tls.RecordHeaderError](err); ok {
		err = &migrate.Error{Kind: migrate.Unavailable, Advice: migrate.Never, Err: err,
			Hint: "what listens there speaks no TLS: see whether port and scheme (imaps, imap, pop3s, pop3) belong together"}
	}
	c.Fail(err)
	return c.Err()
}

// Secure tells whether TLS is on.
func (c *Conn) Secure() bool { return c.secure }

// SetBusy starts the inactivity clock, or stops it: without a pending command a Read may wait for ever.
func (c *Conn) SetBusy(on bool) { c.socket.setBusy(on) }

// Watch makes the end of ctx close the connection, with ctx's error as the one that stays. The returned function ends
// the watch.
func (c *Conn) Watch(ctx context.Context) (stop func()) {
	after := context.AfterFunc(ctx, func() { c.Fail(context.Cause(ctx)) })
	return func() { after() }
}

// Fail makes err the connection's error, unless it has one, and closes it.
func (c *Conn) Fail(err error) {
	c.note(err)
	c.socket.Close()
}

// note keeps the first error, of kind Unavailable where it has no kind of its own.
func (c *Conn) note(err error) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.err == nil {
		if migrate.KindOf(err) == migrate.Failed && !errors.Is(err, context.Canceled) {
			err = &migrate.Error{Kind: migrate.Unavailable, Err: err}
		}
		c.err = err
	}
	return c.err
}

// Err gives the first error of the connection, or nil.
func (c *Conn) Err() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.err
}

// Read reads what has come. At a clean end of the connection it gives io.EOF, and
// Err then tells that the server closed it.
func (c *Conn) Read(p []byte) (int, error) {
	if err := c.Err(); err != nil {
		return 0, bareEOF(err)
	}
	began := time.Now()
	n, err := c.top.Read(p)
	if err == nil {
		err = c.sluggish(n, time.Since(began))
	}
	if err == io.EOF {
		err = fmt.Errorf("the server closed the connection: %w", err)
	}
	if err != nil {
		err = bareEOF(c.note(err))
	}
	return n, err
}

// ReadBeside is Read for who reads beside an upload: what it is busy waiting for are octets that are on their way up.
func (c *Conn) ReadBeside(p []byte) (int, error) {
	c.socket.beside.Store(true)
	defer c.socket.beside.Store(false)
	return c.Read(p)
}

// sluggish counts what a Read has brought and how long that took, and gives an error when it is too little.
func (c *Conn) sluggish(n int, waited time.Duration) error {
	if c.wrote.Swap(false) || !c.socket.busy.Load() {
		c.few, c.slow, waited = 0, 0, 0 // it may have waited for us
	}
	c.few += n
	c.slow += waited
	if c.few >= sluggishOctets {
		c.few, c.slow = 0, 0
	}
	if c.slow < sluggishTimeouts*c.cfg.timeout() {
		return nil
	}
	return migrate.Errorf(migrate.Unavailable, "the server brings %d octets in %v", c.few, c.slow.Round(time.Second))
}

// bareEOF keeps to what io.Reader promises at a clean end.
func bareEOF(err error) error {
	if errors.Is(err, io.EOF) {
		return io.EOF
	}
	return err
}

// Write sends all of p.
func (c *Conn) Write(p []byte) (int, error) {
	if err := c.Err(); err != nil {
		return 0, err
	}
	c.wrote.Store(true)
	n, err := c.top.Write(p)
	if err != nil {
		err = c.note(err)
	}
	return n, err
}

// Close ends the connection at once.
func (c *Conn) Close() error {
	c.note(net.ErrClosed)
	if d, ok := c.top.(*deflated); ok {
		d.link.tried(d.trial, false, false)
	}
	return c.socket.Close()
}

// CloseWrite tells the server that nothing more comes. What it still has to say can be read.
func (c *Conn) CloseWrite() error {
	if half, ok := c.socket.Conn.(interface{ CloseWrite() error }); ok {
		return half.CloseWrite()
	}
	return nil
}

// LocalAddr and RemoteAddr are the socket's.
func (c *Conn) LocalAddr() net.Addr  { return c.socket.LocalAddr() }
func (c *Conn) RemoteAddr() net.Addr { return c.socket.RemoteAddr() }

// SetDeadline, SetReadDeadline and SetWriteDeadline do nothing: libraries set deadlines that slow links cannot meet,
// and the connection has its own clock.
func (c *Conn) SetDeadline(time.Time) error      { return nil }
func (c *Conn) SetReadDeadline(time.Time) error  { return nil }
func (c *Conn) SetWriteDeadline(time.Time) error { return nil }

// Octets tells how many octets came and went on the wire, as TLS and compression have made them.
func (c *Conn) Octets() (in, out int64) { return c.socket.in.Load(), c.socket.out.Load() }

// Traced tells whether Trace does anything.
func (c *Conn) Traced() bool {
	return c.cfg.Log != nil && c.cfg.Log.Enabled(context.Background(), slog.LevelDebug)
}

// Trace logs a line of the dialogue at level Debug. The caller keeps credentials out of it.
func (c *Conn) Trace(direction, line string) {
	if c.Traced() {
		c.cfg.Log.Debug(direction, "host", c.cfg.Host, "line", Clean(line))
	}
}

// clocked is the socket with the inactivity clock. The clock lies under TLS so that TLS never sees a time-out that
// is none.
type clocked struct {
	net.Conn
	timeout time.Duration
	busy    atomic.Bool
	last    atomic.Int64 // when an octet last moved, in nanoseconds since start
	in, out atomic.Int64

	link   *Link
	wrote  atomic.Bool  // since octets last came
	beside atomic.Bool  // whoever reads does so beside an upload
	since  atomic.Int64 // when busy began, in nanoseconds since start

	awaited int64         // octets that came from the wire, not counting those first behind a question
	waited  time.Duration // for them; both belong to whoever reads
}

var start = time.Now()

func (s *clocked) touch() { s.last.Store(int64(time.Since(start))) }

// left tells how long the clock still runs.
func (s *clocked) left() time.Duration {
	return s.timeout - (time.Since(start) - time.Duration(s.last.Load()))
}

func (s *clocked) setBusy(on bool) {
	if on {
		s.touch()
		s.since.Store(s.last.Load())
	}
	if s.busy.Swap(on) != on && on {
		// A Read that waits already must look at the clock again.
		s.Conn.SetReadDeadline(time.Now().Add(s.timeout))
	}
}

func (s *clocked) Read(p []byte) (int, error) {
	began := time.Now()
	for {
		var deadline time.Time
		if s.busy.Load() {
			deadline = time.Now().Add(max(s.left(), time.Millisecond))
		}
		s.Conn.SetReadDeadline(deadline)
		if deadline.IsZero() && s.busy.Load() {
			continue // it became busy meanwhile
		}
		n, err := s.Conn.Read(p)
		if n > 0 {
			s.in.Add(int64(n))
			s.touch()
			s.measure(n, began)
		}
		if n == 0 && errors.Is(err, os.ErrDeadlineExceeded) {
			if !s.busy.Load() || s.left() > 0 {
				continue
			}
			return 0, s.expired()
		}
		return n, err
	}
}

// measure notes what a Read that began then has brought, if the wire was what it waited for: and not, as for the first
// octets behind a question, the server.
func (s *clocked) measure(n int, began time.Time) {
	wrote := s.wrote.Swap(false)
	switch {
	case s.beside.Load() && s.busy.Load():
		if since := start.Add(time.Duration(s.since.Load())); since.After(began) {
			began = since
		}
		s.link.Moved(Up, 0, began) // the octets were counted as they went
	case !s.beside.Load() && !wrote:
		s.link.Moved(Down, n, began)
		s.waited += time.Since(began)
		s.awaited += int64(n)
	}
}

func (s *clocked) Write(p []byte) (int, error) {
	written := 0
	s.wrote.Store(true)
	for written < len(p) {
		began := time.Now()
		s.Conn.SetWriteDeadline(time.Now().Add(s.timeout))
		n, err := s.Conn.Write(p[written:min(len(p), written+64<<10)])
		if n > 0 {
			written += n
			s.out.Add(int64(n))
			s.touch()
			s.link.Moved(Up, n, began)
		}
		if errors.Is(err, os.ErrDeadlineExceeded) {
			if s.left() > 0 {
				continue
			}
			return written, s.expired()
		}
		if err != nil {
			return written, err
		}
	}
	return written, nil
}

func (s *clocked) expired() error { return silence(s.timeout) }

// silence is the trouble with a server that owes an answer for so long.
func silence(timeout time.Duration) error {
	return &migrate.Error{Kind: migrate.Unavailable, Err: fmt.Errorf("no answer for %v", timeout),
		Hint: "the server may be slow or gone; a longer --timeout gives it more time"}
}
