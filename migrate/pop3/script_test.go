package pop3

import (
	"bufio"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"fmt"
	"io"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"postcask/migrate"
	"postcask/migrate/wire"
)

// server is one end of a conversation: it accepts one connection and plays with it.
type server struct {
	net.Conn
	in *bufio.Reader

	mu       sync.Mutex
	received strings.Builder // all that the client sent, before TLS
}

// serve runs play on the first connection, and gives the way to it. What play returns fails the test; the end of the
// connection doesn't, once the script is over.
func serve(t testing.TB, play func(s *server) error) (wire.Config, *server) {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	s := &server{}
	done := make(chan error, 1)
	go func() {
		conn, err := listener.Accept()
		if err != nil {
			done <- nil // nobody came
			return
		}
		defer conn.Close()
		conn.SetDeadline(time.Now().Add(30 * time.Second))
		s.Conn = conn
		s.in = bufio.NewReader(io.TeeReader(conn, s))
		done <- play(s)
	}()
	t.Cleanup(func() {
		listener.Close()
		if err := <-done; err != nil {
			t.Errorf("the server's side: %v", err)
		}
	})
	cfg := wire.Config{
		Host: "127.0.0.1", Port: listener.Addr().(*net.TCPAddr).Port, TLS: wire.Plain, Timeout: 5 * time.Second,
		User: "me", Auth: "user", Password: func(context.Context) (string, error) { return "secret", nil },
	}
	return cfg, s
}

// piped is serve without a network, for a bubble of synctest: time passes there only when nobody has anything to do.
func piped(t *testing.T, play func(s *server) error) wire.Config {
	t.Helper()
	var playing sync.WaitGroup
	t.Cleanup(playing.Wait)
	return wire.Config{
		TLS: wire.Plain, Timeout: time.Second, User: "me", Auth: "user", Password: func(context.Context) (string, error) { return "secret", nil },
		Dial: func(context.Context, string, string) (net.Conn, error) {
			near, far := net.Pipe()
			playing.Go(func() {
				defer far.Close()
				s := &server{Conn: far}
				s.in = bufio.NewReader(io.TeeReader(far, s))
				if err := play(s); err != nil {
					t.Errorf("the server's side: %v", err)
				}
			})
			return near, nil
		},
	}
}

// Write notes what came in clear.
func (s *server) Write(p []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.received.Write(p)
}

func (s *server) inClear() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.received.String()
}

func (s *server) say(text string) error {
	_, err := io.WriteString(s.Conn, text)
	return err
}

func (s *server) hear() (string, error) {
	line, err := s.in.ReadString('\n')
	return strings.TrimSuffix(line, "\r\n"), err
}

// play follows a script. "C: x" wants the line x, "S: x" says it with CRLF, "s: x" says it as a Go string without,
// "TLS" does the server's part of a handshake, "END" wants the client to hang up, "SILENCE" listens until it does.
func (s *server) play(script ...string) error {
	for _, step := range script {
		switch {
		case strings.HasPrefix(step, "C: "):
			line, err := s.hear()
			if want := step[3:]; err != nil || line != want {
				return fmt.Errorf("want %q, got %q, %v", want, line, err)
			}
		case strings.HasPrefix(step, "S: "):
			s.say(step[3:] + "\r\n") // the client may have hung up; what it makes of that is the test's to say
		case strings.HasPrefix(step, "s: "):
			s.say(step[3:])
		case step == "TLS":
			secure := tls.Server(s.Conn, testTLS())
			if err := secure.Handshake(); err != nil {
				return err
			}
			s.Conn, s.in = secure, bufio.NewReader(secure)
		case step == "SILENCE":
			io.Copy(io.Discard, s.in)
		case step == "END":
			if line, err := s.hear(); err == nil {
				return fmt.Errorf("want the end, got %q", line)
			}
		default:
			return fmt.Errorf("script: %q", step)
		}
	}
	return nil
}

// loggedIn begins a script: log-in, and CAPA with what is given, again behind it where that is not all that is needed.
func loggedIn(capabilities string, more ...string) []string {
	capa := "s: +OK\r\n" + strings.ReplaceAll(capabilities, " ", "\r\n") + "\r\n.\r\n"
	if capabilities == "" {
		capa = "s: +OK\r\n.\r\n"
	}
	script := []string{"S: +OK ready", "C: CAPA", capa, "C: USER me", "S: +OK", "C: PASS secret", "S: +OK"}
	if !strings.Contains(capabilities, "PIPELINING") || !strings.Contains(capabilities, "UIDL") {
		script = append(script, "C: CAPA", capa)
	}
	return append(script, more...)
}

// open opens a session on a script, and closes it when the test ends.
func open(t *testing.T, script ...string) *Session {
	t.Helper()
	cfg, _ := serve(t, func(s *server) error { return s.play(script...) })
	return openAt(t, cfg)
}

func openAt(t testing.TB, cfg wire.Config) *Session {
	t.Helper()
	s, err := New(cfg).Open(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Close() })
	return s
}

// names lists INBOX.
func names(s *Session) (names []string, err error) {
	for m, err := range s.Messages(context.Background(), migrate.Inbox) {
		if err != nil {
			return names, err
		}
		names = append(names, m.Key.Name)
	}
	return names, nil
}

// messages makes what Fetch wants.
func messages(names ...string) (list []migrate.Message) {
	for _, name := range names {
		list = append(list, migrate.Message{Key: migrate.Key{Name: name}})
	}
	return list
}

// fetch reads messages whole: name, colon, the octets or the error.
func fetch(ctx context.Context, s *Session, names ...string) (got []string, err error) {
	for f, err := range s.Fetch(ctx, migrate.Inbox, messages(names...)) {
		if err != nil {
			return got, err
		}
		if f.Err != nil {
			got = append(got, f.Message.Key.Name+"! "+f.Err.Error())
			continue
		}
		octets, err := io.ReadAll(f.Body)
		if err != nil {
			return got, err
		}
		got = append(got, f.Message.Key.Name+": "+string(octets))
	}
	return got, nil
}

var testTLS = sync.OnceValue(func() *tls.Config {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		panic(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "test"}, IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
		IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign | x509.KeyUsageDigitalSignature,
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	if err != nil {
		panic(err)
	}
	return &tls.Config{Certificates: []tls.Certificate{{Certificate: [][]byte{der}, PrivateKey: key}}}
})

// caFile writes the certificate that testTLS shows.
func caFile(t *testing.T) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "ca.pem")
	block := &pem.Block{Type: "CERTIFICATE", Bytes: testTLS().Certificates[0].Certificate[0]}
	if err := os.WriteFile(path, pem.EncodeToMemory(block), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}
