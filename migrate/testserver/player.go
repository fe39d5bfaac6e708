package testserver

import (
	"bufio"
	"bytes"
	"crypto/tls"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"strings"
	"sync"
	"testing"
	"time"
)

// A Player is a server that follows a script.
type Player struct {
	Server        // of which only CAFile, ClientTLS, Log and Stop are of use
	Addr   string // "127.0.0.1:port"

	script *script
	hub    hub

	mu       sync.Mutex
	accepted int
	finished int
	received bytes.Buffer
	clear    bytes.Buffer
	errs     []error
}

// PlayFile plays the script in a file until the test ends. A client that says something else than the script expects
// fails the test, unless it has failed already; one that hangs up early does not.
func PlayFile(tb testing.TB, path string) *Player {
	tb.Helper()
	s, err := loadScript(path)
	return play(tb, s, err)
}

// Play is PlayFile for a script at hand.
func Play(tb testing.TB, text string) *Player {
	tb.Helper()
	s, err := parseScript(text)
	return play(tb, s, err)
}

func play(tb testing.TB, s *script, err error) *Player {
	tb.Helper()
	if err != nil {
		tb.Fatal(err)
	}
	p, err := runScript(s)
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() {
		if err := errors.Join(p.Stop(), p.Err()); err != nil {
			tb.Error(err)
		}
	})
	return p
}

func runScript(s *script) (*Player, error) {
	caFile, err := sharedCAFile()
	if err != nil {
		return nil, err
	}
	p := &Player{script: s}
	p.Name = "script"
	p.log = func() string { return string(p.Received()) }
	p.stop = func() error { return firstError(p.hub.stop(), os.Remove(caFile)) }
	ln, err := p.hub.listen(nil, nil)
	if err := firstError(err, p.trust(caFile)); err != nil {
		return nil, firstError(err, p.Stop())
	}
	p.Addr = ln.Addr().String()
	p.hub.serve(ln, p.connection)
	return p, nil
}

// Received gives all that clients have sent, decrypted, in the order of its coming.
func (p *Player) Received() []byte {
	p.mu.Lock()
	defer p.mu.Unlock()
	return bytes.Clone(p.received.Bytes())
}

// InClear gives what clients have sent outside of TLS.
func (p *Player) InClear() []byte {
	p.mu.Lock()
	defer p.mu.Unlock()
	return bytes.Clone(p.clear.Bytes())
}

// Body gives the octets that the script has under a name, nil if it has none.
func (p *Player) Body(name string) []byte { return bytes.Clone(p.script.bodies[name]) }

// Connections tells how many connections have been accepted, and how many of them went to the end of their steps.
func (p *Player) Connections() (accepted, finished int) {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.accepted, p.finished
}

// Err tells where clients left the script.
func (p *Player) Err() error {
	p.mu.Lock()
	defer p.mu.Unlock()
	return errors.Join(p.errs...)
}

func (p *Player) connection(conn net.Conn) {
	p.mu.Lock()
	n := p.accepted
	p.accepted++
	p.mu.Unlock()
	if n >= len(p.script.connections) {
		if !p.script.again {
			return
		}
		n = len(p.script.connections) - 1
	}
	c := &playedConn{player: p, conn: conn, kept: make(map[string]string)}
	c.r = bufio.NewReader(recorder{c})
	err := c.play(p.script.connections[n])
	var departed departure
	p.mu.Lock()
	defer p.mu.Unlock()
	if errors.As(err, &departed) {
		p.errs = append(p.errs, err)
	}
	if err == nil {
		p.finished++
	}
}

// A departure is a client's leaving of the script, as opposed to its hanging up.
type departure struct {
	step step
	got  string
}

func (d departure) Error() string {
	return fmt.Sprintf("script %s: client said %q, not %q", d.step.at, d.got, d.step.text)
}

// playedConn is one connection in the course of its steps.
type playedConn struct {
	player  *Player
	conn    net.Conn
	secure  bool
	r       *bufio.Reader
	kept    map[string]string
	answers []step // of ON
	last    string // line of the client's
}

// A recorder reads from the connection, and keeps what it reads.
type recorder struct{ c *playedConn }

func (r recorder) Read(b []byte) (int, error) {
	n, err := r.c.conn.Read(b)
	p := r.c.player
	p.mu.Lock()
	defer p.mu.Unlock()
	p.received.Write(b[:n])
	if !r.c.secure {
		p.clear.Write(b[:n])
	}
	return n, err
}

// errClosed says that the script hung up.
var errClosed = errors.New("closed by the script")

func (c *playedConn) play(steps []step) error {
	for _, st := range steps {
		if err := c.do(st); err == errClosed {
			return nil
		} else if err != nil {
			return err
		}
	}
	c.expect(step{}) // answers ON until the client hangs up
	return nil
}

