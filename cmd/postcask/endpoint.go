package main

import (
	"fmt"
	"net"
	"net/netip"
	"net/url"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"

	"postcask/migrate"
	"postcask/migrate/wire"
)

// A protocol says what kind of end an endpoint is.
type protocol string

// The ends that a command can be pointed at.
const (
	archiveDir protocol = "archive"
	imapServer protocol = "IMAP"
	pop3Server protocol = "POP3"
)

// An endpoint is one end of a command, read from an argument. It holds no secret.
type endpoint struct {
	protocol protocol
	dir      string // of an archive

	scheme, host, user, authzid string
	port                        int
	tls                         wire.TLSMode
	auth, ca, pin               string
	connections                 int          // 0 where the URL does not say
	plain                       bool         // never compressed
	link                        *wire.Link   // what a run has measured of the way there; nil for none
	mailbox                     migrate.Path // only this one and those below it
	account                     *account     // whose secret it has; nil for a plain URL
}

// isServer tells whether the endpoint is reached over the network.
func (e *endpoint) isServer() bool { return e.protocol != archiveDir }

// String names the endpoint for messages, the ledger and JSON: a URL with the port and without parameters, or the path
// of the archive. Who acts as another user works on that user's account, so that is the one named.
func (e *endpoint) String() string {
	if !e.isServer() {
		return e.dir
	}
	u := url.URL{Scheme: e.scheme, User: url.User(e.login()), Host: net.JoinHostPort(e.host, strconv.Itoa(e.port))}
	return u.String()
}

// login names the account that is worked on.
func (e *endpoint) login() string {
	if e.authzid != "" {
		return e.authzid
	}
	return e.user
}

// end names the endpoint in errors, as in "source imap.example.org".
func (e *endpoint) end(role string) migrate.End {
	if !e.isServer() {
		return migrate.End(role + " " + e.dir)
	}
	return migrate.End(role + " " + e.host)
}

// sameAccount tells whether both are one account on one server, over whatever protocol.
func (e *endpoint) sameAccount(other *endpoint) bool {
	if !e.isServer() || !other.isServer() || e.host != other.host || !strings.EqualFold(e.login(), other.login()) {
		return false
	}
	return e.port == other.port || e.port == e.defaultPort() && other.port == other.defaultPort()
}

func (e *endpoint) defaultPort() int {
	switch {
	case e.protocol == imapServer && e.tls == wire.Implicit:
		return 993
	case e.protocol == imapServer:
		return 143
	case e.tls == wire.Implicit:
		return 995
	default:
		return 110
	}
}

// misuse makes an error of kind Misuse with the way out.
func misuse(hint, format string, args ...any) error {
	return &migrate.Error{Kind: migrate.Misuse, Err: fmt.Errorf(format, args...), Hint: hint}
}

var (
	accountForm = regexp.MustCompile(`^([A-Za-z0-9][A-Za-z0-9_.-]+):(.*)$`)
	addressForm = regexp.MustCompile(`^[^/@:\\]+@[^/@:\\]+\.[^/@:\\.]+$`)
	schemeForm  = regexp.MustCompile(`^[A-Za-z][A-Za-z0-9+.-]*://`)
)

// endpoints reads endpoints from text.
type endpoints struct {
	allowPlaintext bool
	account        func(name string) (*account, error) // of the config file; its error is of kind Misuse
}

// parse reads one endpoint. Errors are of kind Misuse and never repeat what may be a password.
func (p *endpoints) parse(text string) (*endpoint, error) {
	switch {
	case text == "":
		return nil, misuse("", "an endpoint is empty")
	case schemeForm.MatchString(text):
		return p.parseURL(text)
	case addressForm.MatchString(text):
		return nil, misuse("give the server, as in imaps://me%40old.example@imap.old.example; for a folder of that name write ./me@old.example",
			"%q is an address: finding its server by itself is not in this version", text)
	}
	if match := accountForm.FindStringSubmatch(text); match != nil {
		switch match[1] {
		case "maildir", "mbox", "eml":
			return nil, misuse("give an archive that postcask backup has made, or the server itself; for a folder whose name begins so write ./"+match[1]+":…",
				"%s: reading foreign mail on disk is not in this version", match[1])
		}
		return p.parseAccount(match[1], match[2])
	}
	return &endpoint{protocol: archiveDir, dir: filepath.Clean(text)}, nil
}

func (p *endpoints) parseAccount(name, mailbox string) (*endpoint, error) {
	acct, err := p.account(name)
	if err != nil {
		return nil, err
	}
	e, err := p.parseURL(acct.URL)
	if err != nil {
		return nil, misuse(migrate.HintOf(err), "account %s: %w", name, err)
	}
	e.account = acct
	if mailbox != "" {
		if e.protocol == pop3Server {
			return nil, misuse("", "account %s: POP3 has no mailboxes but the one, so nothing can follow the colon", name)
		}
		if e.mailbox, err = parsePath(mailbox); err != nil {
			return nil, misuse("", "account %s: %w", name, err)
		}
	}
	return e, nil
}

