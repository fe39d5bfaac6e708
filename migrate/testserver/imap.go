package testserver

import (
	"fmt"
	"os"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/emersion/go-imap/v2"
	"github.com/emersion/go-imap/v2/imapserver"
)

// IMAPOptions tell how an IMAP server in memory is to behave. The functions may be called from many goroutines; an
// answer of theirs is like "NO [OVERQUOTA] no room", and "" lets things go on.
type IMAPOptions struct {
	// Without names capabilities that are not announced; default are those of go-imap's server that IMAP4rev1 can have.
	Without []string
	// RefuseAppend answers the nth APPEND of the server's life, counted from 1, after its literal has been read.
	RefuseAppend func(n int, user, mailbox string) string
	// LoseAppendReply has the nth APPEND carried out, and the connection closed in place of the answer.
	LoseAppendReply func(n int) bool
	// Rewrite gives what the server makes of the octets that are appended to it.
	Rewrite func(octets []byte) []byte
	// RefuseFetch answers a FETCH as a whole when it comes to that message's body.
	RefuseFetch func(user, mailbox string, uid uint32) string
	// RefuseLogin answers a log-in whose password is right.
	RefuseLogin func(user string) string
	AppendLimit uint32 // octets of a message; 0 for go-imap's own limit of 100 MiB
	Faults      Faults
}

// An IMAP is an IMAP server in memory: go-imap's protocol over a store that keeps octets, dates and keywords as they
// were given. Its methods may be called at any time, also while clients are connected, who then learn of the change.
type IMAP struct {
	Server
	opts IMAPOptions
	hub  hub
	imap *imapserver.Server

	mu       sync.Mutex
	users    map[string]*account
	validity uint32 // the last UIDVALIDITY given
	appends  int
	lines    []string
}

// defaultCaps are announced where Without doesn't name them; STARTTLS, IDLE, ENABLE, UNSELECT, SASL-IR and AUTH=PLAIN
// come by themselves.
var defaultCaps = []imap.Cap{imap.CapIMAP4rev1, imap.CapNamespace, imap.CapUIDPlus, imap.CapESearch, imap.CapListExtended,
	imap.CapListStatus, imap.CapMove, imap.CapStatusSize, imap.CapChildren, imap.CapSpecialUse, imap.CapCreateSpecialUse,
	imap.CapLiteralPlus}

// StartIMAP runs an IMAP server in memory until the test ends.
func StartIMAP(tb testing.TB, opts ...IMAPOptions) *IMAP {
	tb.Helper()
	s, err := RunIMAP(only(opts))
	if err != nil {
		tb.Fatal(err)
	}
	stopAfter(tb, &s.Server, nil)
	return s
}

// RunIMAP runs an IMAP server in memory. The caller stops it.
func RunIMAP(opts IMAPOptions) (*IMAP, error) {
	config, err := serverTLS()
	if err != nil {
		return nil, err
	}
	caFile, err := sharedCAFile()
	if err != nil {
		return nil, err
	}
	s := &IMAP{opts: opts, users: make(map[string]*account), validity: 1000}
	caps := make(imap.CapSet)
	for _, c := range defaultCaps {
		if !slices.Contains(opts.Without, string(c)) {
			caps[c] = struct{}{}
		}
	}
	s.imap = imapserver.New(&imapserver.Options{
		NewSession:   s.newSession,
		Caps:         caps,
		Logger:       imapLogger{s},
		TLSConfig:    config,
		InsecureAuth: true,
	})
	s.Name = "imap"
	s.addUser = s.newAccount
	s.log = func() string { return strings.Join(s.Commands(), "\n") }
	s.stop = func() error {
		// The hub waits for what imapserver starts and doesn't wait for.
		return firstError(s.imap.Close(), s.hub.stop(), os.Remove(caFile))
	}
	plain, plainErr := s.hub.listen(opts.Faults, nil)
	secure, secureErr := s.hub.listen(opts.Faults, config)
	if err := firstError(plainErr, secureErr, s.trust(caFile)); err != nil {
		return nil, firstError(err, s.Stop())
	}
	s.IMAPAddr, s.IMAPSAddr = plain.Addr().String(), secure.Addr().String()
	s.hub.wg.Go(func() { s.imap.Serve(plain) })
	s.hub.wg.Go(func() { s.imap.Serve(secure) })
	return s, nil
}

// Commands gives what clients have asked for after log-in, as "user: VERB mailbox", and the library's complaints as
// "! …". SELECT and EXAMINE are told apart; polling and NOOP are left out.
func (s *IMAP) Commands() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.lines)
}

func (s *IMAP) note(format string, args ...any) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.lines = append(s.lines, fmt.Sprintf(format, args...))
}

type imapLogger struct{ s *IMAP }

func (l imapLogger) Printf(format string, args ...any) { l.s.note("! "+format, args...) }

func (s *IMAP) newSession(conn *imapserver.Conn) (imapserver.Session, *imapserver.GreetingData, error) {
	session := &imapSession{server: s, conn: conn}
	if s.opts.AppendLimit > 0 {
		return limitedSession{session}, &imapserver.GreetingData{}, nil
	}
	return session, &imapserver.GreetingData{}, nil
}

// limitedSession makes go-imap announce APPENDLIMIT (RFC 7889) and keep to it.
type limitedSession struct{ *imapSession }

func (l limitedSession) AppendLimit() uint32 { return l.server.opts.AppendLimit }

// refusal makes go-imap's error of an answer such as "NO [OVERQUOTA] no room"; "" is none.
func refusal(answer string) error {
	if answer == "" {
		return nil
	}
	kind, text, _ := strings.Cut(answer, " ")
	e := &imap.Error{Type: imap.StatusResponseType(kind), Text: text}
	if code, rest, ok := strings.Cut(strings.TrimPrefix(text, "["), "] "); ok && strings.HasPrefix(text, "[") {
		e.Code, e.Text = imap.ResponseCode(code), rest
	}
	return e
}

var (
	_ imapserver.SessionIMAP4rev2   = (*imapSession)(nil)
	_ imapserver.SessionAppendLimit = limitedSession{}
)
