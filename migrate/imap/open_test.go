package imap

import (
	"context"
	"crypto/hmac"
	"crypto/md5"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"io"
	"log/slog"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"postcask/migrate"
	"postcask/migrate/wire"
)

// canary is a password that must never be seen where it does not belong.
const canary = "c4n4ry"

// TestNoCredentialInTheClear plays servers, or somebody in the way, that would have us log in without TLS.
func TestNoCredentialInTheClear(t *testing.T) {
	tests := []struct {
		name   string
		script func(p *peer)
	}{
		{"no STARTTLS in the greeting", func(p *peer) { p.say("* OK [CAPABILITY IMAP4rev1 AUTH=PLAIN] ready") }},
		{"no STARTTLS when asked", func(p *peer) {
			p.say("* OK ready")
			p.answer("CAPABILITY", "* CAPABILITY IMAP4rev1 AUTH=PLAIN", "TAG OK x")
		}},
		{"STARTTLS refused", func(p *peer) {
			p.say("* OK [CAPABILITY IMAP4rev1 STARTTLS] ready")
			p.answer("STARTTLS", "TAG NO not now")
		}},
		{"STARTTLS is bad", func(p *peer) {
			p.say("* OK [CAPABILITY IMAP4rev1 STARTTLS] ready")
			p.answer("STARTTLS", "TAG BAD what")
		}},
		{"OK and then plain text", func(p *peer) {
			p.say("* OK [CAPABILITY IMAP4rev1 STARTTLS] ready")
			p.answer("STARTTLS", "TAG OK go")
			time.Sleep(50 * time.Millisecond)
			p.say("* CAPABILITY IMAP4rev1 AUTH=PLAIN")
		}},
		{"text injected behind the OK", func(p *peer) {
			p.say("* OK [CAPABILITY IMAP4rev1 STARTTLS] ready")
			tag, _ := p.expect("STARTTLS")
			p.say(tag + " OK go\r\n* CAPABILITY IMAP4rev1 AUTH=PLAIN")
		}},
		{"a guessed tag", func(p *peer) {
			p.say("* OK [CAPABILITY IMAP4rev1 STARTTLS] ready\r\nT1 OK go\r\nA1 OK go\r\na001 OK go")
		}},
		{"PREAUTH", func(p *peer) { p.say("* PREAUTH [CAPABILITY IMAP4rev1 STARTTLS] welcome") }},
		{"PREAUTH without STARTTLS", func(p *peer) { p.say("* PREAUTH [CAPABILITY IMAP4rev1] welcome") }},
		{"a referral", func(p *peer) { p.say("* BYE [REFERRAL imap://evil.example.net/] elsewhere") }},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			heard := make(chan string, 1)
			cfg := serve(t, func(p *peer) {
				test.script(p)
				p.conn.SetDeadline(time.Now().Add(300 * time.Millisecond))
				rest, _ := io.ReadAll(p.in)
				heard <- p.said.String() + string(rest)
			})
			cfg.TLS, cfg.Timeout = wire.StartTLS, time.Second
			cfg.Password = func(context.Context) (string, error) {
				t.Error("the password is asked for")
				return canary, nil
			}
			s, err := New(cfg).Open(t.Context(), true)
			if err == nil {
				s.Close()
				t.Error("logged in")
			} else {
				t.Log(err)
			}
			said := <-heard
			for _, word := range []string{canary, "LOGIN", "AUTHENTICATE", base64.StdEncoding.EncodeToString([]byte("\x00ada\x00" + canary))} {
				if strings.Contains(said, word) {
					t.Errorf("the client said %q", said)
				}
			}
		})
	}
}

