package imap

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"postcask/migrate"
	"postcask/migrate/wire"
)

// begin has the conversation up to the point where the session is logged in: the greeting (RFC 9051, section 7.1),
// STARTTLS where it is asked for, the capabilities, the log-in. None of it goes through go-imap, which knows neither all of
// the mechanisms nor the order that old servers need: each answer is waited for before the next command is sent.
func (s *Session) begin(ctx context.Context) error {
	greeting, err := s.read()
	if err != nil {
		return err
	}
	if greeting.tag != "*" {
		return noServer("it says %q", wire.Clean(greeting.tag+" "+greeting.word))
	}
	s.learnCode(greeting.status)
	authenticated := false
	switch greeting.word {
	case "OK":
	case "PREAUTH":
		authenticated = true
	case "BYE":
		return greeting.status.farewell("the server turns us away", true)
	default:
		return noServer("it greets with %q", wire.Clean(greeting.word))
	}
	if s.acct.cfg.TLS == wire.StartTLS {
		if authenticated { // there is no STARTTLS behind a log-in: somebody wants us to go on in the clear
			return migrate.Errorf(migrate.Unsafe, "the server calls us logged in before TLS: PREAUTH is refused")
		}
		if err := s.startTLS(ctx); err != nil {
			return err
		}
	}
	if s.acct.cfg.TLS != wire.Plain && !s.conn.Secure() {
		return migrate.Errorf(migrate.Unsafe, "the connection is not secure")
	}
	if len(s.caps) == 0 {
		if err := s.askCapabilities(); err != nil {
			return err
		}
	}
	if !authenticated {
		if err := s.logIn(ctx); err != nil {
			return err
		}
		if len(s.caps) == 0 {
			if err := s.askCapabilities(); err != nil {
				return err
			}
		}
	}
	s.in.most = answerLimit
	s.acct.names.mu.Lock()
	s.acct.names.utf8 = s.has("IMAP4REV2") && !s.has("IMAP4REV1")
	s.acct.names.mu.Unlock()
	return nil
}

// noServer tells that something else listens there, as it will when asked again.
func noServer(format string, args ...any) error {
	return &migrate.Error{Kind: migrate.Unavailable, Advice: migrate.Never, Err: fmt.Errorf("this is no IMAP server: "+format, args...),
		Hint: "see whether host and port are those of the IMAP service"}
}

// startTLS switches to TLS (RFC 9051, section 6.2.1). What was said in the clear does not count afterwards, and
// anything that lies in the buffer at the switch was put there by somebody else than the server.
func (s *Session) startTLS(ctx context.Context) error {
	if len(s.caps) == 0 {
		if err := s.askCapabilities(); err != nil {
			return err
		}
	}
	if !s.has("STARTTLS") {
		return &migrate.Error{Kind: migrate.Unsafe, Err: fmt.Errorf("the server offers no STARTTLS, and without TLS there is no log-in"),
			Hint: "try imaps:// (TLS from the start, port 993)"}
	}
	if s.in.br.Buffered() > 0 {
		return migrate.Errorf(migrate.Unsafe, "the server speaks before it is asked: somebody may be in the way")
	}
	st, err := s.simple("STARTTLS", nil)
	if err != nil {
		return err
	}
	if !st.ok() {
		return migrate.Errorf(migrate.Unsafe, "STARTTLS is refused: %s", st)
	}
	if s.in.br.Buffered() > 0 {
		return migrate.Errorf(migrate.Unsafe, "something was put in front of the TLS handshake: somebody is in the way")
	}
	s.conn.SetBusy(true)
	defer s.conn.SetBusy(false)
	if err := s.conn.StartTLS(ctx); err != nil {
		return err
	}
	s.in = newReader(s.busy)
	s.caps = nil
	return nil
}

// askCapabilities sends CAPABILITY (RFC 9051, section 6.1.1).
func (s *Session) askCapabilities() error {
	st, err := s.simple("CAPABILITY", nil)
	if err == nil && !st.ok() {
		err = migrate.Errorf(migrate.Unavailable, "CAPABILITY is refused: %s", st)
	}
	return err
}

// setCapabilities takes a list of capabilities, from wherever it came.
func (s *Session) setCapabilities(words []string) {
	s.caps = make(map[string]string, len(words))
	for _, word := range words {
		name, value, _ := strings.Cut(strings.ToUpper(word), "=")
		s.caps[strings.ToUpper(word)] = ""
		if value != "" && name != "AUTH" {
			s.caps[name] = value
		}
	}
	if s.has("IMAP4REV2") && !s.has("IMAP4REV1") { // these are part of it (RFC 9051, appendix E)
		for _, name := range []string{"NAMESPACE", "UIDPLUS", "LIST-EXTENDED", "LIST-STATUS", "SPECIAL-USE", "ESEARCH", "LITERAL-", "SASL-IR"} {
			s.caps[name] = ""
		}
	}
}

// has tells whether the server has a capability, given in capitals.
func (s *Session) has(name string) bool {
	_, ok := s.caps[name]
	return ok
}

// offered gives the mechanisms of SASL that the server has (RFC 9051, section 6.2.2).
func (s *Session) offered() []string {
	var names []string
	for word := range s.caps {
		if name, ok := strings.CutPrefix(word, "AUTH="); ok {
			names = append(names, name)
		}
	}
	slices.Sort(names)
	return names
}
