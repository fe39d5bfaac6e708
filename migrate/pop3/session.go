package pop3

import (
	"context"
	"fmt"
	"strings"

	gopop3 "github.com/knadh/go-pop3"

	"postcask/migrate"
	"postcask/migrate/wire"
)

// A Session is one connection to a maildrop, logged in. It is a migrate.Source, a migrate.Statuser, a migrate.Foreseer and
// migrate.Flagless. The server locks the maildrop for it and shows it as it was at log-in (RFC 1939, sections 4 and 5): new mail needs a new Session.
// After a broken connection, and after a context that ended in the middle of something, the Session is dead, and every
// call returns the first error.
type Session struct {
	cfg          wire.Config
	secret       func(context.Context) (string, error)
	conn         *conn
	client       *gopop3.Conn
	capabilities map[string][]string
	stamp        string // the greeting's, for APOP

	drop      *maildrop // what was listed; nil before
	cache     cache
	endless   *endless
	farewells *farewells

	ahead    []string  // commands that were sent before their turn, and are not answered
	lane     *lane     // whose turn it is
	foreseen []request // that the next lane may want, and that are asked for already
	pending  int       // commands of the lane that were sent and whose status is not read
	current  *body     // that may not be read to its end
	closed   bool
}

var (
	_ migrate.Source   = (*Session)(nil)
	_ migrate.Statuser = (*Session)(nil)
	_ migrate.Flagless = (*Session)(nil)
)

// Mailboxes gives INBOX, all that POP3 has. The server is not asked.
func (s *Session) Mailboxes(ctx context.Context) ([]migrate.Mailbox, error) {
	if err := s.alive(ctx); err != nil {
		return nil, err
	}
	return []migrate.Mailbox{{Path: migrate.Inbox, Subscribed: true}}, nil
}

// Flagless tells that POP3 knows no flags.
func (s *Session) Flagless() {}

// Status tells how many messages INBOX holds; POP3 has no more to tell. Any other mailbox does not exist. A Session that
// has not listed yet does so: it will be asked to next, and one flight of commands brings all.
func (s *Session) Status(ctx context.Context, mbox migrate.Path) (migrate.Status, error) {
	if err := s.alive(ctx); err != nil {
		return migrate.Status{}, err
	}
	if mbox != migrate.Inbox {
		return migrate.Status{}, nil
	}
	drop, err := s.listed(ctx, mbox)
	if err != nil {
		return migrate.Status{}, err
	}
	return migrate.Status{Messages: int64(drop.count)}, nil
}

// Close says QUIT, which with nothing deleted changes nothing, and hangs up. The answer is left for the next Open to wait
// for. When answers are still under way it hangs up at once. It gives no error: there is nothing to lose.
func (s *Session) Close() error {
	if s.closed {
		return nil
	}
	s.closed = true
	s.drop.close()
	if s.conn.Err() != nil || !s.idle() || s.say("QUIT") != nil {
		s.conn.Close()
		return nil
	}
	s.conn.CloseWrite()
	s.farewells.add(s.conn)
	return nil
}

// alive tells why nothing can be done, or nil.
func (s *Session) alive(ctx context.Context) error {
	if s.closed {
		return migrate.Errorf(migrate.Failed, "the session is closed")
	}
	if err := s.conn.Err(); err != nil {
		return err
	}
	return context.Cause(ctx)
}

// command sends one command and gives the text of its +OK. A -ERR without a code is an error of kind Failed.
func (s *Session) command(verb string, args ...string) (string, error) {
	return s.refusable(migrate.Failed, verb, args...)
}

// refusable is a command whose -ERR without a code means an error of kind. One that was sent ahead is only read.
func (s *Session) refusable(kind migrate.Kind, verb string, args ...string) (string, error) {
	line := strings.Join(append([]string{verb}, args...), " ")
	if len(s.ahead) == 0 || s.ahead[0] != line {
		if err := s.say(line); err != nil {
			return "", err
		}
	}
	s.ahead = s.ahead[1:]
	s.conn.SetBusy(true)
	defer s.rest()
	answer, err := s.conn.readLine()
	if err != nil {
		return "", err
	}
	text, refusal, err := s.conn.judge(verb, answer)
	if refusal != nil {
		return "", s.refused(refusal, kind)
	}
	return text, err
}

// say sends commands together, once all before them is read to its end. Each answer is then read by command, in the same
// order; settle reads those that nobody asks for, as the answers of several lines that LIST and UIDL have.
func (s *Session) say(lines ...string) error {
	for _, line := range lines {
		if verb, _, _ := strings.Cut(line, " "); !sendable(line) {
			return migrate.Errorf(migrate.Misuse, "%s: a line end or NUL cannot be sent", verb)
		}
	}
	if err := s.settle(); err != nil {
		return err
	}
	if s.conn.in.Buffered() > 0 {
		verb, _, _ := strings.Cut(lines[0], " ")
		return s.conn.failed(fmt.Errorf("the server spoke unasked before %s", verb)) // else every answer would be taken for another's
	}
	s.conn.SetBusy(true)
	if err := s.client.Send(strings.Join(lines, "\r\n")); err != nil {
		return s.conn.failed(err)
	}
	s.ahead = lines
	return nil
}

// list sends a command that is answered by lines (RFC 1939, section 3), and gives each to take, until the next:
// without line end and stuffed dot, at most limit of them. go-pop3 would keep them all.
func (s *Session) list(verb string, limit int, take func(line []byte)) error {
	if _, err := s.command(verb); err != nil {
		return err
	}
	s.conn.SetBusy(true)
	defer s.rest()
	for range limit {
		line, err := s.conn.readLine()
		if err != nil {
			return err
		}
		line = trimLine(line)
		if len(line) > 0 && line[0] == '.' {
			if line = line[1:]; len(line) == 0 {
				return nil
			}
		}
		take(line)
	}
	return s.conn.failed(fmt.Errorf("%s: more than %d lines", verb, limit))
}