func TestOpenErrors(t *testing.T) {
	tests := []struct {
		name   string
		script func(p *peer)
		kind   migrate.Kind
		words  string
	}{
		{"BYE", func(p *peer) { p.say("* BYE too many connections") }, migrate.Unavailable, "too many connections"},
		{"wrong password", func(p *peer) {
			p.say("* OK [CAPABILITY IMAP4rev1] x")
			p.answer("LOGIN", "TAG NO [AUTHENTICATIONFAILED] no")
		}, migrate.Auth, "AUTHENTICATIONFAILED"},
		{"no code", func(p *peer) { p.say("* OK [CAPABILITY IMAP4rev1] x"); p.answer("LOGIN", "TAG NO no") }, migrate.Auth, "NO no"},
		{"unavailable", func(p *peer) {
			p.say("* OK [CAPABILITY IMAP4rev1] x")
			p.answer("LOGIN", "TAG NO [UNAVAILABLE] later")
		}, migrate.Unavailable, "later"},
		{"in use", func(p *peer) {
			p.say("* OK [CAPABILITY IMAP4rev1] x")
			p.answer("LOGIN", "TAG NO [INUSE] other")
		}, migrate.Unavailable, "INUSE"},
		{"full house", func(p *peer) {
			p.say("* OK [CAPABILITY IMAP4rev1] x")
			p.answer("LOGIN", "TAG NO Too many simultaneous connections")
		}, migrate.Unavailable, "Too many"},
		{"BYE at the log-in", func(p *peer) {
			p.say("* OK [CAPABILITY IMAP4rev1] x")
			p.answer("LOGIN", "* BYE \x1b[2J overloaded")
		}, migrate.Unavailable, `\x1b[2J overloaded`},
		{"cut at the log-in", func(p *peer) { p.say("* OK [CAPABILITY IMAP4rev1] x"); p.expect("LOGIN") }, migrate.Unavailable, "closed"},
		{"LOGINDISABLED", func(p *peer) { p.say("* OK [CAPABILITY IMAP4rev1 LOGINDISABLED] x") }, migrate.Auth, "disabled"},
		{"another protocol", func(p *peer) { p.say("220 smtp.example.org ESMTP") }, migrate.Unavailable, "no IMAP server"},
		{"nothing", func(p *peer) {}, migrate.Unavailable, "closed"},
		{"referral", func(p *peer) {
			p.say("* OK [CAPABILITY IMAP4rev1] x")
			p.answer("LOGIN", "TAG NO [REFERRAL imap://evil.example.net/] go there")
		}, migrate.Auth, "REFERRAL"},
		{"saying it back", func(p *peer) {
			p.say("* OK [CAPABILITY IMAP4rev1] x")
			p.answer("LOGIN", `TAG BAD what is LOGIN "ada" "secret"?`)
		}, migrate.Auth, "what is LOGIN"},
		{"SCRAM with a wrong end", func(p *peer) {
			p.say("* OK [CAPABILITY IMAP4rev1 AUTH=SCRAM-SHA-256 SASL-IR] x")
			tag, _ := p.expect("AUTHENTICATE SCRAM-SHA-256")
			p.say(tag + " OK you are in")
		}, migrate.Auth, "has not shown"},
		{"endless questions", func(p *peer) {
			p.say("* OK [CAPABILITY IMAP4rev1 AUTH=CRAM-MD5] x")
			p.expect("AUTHENTICATE CRAM-MD5")
			for range saslRounds + 1 {
				p.say("+ " + base64.StdEncoding.EncodeToString([]byte("<1@example.org>")))
				p.hear()
			}
		}, migrate.Auth, "without end"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			cfg := serve(t, test.script)
			var trace strings.Builder
			cfg.Log = slog.New(slog.NewTextHandler(&trace, &slog.HandlerOptions{Level: slog.LevelDebug}))
			began := time.Now()
			_, err := New(cfg).Open(t.Context(), true)
			if migrate.KindOf(err) != test.kind || err == nil || !strings.Contains(err.Error(), test.words) {
				t.Errorf("kind %d: %v", migrate.KindOf(err), err)
			}
			if err != nil && strings.Contains(err.Error(), "secret") {
				t.Errorf("the password is told: %v", err)
			}
			if strings.Contains(trace.String(), "secret") {
				t.Errorf("the password is traced: %s", &trace)
			}
			if took := time.Since(began); took > 5*time.Second {
				t.Errorf("it took %v", took)
			}
		})
	}
}

func TestSilenceAtTheLogIn(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		cfg := piped(t, func(p *peer) { p.say("* OK [CAPABILITY IMAP4rev1] x"); p.hear(); p.hear() })
		began := time.Now()
		_, err := New(cfg).Open(t.Context(), true)
		if migrate.KindOf(err) != migrate.Unavailable || err == nil || !strings.Contains(err.Error(), "no answer for") || time.Since(began) != cfg.Timeout {
			t.Errorf("after %v: %v", time.Since(began), err)
		}
	})
}

