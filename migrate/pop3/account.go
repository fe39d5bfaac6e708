package pop3

import (
	"context"
	"errors"
	"fmt"
	"strings"

	gopop3 "github.com/knadh/go-pop3"

	"postcask/migrate"
	"postcask/migrate/wire"
)

// An Account is a POP3 maildrop and the way to it. It may be used by several goroutines.
type Account struct {
	cfg       wire.Config
	endless   endless
	farewells farewells
}

// New makes an Account. Nothing is contacted.
func New(cfg wire.Config) *Account { return &Account{cfg: cfg, endless: endless{most: mostOctets}} }

// Open connects and logs in. STLS (RFC 2595, section 4) is required where cfg.TLS is wire.StartTLS. Errors are of kind
// Misuse before anything was contacted, Unsafe where TLS cannot be had or trusted, Auth where the log-in is refused,
// Unavailable where another try may help.
func (a *Account) Open(ctx context.Context) (*Session, error) {
	cfg := a.cfg
	if err := checkAuth(&cfg); err != nil {
		return nil, err
	}
	a.farewells.wait(ctx)
	w, err := wire.Dial(ctx, &cfg)
	if err != nil {
		return nil, err
	}
	s := &Session{cfg: cfg, conn: newConn(w, cfg.Log != nil), endless: &a.endless, farewells: &a.farewells}
	s.cfg.Password = s.password
	s.secret = a.cfg.Password
	if err := s.begin(ctx); err != nil {
		w.Close()
		return nil, err
	}
	return s, nil
}

// begin takes the session from the greeting to the TRANSACTION state.
func (s *Session) begin(ctx context.Context) error {
	stop := s.conn.Watch(ctx)
	defer stop()
	if err := s.greet(); err != nil {
		return err
	}
	if s.cfg.TLS == wire.StartTLS {
		if err := s.startTLS(ctx); err != nil {
			return err
		}
	}
	if err := s.askCapabilities(); err != nil {
		return err
	}
	if err := s.login(ctx); err != nil {
		return err
	}
	if s.can("PIPELINING") && s.can("UIDL") {
		return nil // what was announced before the log-in holds after it too (RFC 2449, section 5), and this is all we need
	}
	return s.askCapabilities() // there may be more now
}

// greet reads the greeting and keeps the stamp for APOP that it may hold (RFC 1939, section 7).
func (s *Session) greet() error {
	s.conn.SetBusy(true)
	defer s.conn.SetBusy(false)
	var err error
	s.client, err = gopop3.New(gopop3.Opt{Host: s.cfg.Host, Port: s.cfg.Port, Dialer: s.conn}).NewConn()
	if broken := s.conn.Err(); broken != nil {
		return fmt.Errorf("greeting: %w", broken)
	}
	text, refusal, bad := s.conn.judge("", s.conn.last)
	switch {
	case bad != nil:
		return fmt.Errorf("greeting: %w", bad)
	case refusal != nil:
		return fmt.Errorf("greeting: %w", refusal.as(migrate.Unavailable))
	case err != nil: // a +OK that go-pop3 does not know as one: it gave us no connection to go on with
		return fmt.Errorf("greeting: %w", s.conn.failed(fmt.Errorf("not as RFC 1939 has it: %q", wire.Clean(text))))
	}
	if from, to := strings.IndexByte(text, '<'), strings.LastIndexByte(text, '>'); from >= 0 && to > from && strings.Contains(text[from:to], "@") {
		s.stamp = text[from : to+1]
	}
	return nil
}

// startTLS makes the connection secure or ends it.
func (s *Session) startTLS(ctx context.Context) error {
	if err := s.nothingInClear(); err != nil {
		return err
	}
	if _, err := s.command("STLS"); err != nil {
		if isRefusal(err) && migrate.KindOf(err) != migrate.Unavailable {
			return &migrate.Error{Kind: migrate.Unsafe, Err: fmt.Errorf("the server has no TLS here: %w", err),
				Hint: "pop3s:// asks for TLS from the first octet, on port 995"}
		}
		return err
	}
	if err := s.nothingInClear(); err != nil {
		return err
	}
	s.conn.SetBusy(true)
	defer s.conn.SetBusy(false)
	if err := s.conn.StartTLS(ctx); err != nil {
		return err
	}
	if !s.conn.Secure() {
		return s.conn.failed(migrate.Errorf(migrate.Unsafe, "the connection is not secure after STLS"))
	}
	return nil
}

// nothingInClear sees that what was received before TLS ends with the answer that was awaited: more would be taken for
// answers that came over TLS.
func (s *Session) nothingInClear() error {
	if n := s.conn.in.Buffered(); n > 0 {
		return s.conn.failed(migrate.Errorf(migrate.Unsafe, "%d octets came unasked before TLS: somebody may be meddling with the connection", n))
	}
	return nil
}

// capabilityLimit is far above what any server has to tell.
const capabilityLimit = 1000

// askCapabilities asks what the server can do (RFC 2449, section 5). One that does not know the question keeps the
// answer it gave before, or can nothing special.
func (s *Session) askCapabilities() error {
	told := map[string][]string{}
	err := s.list("CAPA", capabilityLimit, func(line []byte) {
		if words := strings.Fields(strings.ToUpper(string(line))); len(words) > 0 {
			told[words[0]] = words[1:]
		}
	})
	switch {
	case err == nil:
		s.capabilities = told
		return nil
	case isRefusal(err):
		return nil
	}
	return err
}

func (s *Session) can(capability string) bool {
	_, ok := s.capabilities[capability]
	return ok
}

func isRefusal(err error) bool {
	_, ok := errors.AsType[*Refusal](err)
	return ok
}
