package main

import (
	"net/url"
	"os"
	"slices"
	"strconv"
	"strings"

	"postcask/migrate/wire"
)

// maxConnections keeps a slip of the finger from looking like an attack to the server.
const maxConnections = 32

// parameters reads what follows the "?" of a server's URL into e.
func (p *endpoints) parameters(e *endpoint, u *url.URL) error {
	at := u.Scheme + "://" + u.Host
	query, err := url.ParseQuery(u.RawQuery)
	if err != nil {
		return misuse(parameterHint, "%s: the parameters behind the ? cannot be read", at)
	}
	for name, values := range query {
		if len(values) > 1 {
			return misuse("", "%s: %s= is given twice", at, name)
		}
		if err := p.parameter(e, at, name, values[0]); err != nil {
			return err
		}
	}
	if e.tls == wire.Plain && !isLoopback(e.host) && !p.allowPlaintext {
		return misuse("take tls=none away; only if you know the network to be safe add --allow-plaintext",
			"%s: without TLS everyone on the way could read password and mail", at)
	}
	return nil
}

const parameterHint = "there are tls=, auth=, authzid=, ca=, pin=, connections= and compress="

// parameter reads one of them. A name that is not known is told, but not its value: it may be a password.
func (p *endpoints) parameter(e *endpoint, at, name, value string) error {
	var err error
	switch name {
	case "tls":
		return e.setTLS(at, value)
	case "auth":
		return e.setAuth(at, value)
	case "authzid":
		if e.authzid = value; value == "" || hasControls(value) {
			return misuse("", "%s: authzid= names no user", at)
		}
	case "ca":
		e.ca = value
		file, err := os.Open(value)
		if err != nil {
			return misuse("", "%s: ca: %w", at, err)
		}
		return file.Close()
	case "pin":
		if _, err = wire.ParsePin(value); err != nil {
			return misuse("it is the SHA-256 of the server's certificate: openssl x509 -noout -fingerprint -sha256", "%s: %w", at, err)
		}
		e.pin = value
	case "connections":
		if e.connections, err = strconv.Atoi(value); err != nil || e.connections < 1 || e.connections > maxConnections {
			return misuse("", "%s: connections=%s is not a number from 1 to %d", at, value, maxConnections)
		}
	case "compress":
		if value != "auto" && value != "off" {
			return misuse("", "%s: compress=%s is neither auto nor off", at, value)
		}
		e.plain = value == "off"
	default:
		return misuse(parameterHint, "%s: the parameter %q is not known", at, name)
	}
	return nil
}

func (e *endpoint) setTLS(at, value string) error {
	secure := e.scheme == "imaps" || e.scheme == "pop3s"
	mode, known := map[string]wire.TLSMode{"implicit": wire.Implicit, "starttls": wire.StartTLS, "none": wire.Plain}[value]
	switch {
	case !known:
		return misuse("", "%s: tls=%s is none of implicit, starttls, none", at, value)
	case secure && mode != wire.Implicit:
		return misuse("write "+strings.TrimSuffix(e.scheme, "s")+":// for that", "%s: %s:// is implicit TLS and does not go with tls=%s", at, e.scheme, value)
	}
	e.tls = mode
	return nil
}

func (e *endpoint) setAuth(at, value string) error {
	switch {
	case value == "xoauth2" || value == "oauthbearer":
		return misuse("most providers give out app passwords for programs: use one of those and leave auth= away", "%s: auth=%s is not in this version", at, value)
	case e.protocol == imapServer && (value == "apop" || value == "user"):
		return misuse("", "%s: auth=%s belongs to POP3", at, value)
	case !slices.Contains([]string{"auto", "plain", "login", "cram-md5", "scram-sha-256", "apop", "user"}, value):
		return misuse("", "%s: auth=%s is none of auto, plain, login, cram-md5, scram-sha-256, apop, user", at, value)
	}
	e.auth = value
	return nil
}
