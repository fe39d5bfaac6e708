package imap

import (
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/emersion/go-sasl"

	"postcask/migrate"
	"postcask/migrate/wire"
)

const saslRounds = 8 // the longest mechanism needs three

// logIn authenticates once: a server that refuses is not asked again another way, since each refusal may count towards
// a lock-out. Referrals (RFC 2221) are never followed.
func (s *Session) logIn(ctx context.Context) error {
	cfg := s.config()
	offered := s.offered()
	var name string
	var client sasl.Client
	if !s.wantsLogin(offered) {
		var err error
		if name, client, err = cfg.SASL(ctx, s.conn.Secure(), offered); err != nil {
			return err
		}
	}
	hasIR, disabled := s.has("SASL-IR"), s.has("LOGINDISABLED")
	s.caps = nil // those of an authenticated session may be others
	if client != nil {
		return s.authenticate(name, client, hasIR)
	}
	return s.login(ctx, disabled)
}

// config is the account's, with a password that is hidden once it is known.
func (s *Session) config() *wire.Config {
	cfg := s.acct.cfg
	if ask := cfg.Password; ask != nil {
		cfg.Password = func(ctx context.Context) (string, error) {
			password, err := ask(ctx)
			quoted, _ := quote(password)
			s.in.hide(password, strings.Trim(quoted, `"`))
			return password, err
		}
	}
	return &cfg
}

// wantsLogin tells that the user asks for LOGIN, and the server has just the command and not the mechanism.
func (s *Session) wantsLogin(offered []string) bool {
	return strings.EqualFold(s.acct.cfg.Auth, "login") && !s.has("LOGINDISABLED") && !slices.Contains(offered, "LOGIN")
}

// authenticate runs AUTHENTICATE (RFC 9051, section 6.2.2; initial responses as RFC 4959 has them).
func (s *Session) authenticate(name string, client sasl.Client, hasIR bool) error {
	_, initial, err := client.Start()
	if err != nil {
		return &migrate.Error{Kind: migrate.Auth, Err: err}
	}
	tag, line := s.newTag(), "AUTHENTICATE "+name
	s.conn.Trace("C", tag+" "+line)
	if initial != nil {
		s.in.hide(encodeSASL(initial))
	}
	if initial != nil && hasIR {
		line += " " + encodeSASL(initial)
		initial = nil
	}
	if err := s.send(tag + " " + line + "\r\n"); err != nil {
		return err
	}
	for range saslRounds {
		resp, err := s.readFor(tag)
		if err != nil {
			return err
		}
		if resp.tag == tag {
			return s.loggedIn(name, client, resp.status)
		}
		answer := initial
		if initial == nil {
			challenge, err := base64.StdEncoding.DecodeString(strings.TrimSpace(resp.status.text))
			if err != nil {
				return migrate.Errorf(migrate.Unavailable, "%s: the server's challenge is not base64", name)
			}
			if answer, err = client.Next(challenge); err != nil {
				if migrate.KindOf(err) == migrate.Failed { // of a mechanism that knows nothing of kinds
					err = migrate.Errorf(migrate.Auth, "%s: %w", name, err)
				}
				return err // the exchange is left as it is: the connection is closed
			}
		}
		initial = nil
		s.in.hide(base64.StdEncoding.EncodeToString(answer))
		if err := s.send(base64.StdEncoding.EncodeToString(answer) + "\r\n"); err != nil {
			return err
		}
	}
	return migrate.Errorf(migrate.Auth, "%s: the server asks without end", name)
}

func encodeSASL(octets []byte) string {
	if len(octets) == 0 {
		return "="
	}
	return base64.StdEncoding.EncodeToString(octets)
}

func (s *Session) loggedIn(how string, client sasl.Client, st status) error {
	if err := refusedLogin(how, st); err != nil {
		return err
	}
	if client != nil && !wire.Verified(client) {
		return migrate.Errorf(migrate.Auth, "%s: the server has not shown that it knows the password", how)
	}
	return nil
}

func refusedLogin(how string, st status) error {
	if st.ok() {
		return nil
	}
	if plea, ok := wire.PleaOf(st.code, st.text, true); ok {
		return plea.Error(fmt.Errorf("no log-in for now: %s", st))
	}
	return &migrate.Error{Kind: migrate.Auth, Err: fmt.Errorf("log-in refused (%s): %s", how, st),
		Hint: "check user and password; many providers want a password made for one application"}
}

// login runs LOGIN (RFC 9051, section 6.2.3). What cannot stand between quotes goes as a literal, always a
// synchronising one: its octets are sent when the server has asked for them.
func (s *Session) login(ctx context.Context, disabled bool) error {
	cfg := s.config()
	switch {
	case disabled:
		return migrate.Errorf(migrate.Auth, "the server has no way of log-in that we know (LOGIN is disabled)")
	case cfg.Authzid != "":
		return migrate.Errorf(migrate.Auth, "LOGIN cannot act as another user")
	}
	if err := cfg.Exposed(s.conn.Secure()); err != nil {
		return err
	}
	password, err := cfg.Password(ctx)
	if err != nil {
		return err
	}
	if strings.ContainsAny(cfg.User+password, "\x00\r\n") {
		return &migrate.Error{Kind: migrate.Auth, Err: errors.New("user or password holds a line break or NUL, which IMAP cannot carry")}
	}
	tag := s.newTag()
	s.conn.Trace("C", tag+" LOGIN …")
	line := tag + " LOGIN"
	for _, arg := range []string{cfg.User, password} {
		if quoted, ok := quote(arg); ok && isASCII(arg) {
			line += " " + quoted
			continue
		}
		if err := s.send(fmt.Sprintf("%s {%d}\r\n", line, len(arg))); err != nil {
			return err
		}
		resp, err := s.readFor(tag)
		if err != nil {
			return err
		}
		if resp.tag == tag {
			return refusedLogin("LOGIN", resp.status)
		}
		line = arg
	}
	if err := s.send(line + "\r\n"); err != nil {
		return err
	}
	for {
		resp, err := s.readFor(tag)
		if err != nil {
			return err
		}
		if resp.tag == tag {
			return s.loggedIn("LOGIN", nil, resp.status)
		}
	}
}

func isASCII(s string) bool {
	for i := range len(s) {
		if s[i] >= 0x80 {
			return false
		}
	}
	return true
}

// readFor reads up to the response tagged tag or a request to go on.
func (s *Session) readFor(tag string) (*response, error) {
	for {
		resp, err := s.read()
		if err != nil {
			return nil, err
		}
		if resp.tag == tag {
			s.learnCode(resp.status)
			return resp, nil
		}
		if resp.tag == "+" {
			return resp, nil
		}
		if err := s.note(resp); err != nil {
			return nil, err
		}
	}
}
