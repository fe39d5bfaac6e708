package testserver

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// Password is what Users gives every user.
const Password = "secret"

// A Server is a running mail server on the loopback address. Addresses are empty where it doesn't speak that protocol.
type Server struct {
	Name      string // "dovecot", "cyrus", "courier", "imap" or "pop3"
	IMAPAddr  string // plain, offers STARTTLS; LOGIN in the clear is allowed, as this is the loopback address
	IMAPSAddr string
	POP3Addr  string // plain, offers STLS
	POP3SAddr string
	CAFile    string // PEM of the CA that signed the certificate for localhost and 127.0.0.1

	roots   *x509.CertPool
	dir     string
	ports   ports
	process *process
	addUser func(name, password string) error
	doveadm func(args ...string) ([]byte, error)
	log     func() string
	stop    func() error
}

// AddUser makes an account with an empty INBOX. The name must not hold ":", "/", or white space.
func (s *Server) AddUser(name, password string) error {
	if name == "" || strings.ContainsAny(name, ":/ \t\r\n") {
		return fmt.Errorf("%s cannot have a user %q", s.Name, name)
	}
	if err := s.addUser(name, password); err != nil {
		return fmt.Errorf("add user %q to %s: %w", name, s.Name, err)
	}
	return nil
}

// Users adds accounts whose password is Password, or ends the test.
func (s *Server) Users(tb testing.TB, names ...string) {
	tb.Helper()
	for _, name := range names {
		if err := s.AddUser(name, Password); err != nil {
			tb.Fatalf("%v\n%s", err, s.Log())
		}
	}
}

// ClientTLS is a configuration for clients that trust this server and nothing else.
func (s *Server) ClientTLS() *tls.Config {
	return &tls.Config{RootCAs: s.roots, ServerName: "localhost", MinVersion: tls.VersionTLS12}
}

// Log gives what the server has logged up to now.
func (s *Server) Log() string {
	if s.log != nil {
		return s.log()
	}
	octets, err := os.ReadFile(filepath.Join(s.dir, "log"))
	if err != nil {
		return err.Error()
	}
	return string(octets)
}

// Doveadm runs Dovecot's administration tool on this instance and gives what it prints on both its outputs.
func (s *Server) Doveadm(args ...string) ([]byte, error) {
	if s.doveadm == nil {
		return nil, fmt.Errorf("%s has no doveadm", s.Name)
	}
	return s.doveadm(args...)
}

// Dir is the folder that a real server keeps its mail, configuration and log in.
func (s *Server) Dir() string { return s.dir }

// Stop ends the server and returns when all of its processes are gone. Its folder stays.
func (s *Server) Stop() error {
	defer s.ports.release()
	switch {
	case s.stop != nil:
		return s.stop()
	case s.process != nil:
		return s.process.stop()
	}
	return nil
}

// trust makes CAFile and the pool of ClientTLS from the shared CA.
func (s *Server) trust(caFile string) error {
	ca, err := sharedCA()
	if err != nil {
		return err
	}
	s.CAFile, s.roots = caFile, x509.NewCertPool()
	s.roots.AddCert(ca.cert)
	return nil
}

// start runs a server in a folder of its own for the length of a test.
func start(tb testing.TB, run func(dir string) (*Server, error)) *Server {
	tb.Helper()
	// Not tb.TempDir: only root may enter that one, and its name can be too long for a Unix socket.
	dir, err := os.MkdirTemp("", "postcask-")
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() {
		if err := os.RemoveAll(dir); err != nil {
			tb.Error(err)
		}
	})
	s, err := run(dir)
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() {
		if err := s.Stop(); err != nil {
			tb.Error(err)
		}
		if tb.Failed() {
			tb.Logf("the end of %s's log:\n%s", s.Name, tail(s.Log(), 4000))
		}
	})
	return s
}

// launch waits for a server that has just been started until every one of its addresses answers; a server that
// doesn't come up is stopped.
func (s *Server) launch() error {
	deadline := time.Now().Add(30 * time.Second)
	for _, addr := range []string{s.IMAPAddr, s.IMAPSAddr, s.POP3Addr, s.POP3SAddr} {
		if addr == "" {
			continue
		}
		if err := s.awaitAddr(addr, deadline); err != nil {
			return errors.Join(fmt.Errorf("%w\n%s", err, tail(s.Log(), 4000)), s.Stop())
		}
	}
	return nil
}

func (s *Server) awaitAddr(addr string, deadline time.Time) error {
	for {
		conn, err := net.DialTimeout("tcp", addr, time.Second)
		if err == nil {
			return conn.Close()
		}
		select {
		case <-s.process.done:
			return fmt.Errorf("%s ended as it started: %v", s.Name, s.process.err)
		case <-time.After(20 * time.Millisecond):
		}
		if time.Now().After(deadline) {
			return fmt.Errorf("%s does not answer: %w", s.Name, err)
		}
	}
}

// serversDir is where .ci/install-servers unpacks what apt cannot install beside Dovecot.
func serversDir() (string, error) {
	if dir := os.Getenv("POSTCASK_SERVERS_DIR"); dir != "" {
		return dir, nil
	}
	cache, err := os.UserCacheDir()
	if err != nil {
		return "", err
	}
	return filepath.Join(cache, "postcask", "servers"), nil
}

// installed checks that a server's programs are there and that we may run them.
func installed(name string, programs ...string) error {
	if os.Geteuid() != 0 {
		return fmt.Errorf("%s needs root, since it drops to users of its own", name)
	}
	for _, program := range programs {
		if _, err := exec.LookPath(program); err != nil {
			return fmt.Errorf("%s is not installed (%w); run .ci/install-servers", name, err)
		}
	}
	return nil
}

func tail(s string, n int) string {
	if len(s) > n {
		return "…" + s[len(s)-n:]
	}
	return s
}
