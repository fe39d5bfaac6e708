package imap

import (
	"context"

	imap "github.com/emersion/go-imap/v2"
	"github.com/emersion/go-imap/v2/imapclient"

	"postcask/migrate"
)

// Create makes a mailbox, and its parents where the server does not make them by itself (RFC 9051, section 6.3.4), and
// subscribes to it if mbox.Subscribed. One that is there already is fine. Where the server has CREATE-SPECIAL-USE
// (RFC 6154, section 3) the role goes with it. Errors: of kind Refused for quota and permission.
func (s *Session) Create(ctx context.Context, mbox migrate.Mailbox) error {
	if s.readOnly {
		return at(mbox.Path, errReadOnly)
	}
	raw, err := s.rawOf(ctx, mbox.Path)
	if err != nil {
		return err
	}
	known, there := s.acct.names.find(mbox.Path)
	if mbox.Path == migrate.Inbox {
		there, known.noSelect = true, false
	}
	if !mbox.NoSelect && (!there || known.noSelect) {
		if err := s.create(ctx, mbox, raw); err != nil {
			return err
		}
		there = true
	}
	if mbox.Subscribed && there && !known.subscribed {
		return s.subscribe(ctx, mbox.Path, raw)
	}
	return nil
}

var errReadOnly = migrate.Errorf(migrate.Misuse, "the session is read-only")

// create makes a mailbox that is not known to be there.
func (s *Session) create(ctx context.Context, mbox migrate.Mailbox, raw string) error {
	st, err := s.tryCreate(ctx, raw, mbox.Role)
	if err != nil {
		return at(mbox.Path, err)
	}
	if !st.ok() && st.code != "ALREADYEXISTS" {
		there, err := s.exists(ctx, raw)
		if err != nil {
			return err
		}
		if parent := mbox.Path.Parent(); !there && parent != "" && st.code != "OVERQUOTA" && st.code != "NOPERM" {
			if _, known := s.acct.names.find(parent); !known && parent != migrate.Inbox {
				if err := s.Create(ctx, migrate.Mailbox{Path: parent}); err != nil {
					return at(mbox.Path, st.refusal("create mailbox"))
				}
				if st, err = s.tryCreate(ctx, raw, mbox.Role); err != nil {
					return at(mbox.Path, err)
				}
				there = st.ok() || st.code == "ALREADYEXISTS"
			}
		}
		if !there {
			return at(mbox.Path, st.refusal("create mailbox"))
		}
	}
	s.acct.names.change(mbox.Path, raw, func(m *listed) { m.noSelect = false })
	return nil
}

// tryCreate sends CREATE, with the role if the server has a place for it and without if it dislikes that.
func (s *Session) tryCreate(ctx context.Context, raw string, role migrate.Role) (status, error) {
	create := func(options *imap.CreateOptions) (status, error) {
		return s.converse(ctx, raw, func(c *imapclient.Client) error { return c.Create(standIn, options).Wait() })
	}
	if role != "" && s.has("CREATE-SPECIAL-USE") {
		st, err := create(&imap.CreateOptions{SpecialUse: []imap.MailboxAttr{imap.MailboxAttr(role)}})
		if err != nil || st.ok() || st.code == "ALREADYEXISTS" {
			return st, err
		}
	}
	return create(nil)
}

// subscribe sends SUBSCRIBE (RFC 9051, section 6.3.7).
func (s *Session) subscribe(ctx context.Context, path migrate.Path, raw string) error {
	st, err := s.converse(ctx, raw, func(c *imapclient.Client) error { return c.Subscribe(standIn).Wait() })
	if err != nil {
		return at(path, err)
	}
	if !st.ok() {
		return at(path, st.refusal("subscribe"))
	}
	if _, known := s.acct.names.find(path); known {
		s.acct.names.change(path, raw, func(m *listed) { m.subscribed = true })
	}
	return nil
}
