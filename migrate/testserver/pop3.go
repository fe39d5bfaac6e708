package testserver

import (
	"crypto/md5"
	"encoding/hex"
	"fmt"
	"net"
	"os"
	"slices"
	"strings"
	"sync"
	"testing"
)

// POP3Options tell how a POP3 server in memory is to behave. The zero value does all that RFC 1939, 2449, 2595 and 5034
// have for a client that reads mail.
type POP3Options struct {
	Without []string // commands and capabilities that are refused and not announced: "UIDL", "TOP", "CAPA", "APOP", "STLS", "AUTH", "PIPELINING"
	// UIDL gives a message's unique id; default is a string made of a running number.
	UIDL func(user string, n int, octets []byte) string
	// Size gives what LIST and STAT tell of a message; default is the truth.
	Size func(octets []byte) int
	// Refuse may return a line such as "-ERR [SYS/TEMP] later", which then answers the command; "" lets it through.
	Refuse func(user, command string) string
	Faults Faults
}

// A POP3 is a POP3 server in memory. Deliver and its other methods may be called at any time, also while clients are
// connected; a session sees the messages that were there when it logged in.
type POP3 struct {
	Server
	opts POP3Options
	hub  hub

	mu    sync.Mutex
	users map[string]*maildrop
	last  int      // running number of the last delivery
	lines []string // commands received, without passwords
}

// A POP3Message is a message in a maildrop.
type POP3Message struct {
	UIDL   string
	Octets []byte // as delivered; RETR adds CRLF at the end where it lacks (RFC 1939, section 3)
}

type maildrop struct {
	password string
	messages []POP3Message
}

// StartPOP3 runs a POP3 server in memory until the test ends.
func StartPOP3(tb testing.TB, opts ...POP3Options) *POP3 {
	tb.Helper()
	p, err := RunPOP3(only(opts))
	if err != nil {
		tb.Fatal(err)
	}
	stopAfter(tb, &p.Server, nil)
	return p
}

// RunPOP3 runs a POP3 server in memory. The caller stops it.
func RunPOP3(opts POP3Options) (*POP3, error) {
	p := &POP3{opts: opts, users: make(map[string]*maildrop)}
	config, err := serverTLS()
	if err != nil {
		return nil, err
	}
	caFile, err := sharedCAFile()
	if err != nil {
		return nil, err
	}
	p.Name = "pop3"
	p.addUser = func(name, password string) error {
		p.mu.Lock()
		defer p.mu.Unlock()
		if p.users[name] != nil {
			return os.ErrExist
		}
		p.users[name] = &maildrop{password: password}
		return nil
	}
	p.log = func() string { return strings.Join(p.Commands(), "\n") }
	p.stop = func() error { return firstError(p.hub.stop(), os.Remove(caFile)) }
	plain, plainErr := p.hub.listen(opts.Faults, nil)
	secure, secureErr := p.hub.listen(opts.Faults, config)
	if err := firstError(plainErr, secureErr, p.trust(caFile)); err != nil {
		return nil, firstError(err, p.Stop())
	}
	p.POP3Addr, p.POP3SAddr = plain.Addr().String(), secure.Addr().String()
	p.hub.serve(plain, func(conn net.Conn) { p.session(conn, config) })
	p.hub.serve(secure, func(conn net.Conn) { p.session(conn, nil) })
	return p, nil
}

// Deliver puts a message at the end of a user's maildrop and gives its unique id. The user must have been added.
func (p *POP3) Deliver(user string, octets []byte) string {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.last++
	uidl := fmt.Sprintf("%08x", p.last)
	drop := p.users[user]
	if p.opts.UIDL != nil {
		uidl = p.opts.UIDL(user, len(drop.messages)+1, octets)
	}
	drop.messages = append(drop.messages, POP3Message{UIDL: uidl, Octets: slices.Clone(octets)})
	return uidl
}

// Remove takes the message with this unique id out of a user's maildrop, as another client would.
func (p *POP3) Remove(user, uidl string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	drop := p.users[user]
	drop.messages = slices.DeleteFunc(drop.messages, func(m POP3Message) bool { return m.UIDL == uidl })
}

// Messages gives what a user's maildrop holds now.
func (p *POP3) Messages(user string) []POP3Message {
	p.mu.Lock()
	defer p.mu.Unlock()
	return slices.Clone(p.users[user].messages)
}

// Commands gives the commands that all clients have sent up to now, without what follows PASS, APOP and AUTH.
func (p *POP3) Commands() []string {
	p.mu.Lock()
	defer p.mu.Unlock()
	return slices.Clone(p.lines)
}

func (p *POP3) offers(what string) bool { return !slices.Contains(p.opts.Without, what) }

// logIn checks a password and gives the maildrop's messages.
func (p *POP3) logIn(user string, right func(password string) bool) ([]POP3Message, bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	drop := p.users[user]
	if drop == nil || !right(drop.password) {
		return nil, false
	}
	return slices.Clone(drop.messages), true
}

// delete carries out what a session has marked, once it is in the UPDATE state (RFC 1939, section 6).
func (p *POP3) delete(user string, marked []POP3Message) {
	p.mu.Lock()
	defer p.mu.Unlock()
	drop := p.users[user]
	for _, gone := range marked {
		i := slices.IndexFunc(drop.messages, func(m POP3Message) bool {
			return m.UIDL == gone.UIDL && len(m.Octets) == len(gone.Octets) && (len(m.Octets) == 0 || &m.Octets[0] == &gone.Octets[0])
		})
		if i >= 0 {
			drop.messages = slices.Delete(drop.messages, i, i+1)
		}
	}
}

func (p *POP3) note(command string) {
	verb, _, _ := strings.Cut(command, " ")
	switch verb = strings.ToUpper(verb); verb {
	case "PASS", "APOP", "AUTH":
		command = verb + " …"
	}
	p.mu.Lock()
	p.lines = append(p.lines, command)
	p.mu.Unlock()
}

// apopDigest is APOP's answer to a greeting's time stamp (RFC 1939, section 7).
func apopDigest(stamp, password string) string {
	digest := md5.Sum([]byte(stamp + password))
	return hex.EncodeToString(digest[:])
}
