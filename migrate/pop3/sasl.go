package pop3

import (
	"encoding/base64"
	"strings"

	"github.com/emersion/go-sasl"

	"postcask/migrate"
	"postcask/migrate/wire"
)

// saslSteps bounds an exchange; the longest known takes three.
const saslSteps = 10

// sasl does one exchange of AUTH (RFC 5034, section 4). The first answer waits for the server's challenge: servers
// older than RFC 5034 know no other way, and one round trip is little.
func (s *Session) sasl(name string, client sasl.Client) error {
	_, first, err := client.Start()
	if err != nil {
		return &migrate.Error{Kind: migrate.Auth, Err: err}
	}
	s.conn.secret = true
	s.conn.SetBusy(true)
	defer func() {
		s.conn.secret = false
		s.conn.SetBusy(false)
	}()
	say := "AUTH " + name
	for range saslSteps {
		if err := s.client.Send(say); err != nil {
			return s.conn.failed(err)
		}
		line, err := s.conn.readLine()
		if err != nil {
			return err
		}
		if isStatus(line) || line[0] != '+' {
			return s.saslEnd(client, line)
		}
		answer := first
		if answer == nil {
			answer, err = s.challenged(client, line)
		}
		if err != nil {
			return s.saslCancel(err)
		}
		first = nil
		if say = base64.StdEncoding.EncodeToString(answer); say != "" {
			s.conn.hide = append(s.conn.hide, say)
		}
	}
	return s.conn.failed(migrate.Errorf(migrate.Auth, "AUTH %s: the server goes on asking", name))
}

func (s *Session) challenged(client sasl.Client, line []byte) ([]byte, error) {
	challenge, err := base64.StdEncoding.DecodeString(strings.TrimSpace(string(line[1:])))
	if err != nil {
		return nil, migrate.Errorf(migrate.Auth, "AUTH: the server's challenge is no base64")
	}
	return client.Next(challenge)
}

// saslEnd judges the line that ends an exchange. A server that lets us in without the proof it owes is no server of
// ours, whatever it says.
func (s *Session) saslEnd(client sasl.Client, line []byte) error {
	_, refusal, err := s.conn.judge("AUTH", line)
	switch {
	case err != nil:
		return err
	case refusal != nil:
		return s.refused(refusal, migrate.Auth)
	case !wire.Verified(client):
		return s.conn.failed(migrate.Errorf(migrate.Unsafe, "AUTH: the server did not prove that it knows the password"))
	}
	return nil
}

// saslCancel gives the exchange up (RFC 5034, section 4) because of err.
func (s *Session) saslCancel(err error) error {
	if s.client.Send("*") == nil {
		s.conn.readLine() // its -ERR; a connection that broke instead tells so at its next use
	}
	return err
}