func (c *playedConn) do(st step) error {
	switch st.verb {
	case "S:":
		return c.say(st.text + `\r\n`)
	case "S~":
		return c.say(st.text)
	case "C:":
		return c.expect(st)
	case "ON:":
		c.answers = append(c.answers, st)
	case "DATA":
		n, ok := literalAtEnd([]byte(c.last))
		if !ok {
			return departure{st, c.last}
		}
		_, err := io.CopyN(io.Discard, c.r, int64(n))
		return err
	case "TLS":
		return c.handshake(st.text)
	case "SLEEP":
		time.Sleep(st.pause)
	case "DRIP":
		return c.drip(st)
	case "FLOOD":
		return c.flood(st.text)
	case "SCRAM":
		return c.scram(st)
	case "STALL":
		_, _ = io.Copy(io.Discard, c.r)
		return errClosed
	case "CLOSE", "RESET":
		if counted, ok := c.conn.(*countedConn); ok && st.verb == "RESET" {
			counted.Conn.(*net.TCPConn).SetLinger(0)
		}
		c.conn.Close()
		return errClosed
	}
	return nil
}

func (c *playedConn) say(text string) error {
	octets, err := c.player.script.expand(text, c.kept)
	if err != nil {
		return err
	}
	_, err = c.conn.Write(octets)
	return err
}

func (c *playedConn) drip(st step) error {
	octets, err := c.player.script.expand(st.text+`\r\n`, c.kept)
	for i := 0; i < len(octets) && err == nil; i++ {
		time.Sleep(st.pause)
		_, err = c.conn.Write(octets[i : i+1])
	}
	return err
}

// flood writes until the client hangs up, or the server stops.
func (c *playedConn) flood(text string) error {
	octets, err := c.player.script.expand(text+`\r\n`, c.kept)
	octets = bytes.Repeat(octets, 1+(64<<10)/len(octets))
	for err == nil {
		_, err = c.conn.Write(octets)
	}
	return err
}

// scram answers a client's first message (RFC 5802, section 5): a nonce that goes on from the client's, a salt, and as
// many rounds as the script says.
func (c *playedConn) scram(st step) error {
	words := strings.Fields(c.last)
	if len(words) == 0 {
		return departure{st, c.last}
	}
	first, err := base64.StdEncoding.DecodeString(words[len(words)-1])
	_, nonce, found := strings.Cut(string(first), ",r=")
	if err != nil || !found {
		return departure{st, c.last}
	}
	challenge := fmt.Sprintf("r=%sandmore,s=c2FsdA==,i=%s", nonce, st.text)
	return c.say("+ " + base64.StdEncoding.EncodeToString([]byte(challenge)) + `\r\n`)
}

// expect reads lines until one that is not for an ON; a step without a pattern expects none.
func (c *playedConn) expect(st step) error {
next:
	for {
		line, err := c.r.ReadString('\n')
		if err != nil {
			return err
		}
		c.last = strings.TrimRight(line, "\r\n")
		if st.match != nil && c.keep(st) {
			return nil
		}
		for _, answer := range c.answers {
			if c.keep(answer) {
				if err := c.say(answer.text + `\r\n`); err != nil {
					return err
				}
				continue next
			}
		}
		if st.match == nil {
			return nil
		}
		return departure{st, c.last}
	}
}

// keep matches the client's last line, and keeps the words that the pattern names.
func (c *playedConn) keep(st step) bool {
	groups := st.match.FindStringSubmatch(c.last)
	if groups == nil {
		return false
	}
	for i, name := range st.names {
		c.kept[name] = groups[i+1]
	}
	return true
}

// handshake turns the connection into TLS, with a good certificate or one with the named fault.
func (c *playedConn) handshake(fault string) error {
	var req CertificateRequest
	config := &tls.Config{}
	ca, err := sharedCA()
	switch fault {
	case "expired":
		req.NotAfter = time.Now().Add(-time.Hour)
	case "other-name":
		req.Names = []string{"mail.example.net"}
	case "common-name":
		req.Names, req.CommonName = []string{}, "127.0.0.1"
	case "old":
		config.MinVersion, config.MaxVersion = tls.VersionTLS10, tls.VersionTLS11
	case "stranger":
		ca, err = NewCA()
	}
	if err != nil {
		return err
	}
	cert, err := ca.Issue(req)
	if err != nil {
		return err
	}
	ahead, _ := c.r.Peek(c.r.Buffered())
	config.Certificates = []tls.Certificate{cert}
	server := tls.Server(bufferedConn{c.conn, io.MultiReader(bytes.NewReader(ahead), c.conn)}, config)
	if err := server.Handshake(); err != nil {
		return err
	}
	c.conn, c.secure = server, true
	c.r = bufio.NewReader(recorder{c})
	return nil
}

// A bufferedConn reads what was read ahead first.
type bufferedConn struct {
	net.Conn
	r io.Reader
}

func (b bufferedConn) Read(p []byte) (int, error) { return b.r.Read(p) }
