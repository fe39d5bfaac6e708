package pop3

import (
	"bytes"
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"strings"
	"testing"

	"github.com/xdg-go/scram"

	"postcask/migrate"
	"postcask/migrate/wire"
)

// capa is the answer to CAPA.
func capa(lines ...string) string {
	return "s: +OK\r\n" + strings.Join(append(lines, "."), "\r\n") + "\r\n"
}

func b64(text string) string { return base64.StdEncoding.EncodeToString([]byte(text)) }

const noCapa, inCapa, outCapa = "S: -ERR what?", "C: CAPA", "S: -ERR no"

func TestLogin(t *testing.T) {
	for name, c := range map[string]struct {
		auth, authzid string
		script        []string
	}{
		"USER and PASS, no CAPA": {"auto", "", []string{
			"S: +OK", inCapa, noCapa, "C: USER me", "S: +OK", "C: PASS secret", "S: +OK", inCapa, outCapa}},
		"user by name though PLAIN is offered": {"user", "", []string{
			"S: +OK", inCapa, capa("SASL PLAIN"), "C: USER me", "S: +OK", "C: PASS secret", "S: +OK", inCapa, outCapa}},
		"statuses in lower case": {"user", "", []string{
			"S: +OK", inCapa, noCapa, "C: USER me", "S: +ok", "C: PASS secret", "S: +Ok fine", inCapa, outCapa}},
		"UTF8 before USER": {"user", "", []string{
			"S: +OK", inCapa, capa("UTF8 USER"), "C: UTF8", "S: +OK", "C: USER me", "S: +OK", "C: PASS secret", "S: +OK", inCapa, outCapa}},
		"UTF8 refused": {"user", "", []string{
			"S: +OK", inCapa, capa("UTF8"), "C: UTF8", "S: -ERR", "C: USER me", "S: +OK", "C: PASS secret", "S: +OK", inCapa, outCapa}},
		"APOP by name": {"apop", "", []string{
			"S: +OK POP3 server ready <1896.697170952@example.org>", inCapa, noCapa,
			"C: APOP me a5c2ca3ee9bfeb6566fd90dc8b8d9386", "S: +OK", inCapa, outCapa}},
		"APOP in clear rather than the password": {"auto", "", []string{
			"S: +OK POP3 server ready <1896.697170952@example.org>", inCapa, capa("SASL PLAIN LOGIN"),
			"C: APOP me a5c2ca3ee9bfeb6566fd90dc8b8d9386", "S: +OK", inCapa, outCapa}},
		"USER and PASS in one flight": {"auto", "", []string{
			"S: +OK", inCapa, capa("USER", "PIPELINING", "UIDL", "SASL PLAIN LOGIN"), "C: USER me", "C: PASS secret", "s: +OK\r\n+OK\r\n"}},
		"UTF8, USER and PASS in one flight": {"user", "", []string{
			"S: +OK", inCapa, capa("PIPELINING", "UTF8"), "C: UTF8", "C: USER me", "C: PASS secret", "s: -ERR\r\n+OK\r\n+OK\r\n", inCapa, outCapa}},
		"UTF8 before AUTH": {"plain", "", []string{
			"S: +OK", inCapa, capa("PIPELINING", "UIDL", "USER", "UTF8", "SASL PLAIN"), "C: UTF8", "S: +OK", "C: AUTH PLAIN", "S: + ", "C: " + b64("\x00me\x00secret"), "S: +OK"}},
		"a better way than the password, though that would be quicker": {"auto", "", []string{
			"S: +OK", inCapa, capa("PIPELINING", "UIDL", "USER", "SASL PLAIN CRAM-MD5"), "C: AUTH CRAM-MD5", "S: + " + b64("<1@example.org>"),
			"C: " + b64("me fede8acebc446f2cbc9a7f274d009f92"), "S: +OK"}},
		"PLAIN": {"auto", "", []string{
			"S: +OK", inCapa, capa("sasl LOGIN PLAIN"), "C: AUTH PLAIN", "S: + ", "C: " + b64("\x00me\x00secret"), "S: +OK", inCapa, outCapa}},
		"PLAIN with a bare plus": {"plain", "", []string{
			"S: +OK", inCapa, capa("SASL PLAIN"), "C: AUTH PLAIN", "S: +", "C: " + b64("\x00me\x00secret"), "S: +OK", inCapa, outCapa}},
		"PLAIN to act as another": {"auto", "boss", []string{
			"S: +OK <1@example.org>", inCapa, capa("SASL CRAM-MD5 PLAIN"), "C: AUTH PLAIN", "S: +", "C: " + b64("boss\x00me\x00secret"), "S: +OK", inCapa, outCapa}},
		"LOGIN": {"login", "", []string{
			"S: +OK", inCapa, capa("SASL LOGIN"), "C: AUTH LOGIN", "S: + " + b64("Username:"), "C: " + b64("me"),
			"S: + " + b64("Password:"), "C: " + b64("secret"), "S: +OK", inCapa, outCapa}},
		"CRAM-MD5": {"auto", "", []string{
			"S: +OK <1@example.org>", inCapa, capa("SASL PLAIN CRAM-MD5"), "C: AUTH CRAM-MD5", "S: + " + b64("<1@example.org>"),
			"C: " + b64("me fede8acebc446f2cbc9a7f274d009f92"), "S: +OK", inCapa, outCapa}},
	} {
		t.Run(name, func(t *testing.T) {
			cfg, _ := serve(t, func(s *server) error { return s.play(append(c.script, "C: QUIT", "S: +OK", "END")...) })
			cfg.Auth, cfg.Authzid = c.auth, c.authzid
			s := openAt(t, cfg)
			if err := s.Close(); err != nil {
				t.Error(err)
			}
		})
	}
}