const urlForm = "a server is written imaps://user@host[:port][/Mailbox] (or imap, pop3s, pop3), with an @ in the user as %40"

// parseURL reads the URL of a server. What url.Parse says is never passed on: it repeats parts of its input.
func (p *endpoints) parseURL(text string) (*endpoint, error) {
	scheme, rest, _ := strings.Cut(text, "://")
	scheme = strings.ToLower(scheme)
	e := &endpoint{scheme: scheme, auth: "auto"}
	switch scheme {
	case "imaps", "imap":
		e.protocol = imapServer
	case "pop3s", "pop3":
		e.protocol = pop3Server
	default:
		return nil, misuse(urlForm, "%q is not a kind of server known here", scheme+"://")
	}
	if err := refusePassword(rest); err != nil {
		return nil, err
	}
	u, err := url.Parse(text)
	if err != nil || u.Host == "" || u.Opaque != "" {
		return nil, misuse(urlForm, "the %s:// URL cannot be read", scheme)
	}
	if u.User == nil || u.User.Username() == "" {
		return nil, misuse(urlForm, "%s://%s: there is no user in the URL", scheme, u.Host)
	}
	if u.Fragment != "" || strings.HasSuffix(text, "#") {
		return nil, misuse("a # that belongs to the URL is written %23", "%s://%s: there is a # in the URL", scheme, u.Host)
	}
	e.user, e.host = u.User.Username(), strings.ToLower(u.Hostname())
	if e.host == "" || hasControls(e.user) || hasControls(e.host) || strings.Contains(e.host, ":") && !isAddress(e.host) {
		return nil, misuse(urlForm, "the %s:// URL cannot be read", scheme)
	}
	if e.mailbox, err = mailboxOfURL(u); err != nil {
		return nil, err
	}
	if e.protocol == pop3Server && e.mailbox != "" {
		return nil, misuse("leave out what follows the host", "%s://%s: POP3 has no mailboxes but the one", scheme, u.Host)
	}
	if scheme == "imap" || scheme == "pop3" {
		e.tls = wire.StartTLS
	}
	if err := p.parameters(e, u); err != nil {
		return nil, err
	}
	e.port = e.defaultPort()
	if text := u.Port(); text != "" {
		if e.port, err = strconv.Atoi(text); err != nil || e.port < 1 || e.port > 65535 {
			return nil, misuse("", "%s://%s: the port is not between 1 and 65535", scheme, u.Hostname())
		}
	}
	return e, nil
}

// refusePassword looks for a password before any parser does, also for one whose own "/", "?", "#" or "@" would hide it.
func refusePassword(rest string) error {
	authority := rest
	if i := strings.IndexAny(rest, "/?#"); i >= 0 {
		authority = rest[:i]
	}
	i := strings.LastIndexByte(authority, '@')
	userinfo := authority[:max(i, 0)]
	_, after, colon := strings.Cut(authority, ":")
	hidden := i < 0 && colon && strings.Contains(rest, "@") && strings.Trim(after, "0123456789") != "" && !strings.HasPrefix(authority, "[")
	if strings.Contains(userinfo, ":") || hidden {
		return misuse("leave the password out: it would be seen by every user of this machine; use --password-file, --password-command, POSTCASK_PASSWORD, or type it when asked",
			"there is a password in the URL")
	}
	return nil
}

func mailboxOfURL(u *url.URL) (migrate.Path, error) {
	text := strings.TrimSuffix(strings.TrimPrefix(u.EscapedPath(), "/"), "/")
	if text == "" {
		return "", nil
	}
	parts := strings.Split(text, "/")
	for i, part := range parts {
		plain, err := url.PathUnescape(part)
		if err != nil || plain == "" {
			return "", misuse("a / inside a name is written %2F, a % is written %25", "%s://%s: the mailbox cannot be read", u.Scheme, u.Host)
		}
		parts[i] = plain
	}
	return migrate.NewPath(parts...), nil
}

// parsePath reads a mailbox from a flag: parts joined by "/", with %2F for a "/" and %25 for a "%" inside a part.
func parsePath(text string) (migrate.Path, error) {
	path := migrate.Path(strings.Trim(text, "/"))
	for _, part := range path.Parts() {
		if part == "" {
			return "", fmt.Errorf("%q is not a mailbox: a part of it is empty", text)
		}
	}
	if path == "" {
		return "", fmt.Errorf("%q is not a mailbox", text)
	}
	return migrate.NewPath(path.Parts()...), nil
}

func hasControls(text string) bool {
	return strings.ContainsFunc(text, func(r rune) bool { return r < ' ' || r == 0x7f })
}

// isAddress tells whether host is a number; no name has a colon.
func isAddress(host string) bool {
	_, err := netip.ParseAddr(host)
	return err == nil
}

// isLoopback tells whether host is this machine by name or number.
func isLoopback(host string) bool {
	if host == "localhost" {
		return true
	}
	addr, err := netip.ParseAddr(host)
	return err == nil && addr.Unmap().IsLoopback()
}
