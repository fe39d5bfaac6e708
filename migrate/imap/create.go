package imap

import (
	"context"
	"errors"
	"slices"

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

// CreateAll implements migrate.Maker: all commands go out in one flight. What a server refuses in this plain form is left to
// Create.
func (s *Session) CreateAll(ctx context.Context, mailboxes []migrate.Mailbox) []error {
	errs := make([]error, len(mailboxes))
	var commands []string
	var owners []int
	octets := 0
	for i, mbox := range mailboxes {
		lines, err := s.makingLines(ctx, mbox)
		for _, line := range lines {
			octets += len(line)
		}
		if err == nil && octets > inFlightOctets {
			err = errTooMany
		}
		if errs[i] = err; err == nil {
			for _, line := range lines {
				commands, owners = append(commands, line), append(owners, i)
			}
		}
	}
	if len(commands) == 0 {
		return errs
	}
	verdicts, err := s.exchangeAll(ctx, commands, nil)
	for place, owner := range owners {
		if err != nil {
			errs[owner] = at(mailboxes[owner].Path, err)
		} else if st := verdicts[place]; !st.ok() && st.code != "ALREADYEXISTS" && errs[owner] == nil {
			errs[owner] = at(mailboxes[owner].Path, st.refusal("make mailbox"))
		}
	}
	for i, mbox := range mailboxes {
		if errs[i] == nil && slices.Contains(owners, i) {
			s.acct.names.change(mbox.Path, s.acct.names.rawOf(mbox.Path), func(m *listed) {
				m.noSelect, m.subscribed = false, m.subscribed || mbox.Subscribed
			})
		}
	}
	return errs
}

var errTooMany = errors.New("too many mailboxes for one flight")

// makingLines gives the commands that make a mailbox which is to hold mail, none where it is there.
func (s *Session) makingLines(ctx context.Context, mbox migrate.Mailbox) (lines []string, err error) {
	if s.readOnly || mbox.NoSelect {
		return nil, at(mbox.Path, errReadOnly)
	}
	raw, err := s.rawOf(ctx, mbox.Path)
	if err != nil {
		return nil, err
	}
	name, err := sayable(raw)
	if err != nil {
		return nil, at(mbox.Path, err)
	}
	known, there := s.acct.names.find(mbox.Path)
	if mbox.Path != migrate.Inbox && (!there || known.noSelect) {
		line := "CREATE " + name
		if role := roleOf([]string{string(mbox.Role)}); role != "" && s.has("CREATE-SPECIAL-USE") {
			line += " (USE (" + string(role) + "))"
		}
		lines = append(lines, line)
	}
	if mbox.Subscribed && !known.subscribed {
		lines = append(lines, "SUBSCRIBE "+name)
	}
	return lines, nil
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