func TestWaysIn(t *testing.T) {
	const user, password = "ad\"a", "s\\3cret"
	plain := base64.StdEncoding.EncodeToString([]byte("boss\x00" + user + "\x00" + password))
	tests := []struct {
		name     string
		password string
		set      func(*wire.Config)
		script   func(p *peer)
	}{
		{"LOGIN, quoted", password, nil, func(p *peer) {
			p.say("* OK [CAPABILITY IMAP4rev1] x")
			if args := p.answer("LOGIN", "TAG OK [CAPABILITY IMAP4rev1] in"); args != `"ad\"a" "s\\3cret"` {
				t.Errorf("said %q", args)
			}
		}},
		{"LOGIN, with a literal", "pä\xff", nil, func(p *peer) {
			p.say("* OK [CAPABILITY IMAP4rev1 LITERAL+] x")
			tag, args := p.expect("LOGIN")
			if args != `"ad\"a" {4}` {
				t.Errorf("said %q", args)
			}
			p.say("+ go on")
			if got := p.octets(6); got != "pä\xff\r\n" {
				t.Errorf("said %q", got)
			}
			p.say(tag+" OK in", "* 5 EXISTS")
			p.answer("CAPABILITY", "* CAPABILITY IMAP4rev1", "TAG OK x")
		}},
		{"PLAIN as another user", password, func(cfg *wire.Config) { cfg.Authzid = "boss" }, func(p *peer) {
			p.say("* OK [CAPABILITY IMAP4rev1 AUTH=PLAIN SASL-IR] x")
			p.answer("AUTHENTICATE PLAIN "+plain, "TAG OK [CAPABILITY IMAP4rev1] in")
		}},
		{"PLAIN without SASL-IR", password, func(cfg *wire.Config) { cfg.Authzid = "boss" }, func(p *peer) {
			p.say("* OK [CAPABILITY IMAP4rev1 AUTH=PLAIN] x")
			tag, args := p.expect("AUTHENTICATE PLAIN")
			p.say("+ ")
			if got := p.hear(); got != plain || args != "" {
				t.Errorf("said %q, %q", args, got)
			}
			p.say(tag + " OK [CAPABILITY IMAP4rev1] in")
		}},
		{"CRAM-MD5", password, nil, func(p *peer) {
			p.say("* OK [CAPABILITY IMAP4rev1 AUTH=CRAM-MD5 AUTH=PLAIN LOGINDISABLED] x")
			tag, _ := p.expect("AUTHENTICATE CRAM-MD5")
			p.say("+ " + base64.StdEncoding.EncodeToString([]byte("<1@example.org>")))
			mac := hmac.New(md5.New, []byte(password))
			io.WriteString(mac, "<1@example.org>")
			if got, _ := base64.StdEncoding.DecodeString(p.hear()); string(got) != user+" "+hex.EncodeToString(mac.Sum(nil)) {
				t.Errorf("said %q", got)
			}
			p.say(tag + " OK [CAPABILITY IMAP4rev1] in")
		}},
		{"PREAUTH where there is no TLS to be had", password, nil, func(p *peer) { p.say("* PREAUTH [CAPABILITY IMAP4rev1] in") }},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			cfg := serve(t, func(p *peer) {
				test.script(p)
				p.bye()
			})
			cfg.User, cfg.Password = user, func(context.Context) (string, error) { return test.password, nil }
			if test.set != nil {
				test.set(&cfg)
			}
			s, err := New(cfg).Open(t.Context(), true)
			if err != nil {
				t.Fatal(err)
			}
			s.Close()
		})
	}
	for _, bad := range []string{"a\x00b", "a\r\nX LOGOUT", "a\nb"} {
		cfg := serve(t, func(p *peer) {
			p.say("* OK [CAPABILITY IMAP4rev1] x")
			if line := p.hear(); line != "" {
				t.Errorf("client said %q", line)
			}
		})
		cfg.Password = func(context.Context) (string, error) { return bad, nil }
		if _, err := New(cfg).Open(t.Context(), true); migrate.KindOf(err) != migrate.Auth {
			t.Errorf("password %q: %v", bad, err)
		}
	}
}

func TestCancelledContext(t *testing.T) {
	cfg := serve(t, func(p *peer) {
		p.greet("")
		p.examine("EXAMINE", 1)
		p.answer("UID FETCH", "* 1 FETCH (UID 5 BODY[] {100}", "abc")
		p.hear()
	})
	s := open(t, cfg, true)
	ctx, cancel := context.WithCancel(t.Context())
	for f, err := range s.Fetch(ctx, "INBOX", keys(5)) {
		if err != nil {
			break
		}
		time.AfterFunc(50*time.Millisecond, cancel)
		if _, err := io.ReadAll(f.Body); !errors.Is(err, context.Canceled) {
			t.Errorf("got %v", err)
		}
	}
	cancel()
	if _, err := s.Mailboxes(t.Context()); !errors.Is(err, context.Canceled) {
		t.Errorf("the session goes on: %v", err)
	}
}

func TestStall(t *testing.T) {
	tests := map[string]func(p *peer){
		"in SELECT": func(p *peer) { p.expect("EXAMINE"); p.expect("UID FETCH"); p.say("* 5 EXISTS") },
		"in FETCH":  func(p *peer) { p.examine("EXAMINE", 1); p.expect("UID FETCH") },
		"in a body": func(p *peer) { p.examine("EXAMINE", 1); p.answer("UID FETCH", "* 1 FETCH (UID 5 BODY[] {100}", "abc") },
	}
	for name, script := range tests {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				cfg := piped(t, func(p *peer) {
					p.greet("")
					script(p)
					p.hear()
				})
				s := open(t, cfg, true)
				began := time.Now()
				var last error
				for f, err := range s.Fetch(t.Context(), "INBOX", keys(5)) {
					if last = err; err == nil {
						_, last = io.Copy(io.Discard, f.Body)
					}
				}
				if !migrate.IsTemporary(last) || !strings.Contains(last.Error(), "no answer for") {
					t.Errorf("got %v", last)
				}
				if took := time.Since(began); took != cfg.Timeout {
					t.Errorf("it took %v", took)
				}
			})
		})
	}
}
