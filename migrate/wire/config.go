// Package wire is what lies under the IMAP and the POP3 session alike: the connection with its clock, TLS, and the
// mechanisms of log-in. It knows octets and credentials, and no protocol.
package wire

import (
	"context"
	"log/slog"
	"net"
	"strconv"
	"time"
)

// A TLSMode says how a connection becomes secure.
type TLSMode int

// The modes. StartTLS is required where it is asked for, never tried: a server without it is refused.
const (
	Implicit TLSMode = iota // TLS from the first octet (RFC 8314, section 3)
	StartTLS                // STARTTLS (RFC 9051, section 6.2.1) or STLS (RFC 2595, section 4) before any credential
	Plain                   // none: for loopback, or where the user insists
)

// DefaultTimeout is how long a pending command may see no octet move in either direction.
const DefaultTimeout = 2 * time.Minute

// A Config says where an account is and how to get in.
type Config struct {
	Host    string
	Port    int
	TLS     TLSMode
	CAFile  string        // PEM file of the authorities to trust in place of the system's; empty for the system's
	Pin     string        // SHA-256 of the server's certificate in hexadecimal; see Dial
	Timeout time.Duration // of inactivity; 0 means DefaultTimeout

	Auth     string // auto (or empty), plain, login, cram-md5, scram-sha-256, apop, user
	User     string
	Authzid  string // act as this user (RFC 4616); empty for User itself
	Password func(ctx context.Context) (string, error)

	Link *Link // measured by the connections, which share it; nil where nothing shall ever be compressed

	Log *slog.Logger // gets the trace at level Debug; may be nil

	// Dial connects in place of net.Dialer, for tests that have a network and a time of their own; nil otherwise.
	Dial func(ctx context.Context, network, address string) (net.Conn, error)
}

// Address gives host and port as dialled.
func (cfg *Config) Address() string { return net.JoinHostPort(cfg.Host, strconv.Itoa(cfg.Port)) }

func (cfg *Config) timeout() time.Duration {
	if cfg.Timeout > 0 {
		return cfg.Timeout
	}
	return DefaultTimeout
}
