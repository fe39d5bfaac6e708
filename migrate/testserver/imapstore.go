package testserver

import (
	"fmt"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/emersion/go-imap/v2"
	"github.com/emersion/go-imap/v2/imapserver"
)

// A Mail is a message in an IMAP.
type Mail struct {
	UID    uint32
	Flags  []string
	Date   time.Time // the internal date; its zone is kept
	Octets []byte
}

// An account's mailboxes, by name: Unicode, with "/" between the parts. All is guarded by the server's mutex.
type account struct {
	password  string
	mailboxes map[string]*box
}

type box struct {
	name       string
	validity   uint32
	next       imap.UID
	attributes []imap.MailboxAttr
	subscribed bool
	messages   []*stored // in the order of their UIDs
	tracker    *imapserver.MailboxTracker
}

// A stored message never changes but for its flags, whose slice is replaced and not written to.
type stored struct {
	uid    imap.UID
	date   time.Time
	octets []byte
	flags  []imap.Flag
}

func (s *IMAP) newAccount(name, password string) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.users[name] != nil {
		return os.ErrExist
	}
	s.users[name] = &account{password: password, mailboxes: make(map[string]*box)}
	s.createLocked(s.users[name], "INBOX")
	return nil
}

// createLocked makes a mailbox and those above it (RFC 9051, section 6.3.4).
func (s *IMAP) createLocked(a *account, name string, attributes ...imap.MailboxAttr) *box {
	for i, c := range name {
		if c == '/' && a.mailboxes[name[:i]] == nil && i > 0 {
			s.createLocked(a, name[:i])
		}
	}
	s.validity++
	b := &box{name: name, validity: s.validity, next: 1, attributes: attributes, tracker: imapserver.NewMailboxTracker(0)}
	a.mailboxes[name] = b
	return b
}

func (b *box) add(m *stored) imap.UID {
	m.uid = b.next
	b.next++
	b.messages = append(b.messages, m)
	b.tracker.QueueNumMessages(uint32(len(b.messages)))
	return m.uid
}

// remove takes out the messages that gone picks, and tells every client that has the mailbox open.
func (b *box) remove(gone func(*stored) bool) {
	for i := len(b.messages) - 1; i >= 0; i-- {
		if gone(b.messages[i]) {
			b.tracker.QueueExpunge(uint32(i + 1))
			b.messages = slices.Delete(b.messages, i, i+1)
		}
	}
}

func (b *box) setFlags(i int, flags []imap.Flag, source *imapserver.SessionTracker) {
	m := b.messages[i]
	m.flags = flags
	b.tracker.QueueMessageFlags(uint32(i+1), m.uid, flags, source)
}

// change runs f on a mailbox of a user, for the methods below.
func (s *IMAP) change(user, mailbox string, f func(a *account, b *box)) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	a := s.users[user]
	if a == nil || a.mailboxes[mailbox] == nil {
		return fmt.Errorf("%q has no mailbox %q", user, mailbox)
	}
	f(a, a.mailboxes[mailbox])
	return nil
}

// CreateMailbox makes a mailbox, named in Unicode with "/" between its parts, with attributes such as `\Sent`.
func (s *IMAP) CreateMailbox(user, mailbox string, attributes ...string) error {
	return s.change(user, "INBOX", func(a *account, _ *box) {
		var attrs []imap.MailboxAttr
		for _, attr := range attributes {
			attrs = append(attrs, imap.MailboxAttr(attr))
		}
		s.createLocked(a, mailbox, attrs...)
	})
}

// DeleteMailbox removes a mailbox with its messages.
func (s *IMAP) DeleteMailbox(user, mailbox string) error {
	return s.change(user, mailbox, func(a *account, _ *box) { delete(a.mailboxes, mailbox) })
}

// Subscribe subscribes the user to a mailbox.
func (s *IMAP) Subscribe(user, mailbox string) error {
	return s.change(user, mailbox, func(_ *account, b *box) { b.subscribed = true })
}

// Subscribed tells whether the user is subscribed to a mailbox.
func (s *IMAP) Subscribed(user, mailbox string) bool {
	var is bool
	err := s.change(user, mailbox, func(_ *account, b *box) { is = b.subscribed })
	return err == nil && is
}

// Deliver puts a message at the end of a mailbox and gives its UID; the UID in m is not looked at.
func (s *IMAP) Deliver(user, mailbox string, m Mail) (uint32, error) {
	var uid imap.UID
	err := s.change(user, mailbox, func(_ *account, b *box) {
		uid = b.add(&stored{date: m.Date, octets: slices.Clone(m.Octets), flags: imapFlags(m.Flags)})
	})
	return uint32(uid), err
}

// Expunge removes a message, as another client would.
func (s *IMAP) Expunge(user, mailbox string, uid uint32) error {
	return s.change(user, mailbox, func(_ *account, b *box) {
		b.remove(func(m *stored) bool { return m.uid == imap.UID(uid) })
	})
}

// SetFlags replaces a message's flags, as another client would.
func (s *IMAP) SetFlags(user, mailbox string, uid uint32, flags ...string) error {
	return s.change(user, mailbox, func(_ *account, b *box) {
		if i := slices.IndexFunc(b.messages, func(m *stored) bool { return m.uid == imap.UID(uid) }); i >= 0 {
			b.setFlags(i, imapFlags(flags), nil)
		}
	})
}

// Renumber gives a mailbox a new UIDVALIDITY, and its messages UIDs from first on, as a server that was restored does.
// Sessions that have it open should not go on.
func (s *IMAP) Renumber(user, mailbox string, first uint32) error {
	return s.change(user, mailbox, func(_ *account, b *box) {
		s.validity++
		b.validity = s.validity
		b.next = imap.UID(first)
		for i, m := range b.messages {
			renumbered := *m
			renumbered.uid = b.next
			b.messages[i] = &renumbered
			b.next++
		}
	})
}

// Mailboxes gives the names of a user's mailboxes, sorted.
func (s *IMAP) Mailboxes(user string) []string {
	var names []string
	_ = s.change(user, "INBOX", func(a *account, _ *box) {
		for name := range a.mailboxes {
			names = append(names, name)
		}
	})
	slices.Sort(names)
	return names
}

// Attributes gives the attributes that a mailbox was made with.
func (s *IMAP) Attributes(user, mailbox string) []string {
	var names []string
	_ = s.change(user, mailbox, func(_ *account, b *box) {
		for _, attr := range b.attributes {
			names = append(names, string(attr))
		}
	})
	return names
}

// Messages gives what a mailbox holds now, oldest first.
func (s *IMAP) Messages(user, mailbox string) ([]Mail, error) {
	var mail []Mail
	err := s.change(user, mailbox, func(_ *account, b *box) {
		for _, m := range b.messages {
			var flags []string
			for _, f := range m.flags {
				flags = append(flags, string(f))
			}
			mail = append(mail, Mail{UID: uint32(m.uid), Flags: flags, Date: m.date, Octets: m.octets})
		}
	})
	return mail, err
}

// imapFlags sorts flags and keeps each once, without regard to case; \Recent belongs to a session alone.
func imapFlags(names []string) []imap.Flag {
	flags := make([]imap.Flag, 0, len(names))
	for _, name := range names {
		if !strings.EqualFold(name, `\Recent`) && !hasFlag(flags, imap.Flag(name)) {
			flags = append(flags, imap.Flag(name))
		}
	}
	slices.Sort(flags)
	return flags
}

func hasFlag(flags []imap.Flag, flag imap.Flag) bool {
	return slices.ContainsFunc(flags, func(have imap.Flag) bool { return strings.EqualFold(string(have), string(flag)) })
}
