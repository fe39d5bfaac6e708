package imap

import (
	"context"
	"slices"
	"sync/atomic"

	"postcask/migrate"
	"postcask/migrate/wire"
)

// An Account is one account on an IMAP server. It opens sessions, and remembers for them what they learn: names,
// delimiter and namespace. It is safe for concurrent use.
type Account struct {
	cfg       wire.Config
	names     names
	miscounts atomic.Bool // the messages of a MULTIAPPEND
}

// New makes an Account of the settings. Nothing is contacted yet.
func New(cfg wire.Config) *Account {
	return &Account{cfg: cfg, names: names{
		listed: map[migrate.Path]*listed{},
		built:  map[migrate.Path]string{},
		owner:  map[string]migrate.Path{},
	}}
}

// Open connects and logs in. With readOnly, mailboxes are opened by EXAMINE (RFC 9051, section 6.3.3) and nothing on
// the server can be changed through the session. Errors are migrate.Errors: of kind Auth where name and password are
// not accepted, Unsafe where the connection is not as secure as was asked for, Unavailable where the server cannot be
// reached or turns us away for now.
func (a *Account) Open(ctx context.Context, readOnly bool) (*Session, error) {
	conn, err := wire.Dial(ctx, &a.cfg)
	if err != nil {
		return nil, err
	}
	s := newSession(a, conn, readOnly)
	stop := conn.Watch(ctx)
	defer stop()
	if err := s.begin(ctx); err != nil {
		s.conn.Fail(err)
		return nil, err
	}
	s.startClient()
	return s, nil
}

// RenamedMailboxes gives the paths that got another name on this server than they have elsewhere, in the order in
// which they were met: a part that holds the server's delimiter has "_" in its place.
func (a *Account) RenamedMailboxes() []Renamed {
	a.names.mu.Lock()
	defer a.names.mu.Unlock()
	return slices.Clone(a.names.renamed)
}
