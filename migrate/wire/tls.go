package wire

import (
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"encoding/hex"
	"errors"
	"fmt"
	"os"
	"strings"

	"postcask/migrate"
)

// certificateError says why a server's certificate was not accepted.
type certificateError struct{ err error }

func (e *certificateError) Error() string { return e.err.Error() }
func (e *certificateError) Unwrap() error { return e.err }

func tlsConfig(cfg *Config) (*tls.Config, error) {
	config := &tls.Config{ServerName: cfg.Host, MinVersion: tls.VersionTLS12}
	if cfg.CAFile != "" {
		pem, err := os.ReadFile(cfg.CAFile)
		if err != nil {
			return nil, &migrate.Error{Kind: migrate.Misuse, Err: fmt.Errorf("ca file: %w", err)}
		}
		config.RootCAs = x509.NewCertPool()
		if !config.RootCAs.AppendCertsFromPEM(pem) {
			return nil, migrate.Errorf(migrate.Misuse, "ca file %s: no certificate in it", cfg.CAFile)
		}
	}
	if cfg.Pin != "" {
		pin, err := ParsePin(cfg.Pin)
		if err != nil {
			return nil, err
		}
		roots := config.RootCAs
		config.InsecureSkipVerify = true // verified in VerifyConnection, with the pinned certificate as an authority of its own
		config.VerifyConnection = func(state tls.ConnectionState) error {
			if err := verifyPinned(state, cfg.Host, pin, roots); err != nil {
				return &certificateError{err}
			}
			return nil
		}
	}
	return config, nil
}

// ParsePin reads a pin, the SHA-256 of a certificate as hexadecimal digits with or without colons and the prefix
// "sha256:". An error is of kind Misuse.
func ParsePin(text string) (migrate.Digest, error) {
	var pin migrate.Digest
	digits := strings.ReplaceAll(strings.TrimPrefix(text, "sha256:"), ":", "")
	raw, err := hex.DecodeString(digits)
	if err != nil || len(raw) != len(pin) {
		return pin, migrate.Errorf(migrate.Misuse, "pin %q: not sha256: and 64 hexadecimal digits", text)
	}
	copy(pin[:], raw)
	return pin, nil
}

// verifyPinned checks the pin, and beyond it name and dates as always. Only the authority may be missing: the user
// vouched for the certificate.
func verifyPinned(state tls.ConnectionState, host string, pin migrate.Digest, roots *x509.CertPool) error {
	leaf := state.PeerCertificates[0]
	if got := migrate.Digest(sha256.Sum256(leaf.Raw)); got != pin {
		return fmt.Errorf("it is not the pinned one: its SHA-256 is %s", got)
	}
	options := x509.VerifyOptions{DNSName: host, Roots: roots, Intermediates: x509.NewCertPool()}
	for _, cert := range state.PeerCertificates[1:] {
		options.Intermediates.AddCert(cert)
	}
	_, err := leaf.Verify(options)
	var unknown x509.UnknownAuthorityError
	if errors.As(err, &unknown) {
		options.Roots = x509.NewCertPool()
		options.Roots.AddCert(leaf)
		_, err = leaf.Verify(options)
	}
	return err
}
