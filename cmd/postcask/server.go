package main

import (
	"context"
	"fmt"
	"log/slog"
	"time"

	"postcask/migrate"
	"postcask/migrate/imap"
	"postcask/migrate/pop3"
	"postcask/migrate/wire"
)

// A server is an account that can be opened, any number of times.
type server struct {
	end  *endpoint
	imap *imap.Account // one of the two
	pop3 *pop3.Account

	sources ahead[migrate.Source]
	sinks   ahead[migrate.Sink]
}

func newServer(e *endpoint, timeout time.Duration, password func(context.Context) (string, error), log *slog.Logger) *server {
	cfg := wire.Config{
		Host: e.host, Port: e.port, TLS: e.tls, CAFile: e.ca, Pin: e.pin, Timeout: timeout,
		Auth: e.auth, User: e.user, Authzid: e.authzid, Password: password, Log: log,
	}
	s := &server{end: e}
	s.sources.open, s.sinks.open = s.openSource, s.openSink
	if e.protocol == pop3Server {
		s.pop3 = pop3.New(cfg)
		return s
	}
	if !e.plain {
		e.link = new(wire.Link)
		cfg.Link = e.link
	}
	s.imap = imap.New(cfg)
	return s
}

// source opens the account for reading, down to the mailbox that its URL names.
func (s *server) source(ctx context.Context) (migrate.Source, error) { return s.sources.take(ctx) }

// sink opens the account for writing.
func (s *server) sink(ctx context.Context) (migrate.Sink, error) { return s.sinks.take(ctx) }

func (s *server) openSource(ctx context.Context) (migrate.Source, error) {
	if s.pop3 != nil {
		session, err := s.pop3.Open(ctx)
		if err != nil {
			return nil, err
		}
		return session, nil
	}
	session, err := s.imap.Open(ctx, true)
	if err != nil {
		return nil, err
	}
	return scope(session, s.end.mailbox), nil
}

func (s *server) openSink(ctx context.Context) (migrate.Sink, error) {
	session, err := s.imap.Open(ctx, false)
	if err != nil {
		return nil, err
	}
	return session, nil
}

// renamed tells of mailboxes that the server has under another name than they were asked for.
func (s *server) renamed() []string {
	var lines []string
	for _, r := range s.imap.RenamedMailboxes() {
		lines = append(lines, fmt.Sprintf("%q is called %q at the destination, since a name there cannot be as it was", r.Path, r.Name))
	}
	return lines
}