func TestLoginScram(t *testing.T) {
	for name, lie := range map[string]bool{"an honest server": false, "one that does not prove itself": true} {
		t.Run(name, func(t *testing.T) {
			cfg, _ := serve(t, func(s *server) error { return playScram(s, lie) })
			cfg.Auth = "auto"
			s, err := New(cfg).Open(t.Context())
			if lie {
				if migrate.KindOf(err) != migrate.Unsafe {
					t.Fatalf("got %v, want one of kind Unsafe", err)
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			s.Close()
		})
	}
}

func playScram(s *server, lie bool) error {
	client, err := scram.SHA256.NewClient("me", "secret", "")
	if err != nil {
		return err
	}
	stored, err := client.GetStoredCredentialsWithError(scram.KeyFactors{Salt: "salt", Iters: 4096})
	if err != nil {
		return err
	}
	checker, err := scram.SHA256.NewServer(func(string) (scram.StoredCredentials, error) { return stored, nil })
	if err != nil {
		return err
	}
	if err := s.play("S: +OK", inCapa, capa("SASL PLAIN SCRAM-SHA-256"), "C: AUTH SCRAM-SHA-256", "S: +"); err != nil {
		return err
	}
	conversation := checker.NewConversation()
	for range 2 {
		line, err := s.hear()
		if err != nil {
			return err
		}
		said, err := base64.StdEncoding.DecodeString(line)
		if err != nil {
			return err
		}
		answer, err := conversation.Step(string(said))
		if err != nil {
			return err
		}
		if lie && conversation.Valid() {
			return s.play("S: +OK come in", "END")
		}
		if err := s.say("+ " + b64(answer) + "\r\n"); err != nil {
			return err
		}
	}
	return s.play("C: ", "S: +OK", inCapa, outCapa, "C: QUIT", "S: +OK", "END")
}

func TestLoginRefused(t *testing.T) {
	until := []string{"S: +OK", inCapa, noCapa, "C: USER me"}
	with := func(more ...string) []string { return append(append([]string{}, until...), append(more, "END")...) }
	for name, c := range map[string]struct {
		script []string
		kind   migrate.Kind
		words  string
	}{
		"password":       {with("S: +OK", "C: PASS secret", "S: -ERR no way"), migrate.Auth, "PASS: -ERR no way"},
		"password, AUTH": {with("S: +OK", "C: PASS secret", "S: -ERR [AUTH] no"), migrate.Auth, "PASS: -ERR [AUTH] no"},
		"user":           {with("S: -ERR sorry"), migrate.Auth, "USER: -ERR sorry"},
		"user, in one flight": {[]string{"S: +OK", inCapa, capa("USER", "PIPELINING"), "C: USER me", "C: PASS secret", "S: -ERR sorry", "S: -ERR whose?", "END"},
			migrate.Auth, "USER: -ERR sorry"},
		"in use":                  {with("S: +OK", "C: PASS secret", "S: -ERR [in-use] locked"), migrate.Unavailable, "[IN-USE] locked"},
		"login delay":             {with("S: +OK", "C: PASS secret", "S: -ERR [LOGIN-DELAY] slow"), migrate.Unavailable, "[LOGIN-DELAY]"},
		"temporary":               {with("S: +OK", "C: PASS secret", "S: -ERR [SYS/TEMP] disk"), migrate.Unavailable, "[SYS/TEMP]"},
		"permanent":               {with("S: +OK", "C: PASS secret", "S: -ERR [SYS/PERM] gone"), migrate.Failed, "[SYS/PERM]"},
		"code without a space":    {with("S: +OK", "C: PASS secret", "S: -ERR[SYS/TEMP]x"), migrate.Unavailable, "[SYS/TEMP] x"},
		"the password comes back": {with("S: +OK", "C: PASS secret", "S: -ERR bad command: PASS secret"), migrate.Auth, "bad command: PASS ***"},
		"terminal escapes":        {with("S: -ERR \x1b[2Jx"), migrate.Auth, `-ERR \x1b[2Jx`},
		"greeting":                {[]string{"S: -ERR too busy", "END"}, migrate.Unavailable, "greeting: -ERR too busy"},
		"empty greeting":          {[]string{"S: ", "END"}, migrate.Unavailable, "greeting"},
		"a greeting of IMAP":      {[]string{"S: * OK IMAP4rev1", "END"}, migrate.Unavailable, "neither +OK nor -ERR"},
		"empty line for +OK":      {with("S: ", "END"), migrate.Unavailable, "neither +OK nor -ERR"},
		"hang-up in greeting":     {[]string{"s: +O"}, migrate.Unavailable, "greeting"},
		"hang-up after USER":      {until, migrate.Unavailable, "closed the connection"},
		"endless line":            {[]string{"s: +OK " + strings.Repeat("x", 2*bufferSize), "END"}, migrate.Unavailable, "more than 8192 octets"},
		"endless CAPA":            {[]string{"S: +OK", inCapa, "s: +OK\r\n" + strings.Repeat("X\r\n", capabilityLimit+1), "END"}, migrate.Unavailable, "more than 1000 lines"},
	} {
		t.Run(name, func(t *testing.T) {
			cfg, _ := serve(t, func(s *server) error { return s.play(c.script...) })
			_, err := New(cfg).Open(t.Context())
			if err == nil || migrate.KindOf(err) != c.kind || !strings.Contains(err.Error(), c.words) {
				t.Errorf("got kind %d: %v; want kind %d, with %q", migrate.KindOf(err), err, c.kind, c.words)
			}
			if err != nil && strings.Contains(err.Error(), "secret") {
				t.Errorf("the error shows the password: %v", err)
			}
		})
	}
}

// What would end a command's line, and begin another command, is never sent.
func TestNoCommandInjection(t *testing.T) {
	for name, c := range map[string]struct {
		user, password string
		kind           migrate.Kind
	}{
		"user":     {"me\r\nDELE 1", "secret", migrate.Misuse},
		"NUL":      {"me\x00", "secret", migrate.Misuse},
		"password": {"me", "secret\r\nDELE 1", migrate.Auth},
		"LF":       {"me", "a\nb", migrate.Auth},
	} {
		for _, auth := range []string{"user", "plain"} {
			t.Run(name+" "+auth, func(t *testing.T) {
				cfg, server := serve(t, func(s *server) error { return s.play("S: +OK", inCapa, capa("SASL PLAIN"), "END") })
				cfg.User, cfg.Auth = c.user, auth
				cfg.Password = func(context.Context) (string, error) { return c.password, nil }
				_, err := New(cfg).Open(t.Context())
				if migrate.KindOf(err) != c.kind {
					t.Errorf("got %v, want kind %d", err, c.kind)
				}
				if got := server.inClear(); got != "" && got != "CAPA\r\n" {
					t.Errorf("the server got %q", got)
				}
			})
		}
	}
}

func TestMisuse(t *testing.T) {
	for name, change := range map[string]func(*wire.Config){
		"unknown way":          func(cfg *wire.Config) { cfg.Auth = "xoauth2" },
		"USER as another user": func(cfg *wire.Config) { cfg.Auth, cfg.Authzid = "user", "boss" },
		"APOP as another user": func(cfg *wire.Config) { cfg.Auth, cfg.Authzid = "apop", "boss" },
	} {
		t.Run(name, func(t *testing.T) {
			cfg := wire.Config{Host: "127.0.0.1", Port: 1, User: "me"}
			change(&cfg)
			if _, err := New(cfg).Open(t.Context()); migrate.KindOf(err) != migrate.Misuse {
				t.Errorf("got %v, want kind Misuse", err)
			}
		})
	}
}

func TestSASLTrouble(t *testing.T) {
	for name, c := range map[string]struct {
		script []string
		words  string
	}{
		"refused at once":      {[]string{"C: AUTH LOGIN", "S: -ERR not here", "END"}, "AUTH: -ERR not here"},
		"no base64":            {[]string{"C: AUTH LOGIN", "S: + !!", "C: *", "S: -ERR cancelled", "END"}, "no base64"},
		"asks for too much":    {[]string{"C: AUTH LOGIN", "S: +", "C: " + b64("me"), "S: +", "C: " + b64("secret"), "S: +", "C: *", "S: -ERR", "END"}, "more than user and password"},
		"answer comes back":    {[]string{"C: AUTH LOGIN", "S: +", "C: " + b64("me"), "S: +", "C: " + b64("secret"), "S: -ERR what is " + b64("secret"), "END"}, "what is ***"},
		"garbage in between":   {[]string{"C: AUTH LOGIN", "S: hello", "END"}, "neither +OK nor -ERR"},
		"hang-up in the midst": {[]string{"C: AUTH LOGIN", "S: +", "C: " + b64("me")}, "closed the connection"},
	} {
		t.Run(name, func(t *testing.T) {
			cfg, _ := serve(t, func(s *server) error {
				return s.play(append([]string{"S: +OK", inCapa, capa("SASL LOGIN")}, c.script...)...)
			})
			cfg.Auth = "login"
			if _, err := New(cfg).Open(t.Context()); err == nil || !strings.Contains(err.Error(), c.words) {
				t.Errorf("got %v, want %q", err, c.words)
			}
		})
	}
}

// The trace shows the dialogue and no credential, in whatever dress.
func TestTraceHidesSecrets(t *testing.T) {
	for _, auth := range []string{"user", "plain", "login", "apop"} {
		t.Run(auth, func(t *testing.T) {
			cfg, _ := serve(t, func(s *server) error {
				if err := s.play("S: +OK <1@example.org>", inCapa, capa("SASL PLAIN LOGIN")); err != nil {
					return err
				}
				for { // a server that repeats all it hears
					line, err := s.hear()
					switch {
					case err != nil:
						return nil
					case strings.HasPrefix(line, "AUTH"):
						s.say("+ " + b64(line) + "\r\n")
					case line == b64("me"):
						s.say("+\r\n")
					case line == "CAPA" || line == "QUIT":
						s.say("-ERR no\r\n")
					default:
						s.say(fmt.Sprintf("+OK you said %q\r\n", line))
					}
				}
			})
			var trace bytes.Buffer
			cfg.Auth = auth
			cfg.Log = slog.New(slog.NewTextHandler(&trace, &slog.HandlerOptions{Level: slog.LevelDebug}))
			openAt(t, cfg).Close()
			for _, secret := range []string{"secret", b64("secret"), b64("\x00me\x00secret"), "590f21c290d2d727"} {
				if strings.Contains(trace.String(), secret) {
					t.Errorf("the trace shows %q:\n%s", secret, &trace)
				}
			}
			if !strings.Contains(trace.String(), "QUIT") || !strings.Contains(trace.String(), "***") {
				t.Errorf("the trace lacks the dialogue:\n%s", &trace)
			}
		})
	}
}

// Without TLS, or with TLS that is not to be trusted, no credential leaves.
func TestSTLSIsRequired(t *testing.T) {
	injected := func(s *server) error {
		if err := s.play("S: +OK", "C: STLS", "s: +OK go\r\n+OK injected\r\n", "END"); err != nil {
			return err
		}
		return nil
	}
	script := func(steps ...string) func(s *server) error {
		return func(s *server) error { return s.play(steps...) }
	}
	for name, c := range map[string]struct {
		play func(s *server) error
		kind migrate.Kind
	}{
		"refused":                    {script("S: +OK", "C: STLS", "S: -ERR unknown command", "END"), migrate.Unsafe},
		"already logged in, it says": {script("S: +OK welcome me, you are logged in", "C: STLS", "S: -ERR only before the log-in", "END"), migrate.Unsafe},
		"not now":                    {script("S: +OK", "C: STLS", "S: -ERR [SYS/TEMP] later", "END"), migrate.Unavailable},
		"text behind the answer":     {injected, migrate.Unsafe},
		"goes on in clear": {func(s *server) error {
			err := s.play("S: +OK", "C: STLS", "S: +OK")
			s.in.Peek(1) // the handshake begins
			s.say("+OK no TLS, but go on\r\n")
			io.Copy(io.Discard, s.in)
			return err
		}, migrate.Unavailable},
		"answer before the question": {script("s: +OK\r\n+OK begin\r\n", "END"), migrate.Unsafe},
	} {
		t.Run(name, func(t *testing.T) {
			cfg, server := serve(t, func(s *server) error {
				err := c.play(s)
				if errors.Is(err, io.EOF) {
					return nil
				}
				return err
			})
			cfg.TLS, cfg.CAFile, cfg.Auth = wire.StartTLS, caFile(t), "auto"
			asked := false
			cfg.Password = func(context.Context) (string, error) { asked = true; return "secret", nil }
			_, err := New(cfg).Open(t.Context())
			if err == nil {
				t.Fatal("it opened")
			}
			if migrate.KindOf(err) != c.kind {
				t.Errorf("got kind %d: %v; want kind %d", migrate.KindOf(err), err, c.kind)
			}
			if got := server.inClear(); asked || strings.Contains(got, "USER") || strings.Contains(got, "AUTH") {
				t.Errorf("credentials were taken out: asked for %v, sent %q", asked, got)
			}
		})
	}
}

func TestSTLS(t *testing.T) {
	cfg, server := serve(t, func(s *server) error {
		return s.play("S: +OK <1@example.org>", "C: STLS", "S: +OK", "TLS",
			inCapa, capa("SASL PLAIN CRAM-MD5"), "C: AUTH PLAIN", "S: +", "C: "+b64("\x00me\x00secret"), "S: +OK",
			inCapa, outCapa, "C: STAT", "S: +OK 0 0", "C: QUIT", "S: +OK", "END")
	})
	cfg.TLS, cfg.CAFile, cfg.Auth = wire.StartTLS, caFile(t), "auto"
	s := openAt(t, cfg)
	if got, err := names(s); err != nil || got != nil {
		t.Errorf("got %q, %v; want nothing", got, err)
	}
	s.Close()
	if got := server.inClear(); got != "STLS\r\n" { // and then a handshake, which wants all octets
		t.Errorf("in clear went %.40q", got)
	}
}

func TestSTLSWrongCertificate(t *testing.T) {
	cfg, _ := serve(t, func(s *server) error {
		if err := s.play("S: +OK", "C: STLS", "S: +OK", "TLS"); err == nil {
			return errors.New("the client took the certificate")
		}
		return nil
	})
	cfg.TLS = wire.StartTLS
	if _, err := New(cfg).Open(t.Context()); migrate.KindOf(err) != migrate.Unsafe {
		t.Errorf("got %v, want kind Unsafe", err)
	}
}
