package testserver

import (
	"io"
	"maps"
	"slices"
	"strings"

	"github.com/emersion/go-imap/v2"
	"github.com/emersion/go-imap/v2/imapserver"
)

// An imapSession is one connection to an IMAP. go-imap calls it from one goroutine at a time.
type imapSession struct {
	server *IMAP
	conn   *imapserver.Conn
	user   string
	box    *box // selected, or nil
	view   *imapserver.SessionTracker
}

func (s *imapSession) Login(user, password string) error {
	s.server.mu.Lock()
	a := s.server.users[user]
	right := a != nil && a.password == password
	s.server.mu.Unlock()
	if !right {
		return imapserver.ErrAuthFailed
	}
	if f := s.server.opts.RefuseLogin; f != nil {
		if err := refusal(f(user)); err != nil {
			return err
		}
	}
	s.user = user
	return nil
}

func (s *imapSession) Close() error {
	if s.view != nil {
		s.view.Close()
		s.box, s.view = nil, nil
	}
	return nil
}

func (s *imapSession) note(verb, mailbox string) { s.server.note("%s: %s %s", s.user, verb, mailbox) }

// with notes a command and runs f on a mailbox that must be there, with the store locked.
func (s *imapSession) with(verb, mailbox string, f func(a *account, b *box) error) error {
	s.note(verb, mailbox)
	s.server.mu.Lock()
	defer s.server.mu.Unlock()
	a := s.server.users[s.user]
	b := a.mailboxes[mailbox]
	if b == nil {
		code := imap.ResponseCodeNonExistent
		if verb == "APPEND" || verb == "COPY" || verb == "MOVE" {
			code = imap.ResponseCodeTryCreate
		}
		return &imap.Error{Type: imap.StatusResponseTypeNo, Code: code, Text: "no such mailbox"}
	}
	return f(a, b)
}

func (s *imapSession) Select(mailbox string, options *imap.SelectOptions) (*imap.SelectData, error) {
	s.Close()
	verb := map[bool]string{false: "SELECT", true: "EXAMINE"}[options.ReadOnly]
	var data *imap.SelectData
	err := s.with(verb, mailbox, func(_ *account, b *box) error {
		flags := []imap.Flag{imap.FlagAnswered, imap.FlagFlagged, imap.FlagDeleted, imap.FlagSeen, imap.FlagDraft}
		for _, m := range b.messages {
			for _, flag := range m.flags {
				if !hasFlag(flags, flag) {
					flags = append(flags, flag)
				}
			}
		}
		s.box, s.view = b, b.tracker.NewSession()
		data = &imap.SelectData{
			Flags: flags, PermanentFlags: append(slices.Clone(flags), imap.FlagWildcard),
			NumMessages: uint32(len(b.messages)), UIDNext: b.next, UIDValidity: b.validity,
		}
		return nil
	})
	return data, err
}

func (s *imapSession) Unselect() error { return s.Close() }

func (s *imapSession) Create(name string, options *imap.CreateOptions) error {
	name = strings.TrimRight(name, "/")
	return s.with("CREATE "+name, "INBOX", func(a *account, _ *box) error {
		if a.mailboxes[name] != nil {
			return &imap.Error{Type: imap.StatusResponseTypeNo, Code: imap.ResponseCodeAlreadyExists, Text: "mailbox is there already"}
		}
		s.server.createLocked(a, name, options.SpecialUse...)
		return nil
	})
}

func (s *imapSession) Delete(name string) error {
	return s.with("DELETE", name, func(a *account, b *box) error {
		delete(a.mailboxes, name)
		return nil
	})
}

func (s *imapSession) Rename(name, to string, _ *imap.RenameOptions) error {
	return s.with("RENAME", name, func(a *account, _ *box) error {
		for old, b := range maps.Clone(a.mailboxes) {
			if rest, below := strings.CutPrefix(old, name); below && (rest == "" || rest[0] == '/') {
				delete(a.mailboxes, old)
				b.name = to + rest
				a.mailboxes[b.name] = b
			}
		}
		return nil
	})
}

func (s *imapSession) Subscribe(name string) error   { return s.subscribe("SUBSCRIBE", name, true) }
func (s *imapSession) Unsubscribe(name string) error { return s.subscribe("UNSUBSCRIBE", name, false) }

func (s *imapSession) subscribe(verb, name string, subscribed bool) error {
	return s.with(verb, name, func(_ *account, b *box) error {
		b.subscribed = subscribed
		return nil
	})
}

