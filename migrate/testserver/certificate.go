package testserver

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"fmt"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"sync"
	"time"
)

// A CA signs the certificates of test servers. Its key never leaves the memory of the process that made it.
type CA struct {
	cert *x509.Certificate
	der  []byte
	key  *ecdsa.PrivateKey
}

// NewCA makes an authority that is valid for a day.
func NewCA() (*CA, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, fmt.Errorf("make the CA's key: %w", err)
	}
	template := x509.Certificate{
		SerialNumber:          big.NewInt(time.Now().UnixNano()),
		Subject:               pkix.Name{CommonName: "postcask test CA"},
		NotBefore:             time.Now().Add(-time.Hour),
		NotAfter:              time.Now().Add(24 * time.Hour),
		KeyUsage:              x509.KeyUsageCertSign,
		BasicConstraintsValid: true,
		IsCA:                  true,
	}
	der, err := x509.CreateCertificate(rand.Reader, &template, &template, &key.PublicKey, key)
	if err != nil {
		return nil, fmt.Errorf("sign the CA: %w", err)
	}
	cert, err := x509.ParseCertificate(der)
	if err != nil {
		return nil, fmt.Errorf("read the CA back: %w", err)
	}
	return &CA{cert: cert, der: der, key: key}, nil
}

// PEM gives the authority's certificate.
func (ca *CA) PEM() []byte {
	return pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: ca.der})
}

// A CertificateRequest tells what to put into a certificate; its zero value asks for one that is right for every
// server of this package.
type CertificateRequest struct {
	Names    []string  // host names and addresses, default localhost and 127.0.0.1
	NotAfter time.Time // default tomorrow

	CommonName string // default "postcask test server"
}

// Issue signs a certificate with a key of its own.
func (ca *CA) Issue(req CertificateRequest) (tls.Certificate, error) {
	if req.Names == nil {
		req.Names = []string{"localhost", "127.0.0.1"}
	}
	if req.NotAfter.IsZero() {
		req.NotAfter = time.Now().Add(24 * time.Hour)
	}
	if req.CommonName == "" {
		req.CommonName = "postcask test server"
	}
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return tls.Certificate{}, fmt.Errorf("make the server's key: %w", err)
	}
	template := x509.Certificate{
		SerialNumber: big.NewInt(time.Now().UnixNano()),
		Subject:      pkix.Name{CommonName: req.CommonName},
		NotBefore:    time.Now().Add(-48 * time.Hour),
		NotAfter:     req.NotAfter,
		KeyUsage:     x509.KeyUsageDigitalSignature,
		ExtKeyUsage:  []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
	}
	for _, name := range req.Names {
		if ip := net.ParseIP(name); ip != nil {
			template.IPAddresses = append(template.IPAddresses, ip)
		} else {
			template.DNSNames = append(template.DNSNames, name)
		}
	}
	der, err := x509.CreateCertificate(rand.Reader, &template, ca.cert, &key.PublicKey, ca.key)
	if err != nil {
		return tls.Certificate{}, fmt.Errorf("sign the server's certificate: %w", err)
	}
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key}, nil
}

// sharedCA signs for all servers of the process: making it costs more than a test should pay each time.
var sharedCA = sync.OnceValues(NewCA)

// credentials are the files a real server reads its TLS identity from.
type credentials struct{ ca, cert, key, both string }

// writeCredentials makes a certificate and puts it below dir: the CA, the certificate, its key, and both in one file.
func writeCredentials(dir string) (credentials, error) {
	ca, err := sharedCA()
	if err != nil {
		return credentials{}, err
	}
	issued, err := ca.Issue(CertificateRequest{})
	if err != nil {
		return credentials{}, err
	}
	der, err := x509.MarshalPKCS8PrivateKey(issued.PrivateKey)
	if err != nil {
		return credentials{}, fmt.Errorf("encode the server's key: %w", err)
	}
	cert := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: issued.Certificate[0]})
	key := pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der})
	c := credentials{
		ca:   filepath.Join(dir, "ca.pem"),
		cert: filepath.Join(dir, "cert.pem"),
		key:  filepath.Join(dir, "key.pem"),
		both: filepath.Join(dir, "both.pem"),
	}
	for path, octets := range map[string][]byte{c.ca: ca.PEM(), c.cert: cert, c.key: key, c.both: bytes.Join([][]byte{key, cert}, nil)} {
		// Readable by all: servers drop root before they read it, and it is worth nothing.
		if err := os.WriteFile(path, octets, 0o644); err != nil {
			return credentials{}, fmt.Errorf("write the certificate: %w", err)
		}
	}
	return c, nil
}
