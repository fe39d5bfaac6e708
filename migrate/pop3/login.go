package pop3

import (
	"context"
	"crypto/md5"
	"encoding/hex"
	"strings"

	"postcask/migrate"
	"postcask/migrate/wire"
)

// checkAuth refuses what cannot work, before anything is contacted.
func checkAuth(cfg *wire.Config) error {
	if !sendable(cfg.User) || !sendable(cfg.Authzid) {
		return migrate.Errorf(migrate.Misuse, "user %q: a line end or NUL cannot be sent", cfg.User)
	}
	switch auth := strings.ToLower(cfg.Auth); auth {
	case "", "auto", "plain", "login", "cram-md5", "scram-sha-256":
	case "apop", "user":
		if cfg.Authzid != "" {
			return migrate.Errorf(migrate.Misuse, "auth=%s cannot act as another user; auth=plain can", auth)
		}
	default:
		return migrate.Errorf(migrate.Misuse, "auth=%s: POP3 here knows auto, plain, login, cram-md5, scram-sha-256, apop and user", cfg.Auth)
	}
	return nil
}

// sendable tells whether text can stand in a command: anything that ended the line would begin another command.
func sendable(text string) bool { return !strings.ContainsAny(text, "\r\n\x00") }

// isASCII tells whether text is in no doubt about its encoding; USER knows of none.
func isASCII(text string) bool {
	return strings.IndexFunc(text, func(r rune) bool { return r >= 0x80 }) < 0
}

// password gives the secret, and remembers it as one.
func (s *Session) password(ctx context.Context) (string, error) {
	if s.secret == nil {
		return "", migrate.Errorf(migrate.Auth, "there is no password")
	}
	password, err := s.secret(ctx)
	if err != nil {
		return "", err
	}
	if !sendable(password) {
		return "", migrate.Errorf(migrate.Auth, "the password holds a line end or NUL, which cannot be sent")
	}
	if password != "" {
		s.conn.hide = append(s.conn.hide, password)
	}
	return password, nil
}

// login gets in by the strongest way that both sides know. APOP is taken by itself only where the password would go in
// clear otherwise: its digest is too weak to better TLS (CVE-2007-1558). Where only the password itself would do, USER
// and PASS are rather taken than PLAIN if they can go together: that saves two round trips. There is one try: a second
// refusal may lock the account.
func (s *Session) login(ctx context.Context) error {
	switch strings.ToLower(s.cfg.Auth) {
	case "apop":
		return s.apop(ctx)
	case "user":
		return s.userPass(ctx)
	}
	offered := s.capabilities["SASL"]
	instead := s.userPass
	switch {
	case !s.isAuto() || s.cfg.Authzid != "":
	case s.stamp != "" && !s.conn.Secure():
		offered, instead = hashed(offered), s.apop
	case s.can("USER") && s.can("PIPELINING") && len(hashed(offered)) == 0 && isASCII(s.cfg.User):
		return s.userPass(ctx)
	}
	name, client, err := s.cfg.SASL(ctx, s.conn.Secure(), offered)
	switch {
	case err != nil:
		return err
	case name == "":
		return instead(ctx)
	}
	if err := s.unicode(); err != nil {
		return err
	}
	return s.sasl(name, client)
}

// unicode asks for mail as it is (RFC 6856, section 2.1, which has it before the log-in): without it Courier wraps
// messages with raw UTF-8 headers in others of its own making. A server that refuses it after all gives what it gives.
func (s *Session) unicode() error {
	if !s.can("UTF8") {
		return nil
	}
	_, err := s.command("UTF8")
	if isRefusal(err) {
		return nil
	}
	return err
}

func (s *Session) isAuto() bool { return s.cfg.Auth == "" || strings.EqualFold(s.cfg.Auth, "auto") }

// hashed leaves the mechanisms that do not show the password.
func hashed(offered []string) []string {
	var safe []string
	for _, name := range offered {
		if name == wire.ScramSHA256 || name == wire.CramMD5 {
			safe = append(safe, name)
		}
	}
	return safe
}

// userPass is RFC 1939, section 7. Nothing follows PASS before it is answered: Courier hands the connection to another
// program then and loses what was sent ahead.
func (s *Session) userPass(ctx context.Context) error {
	if err := s.cfg.Exposed(s.conn.Secure()); err != nil {
		return err
	}
	password, err := s.password(ctx)
	if err != nil {
		return err
	}
	if s.can("PIPELINING") {
		lines := []string{"USER " + s.cfg.User, "PASS " + password}
		if s.can("UTF8") {
			lines = append([]string{"UTF8"}, lines...)
		}
		if err := s.say(lines...); err != nil {
			return err
		}
	}
	if err := s.unicode(); err != nil {
		return err
	}
	if _, err := s.refusable(migrate.Auth, "USER", s.cfg.User); err != nil {
		return err
	}
	_, err = s.refusable(migrate.Auth, "PASS", password)
	return err
}

// apop is RFC 1939, section 7.
func (s *Session) apop(ctx context.Context) error {
	if s.stamp == "" {
		return migrate.Errorf(migrate.Auth, "the server does not offer APOP: there is no stamp in its greeting")
	}
	password, err := s.password(ctx)
	if err != nil {
		return err
	}
	digest := md5.Sum([]byte(s.stamp + password))
	proof := hex.EncodeToString(digest[:])
	s.conn.hide = append(s.conn.hide, proof) // the password can be guessed from it at leisure
	if err := s.unicode(); err != nil {
		return err
	}
	_, err = s.refusable(migrate.Auth, "APOP", s.cfg.User, proof)
	return err
}