func (s *imapSession) List(w *imapserver.ListWriter, ref string, patterns []string, options *imap.ListOptions) error {
	if len(patterns) == 0 { // LIST "" "" asks for the delimiter
		return w.WriteList(&imap.ListData{Attrs: []imap.MailboxAttr{imap.MailboxAttrNoSelect}, Delim: '/'})
	}
	var found []*imap.ListData
	err := s.with("LIST", "INBOX", func(a *account, _ *box) error {
		for _, name := range slices.Sorted(maps.Keys(a.mailboxes)) {
			b := a.mailboxes[name]
			matches := func(pattern string) bool { return imapserver.MatchList(name, '/', ref, pattern) }
			if !slices.ContainsFunc(patterns, matches) || options.SelectSubscribed && !b.subscribed ||
				options.SelectSpecialUse && len(b.attributes) == 0 {
				continue
			}
			data := &imap.ListData{Mailbox: name, Delim: '/', Attrs: slices.Clone(b.attributes)}
			if b.subscribed && (options.ReturnSubscribed || options.SelectSubscribed) {
				data.Attrs = append(data.Attrs, imap.MailboxAttrSubscribed)
			}
			child := imap.MailboxAttrHasNoChildren
			for other := range a.mailboxes {
				if strings.HasPrefix(other, name+"/") {
					child = imap.MailboxAttrHasChildren
				}
			}
			data.Attrs = append(data.Attrs, child)
			if options.ReturnStatus != nil {
				data.Status = b.status(options.ReturnStatus)
			}
			found = append(found, data)
		}
		return nil
	})
	for _, data := range found {
		if err := w.WriteList(data); err != nil {
			return err
		}
	}
	return err
}

func (s *imapSession) Status(mailbox string, options *imap.StatusOptions) (*imap.StatusData, error) {
	var data *imap.StatusData
	err := s.with("STATUS", mailbox, func(_ *account, b *box) error {
		data = b.status(options)
		return nil
	})
	return data, err
}

func (b *box) status(options *imap.StatusOptions) *imap.StatusData {
	var unseen, deleted, recent uint32
	var size int64
	for _, m := range b.messages {
		size += int64(len(m.octets))
		if !hasFlag(m.flags, imap.FlagSeen) {
			unseen++
		}
		if hasFlag(m.flags, imap.FlagDeleted) {
			deleted++
		}
	}
	count := uint32(len(b.messages))
	return &imap.StatusData{Mailbox: b.name, NumMessages: &count, NumUnseen: &unseen, NumDeleted: &deleted,
		NumRecent: &recent, Size: &size, UIDNext: b.next, UIDValidity: b.validity}
}

func (s *imapSession) Append(mailbox string, r imap.LiteralReader, options *imap.AppendOptions) (*imap.AppendData, error) {
	octets, err := io.ReadAll(r)
	if err != nil {
		return nil, err
	}
	s.server.mu.Lock()
	s.server.appends++
	n := s.server.appends
	s.server.mu.Unlock()
	if f := s.server.opts.RefuseAppend; f != nil {
		if err := refusal(f(n, s.user, mailbox)); err != nil {
			return nil, err
		}
	}
	if f := s.server.opts.Rewrite; f != nil {
		octets = f(octets)
	}
	var names []string
	for _, flag := range options.Flags {
		names = append(names, string(flag))
	}
	m := &stored{date: options.Time, octets: octets, flags: imapFlags(names)}
	if m.date.IsZero() {
		m.date = now()
	}
	var data *imap.AppendData
	err = s.with("APPEND", mailbox, func(_ *account, b *box) error {
		data = &imap.AppendData{UID: b.add(m), UIDValidity: b.validity}
		return nil
	})
	if f := s.server.opts.LoseAppendReply; err == nil && f != nil && f(n) {
		s.conn.NetConn().Close()
	}
	if slices.Contains(s.server.opts.Without, string(imap.CapUIDPlus)) {
		data = nil
	}
	return data, err
}

func (s *imapSession) Poll(w *imapserver.UpdateWriter, allowExpunge bool) error {
	if s.view == nil {
		return nil
	}
	return s.view.Poll(w, allowExpunge)
}

func (s *imapSession) Idle(w *imapserver.UpdateWriter, stop <-chan struct{}) error {
	if s.view == nil {
		<-stop
		return nil
	}
	return s.view.Idle(w, stop)
}

func (s *imapSession) Namespace() (*imap.NamespaceData, error) {
	return &imap.NamespaceData{Personal: []imap.NamespaceDescriptor{{Delim: '/'}}}, nil
}
