package wire

import (
	"context"
	"crypto/hmac"
	"crypto/md5"
	"encoding/hex"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/emersion/go-sasl"
	"github.com/xdg-go/scram"

	"postcask/migrate"
)

// The mechanisms of SASL that there are, the strongest first; CRAM-MD5 only betters PLAIN where there is no TLS.
const (
	ScramSHA256 = "SCRAM-SHA-256"
	CramMD5     = "CRAM-MD5"
	PlainAuth   = "PLAIN"
	LoginAuth   = "LOGIN"
)

// scramRounds bounds the work a server may ask for; RFC 7677 recommends 4096 as the least.
const scramRounds = 1 << 20

// SASL chooses a mechanism among those offered, the strongest or the one that cfg.Auth names, and gives a client for
// one exchange. The name is empty, with no error, when cfg.Auth is auto and nothing that was offered is known, or when
// cfg.Auth names a way of log-in that is no SASL. Errors are of kind Auth.
func (cfg *Config) SASL(ctx context.Context, secure bool, offered []string) (string, sasl.Client, error) {
	var name string
	switch want := strings.ToUpper(cfg.Auth); want {
	case "", "AUTO":
		for _, known := range cfg.preferred(secure) {
			if containsFold(offered, known) {
				name = known
				break
			}
		}
		if name == "" && cfg.Authzid == "" {
			return "", nil, nil
		}
		if name == "" {
			return "", nil, migrate.Errorf(migrate.Auth, "the server offers no way to act as another user (it has %s)", strings.Join(offered, " "))
		}
	case ScramSHA256, CramMD5, PlainAuth, LoginAuth:
		if !containsFold(offered, want) {
			return "", nil, migrate.Errorf(migrate.Auth, "the server does not offer %s (it has %s)", want, Clean(strings.Join(offered, " ")))
		}
		name = want
	default:
		return "", nil, nil
	}
	if cfg.Authzid != "" && name != PlainAuth && name != ScramSHA256 {
		return "", nil, migrate.Errorf(migrate.Auth, "%s cannot act as another user", name)
	}
	if err := cfg.Exposed(secure); err != nil && (name == PlainAuth || name == LoginAuth) {
		return "", nil, err
	}
	password, err := cfg.Password(ctx)
	if err != nil {
		return "", nil, err
	}
	switch name {
	case ScramSHA256:
		client, err := newScram(cfg.User, password, cfg.Authzid)
		return name, client, err
	case CramMD5:
		return name, &cramMD5{cfg.User, password}, nil
	case LoginAuth:
		return name, &login{user: cfg.User, password: password}, nil
	}
	return name, sasl.NewPlainClient(cfg.Authzid, cfg.User, password), nil
}

// Exposed gives an error of kind Auth where a password in clear would be seen by others on the way.
func (cfg *Config) Exposed(secure bool) error {
	if secure || cfg.TLS == Plain {
		return nil
	}
	return migrate.Errorf(migrate.Auth, "no password is sent without TLS")
}

// preferred orders the mechanisms. Over TLS, PLAIN comes before CRAM-MD5: the latter needs the server to keep the
// password readable, is often offered but not set up, and gains nothing there.
func (cfg *Config) preferred(secure bool) []string {
	switch {
	case cfg.Authzid != "":
		return []string{PlainAuth, ScramSHA256}
	case secure:
		return []string{ScramSHA256, PlainAuth, LoginAuth, CramMD5}
	}
	return []string{ScramSHA256, CramMD5, PlainAuth, LoginAuth}
}

func containsFold(list []string, name string) bool {
	return slices.ContainsFunc(list, func(have string) bool { return strings.EqualFold(have, name) })
}

// cramMD5 is RFC 2195.
type cramMD5 struct{ user, password string }

func (c *cramMD5) Start() (string, []byte, error) { return CramMD5, nil, nil }

func (c *cramMD5) Next(challenge []byte) ([]byte, error) {
	mac := hmac.New(md5.New, []byte(c.password))
	mac.Write(challenge)
	return []byte(c.user + " " + hex.EncodeToString(mac.Sum(nil))), nil
}

// login is the mechanism of draft-murchison-sasl-login: the prompts have varying words and a fixed order.
type login struct {
	user, password string
	step           int
}

func (l *login) Start() (string, []byte, error) { return LoginAuth, nil, nil }

func (l *login) Next([]byte) ([]byte, error) {
	l.step++
	switch l.step {
	case 1:
		return []byte(l.user), nil
	case 2:
		return []byte(l.password), nil
	}
	return nil, migrate.Errorf(migrate.Auth, "the server asks for more than user and password")
}

// scramClient is RFC 5802 with SHA-256 (RFC 7677), without channel binding.
type scramClient struct{ conversation *scram.ClientConversation }

func newScram(user, password, authzid string) (sasl.Client, error) {
	client, err := scram.SHA256.NewClient(user, password, authzid)
	if err != nil {
		return nil, &migrate.Error{Kind: migrate.Auth, Err: fmt.Errorf("%s: %w", ScramSHA256, err)}
	}
	return &scramClient{client.NewConversation()}, nil
}

func (s *scramClient) Start() (string, []byte, error) {
	first, err := s.conversation.Step("")
	return ScramSHA256, []byte(first), err
}

// Next answers a challenge. A server whose signature is wrong does not know the password: the error says so.
func (s *scramClient) Next(challenge []byte) ([]byte, error) {
	for field := range strings.SplitSeq(string(challenge), ",") {
		if count, ok := strings.CutPrefix(field, "i="); ok {
			if n, err := strconv.Atoi(count); err != nil || n > scramRounds {
				return nil, migrate.Errorf(migrate.Auth, "%s: the server asks for %s rounds", ScramSHA256, Clean(count))
			}
		}
	}
	answer, err := s.conversation.Step(string(challenge))
	if err != nil {
		return nil, &migrate.Error{Kind: migrate.Auth, Err: fmt.Errorf("%s: %w", ScramSHA256, err)}
	}
	return []byte(answer), nil
}

// Verified tells whether a client has seen proof that the server knows the password, where its mechanism gives one:
// after a log-in that the server calls done, false means an impostor.
func Verified(client sasl.Client) bool {
	s, ok := client.(*scramClient)
	return !ok || s.conversation.Valid()
}
