package imap

import (
	"context"
	"slices"
	"strconv"
	"strings"

	imap "github.com/emersion/go-imap/v2"
	"github.com/emersion/go-imap/v2/imapclient"

	"postcask/migrate"
)

// A view is what is known of the selected mailbox (RFC 9051, section 6.3.2).
type view struct {
	path      migrate.Path
	readOnly  bool
	opening   bool // its SELECT has not been answered to the end
	exists    uint32
	validity  uint32
	next      uint32 // UIDNEXT; 0 where not told
	modSeq    uint64
	flags     []string
	permanent []string // nil where not told: then all can be kept (RFC 9051, section 7.1)
	cursors   []*uint32
	expunged  int // how many EXPUNGE responses there were
}

// note takes what the server says about the mailbox. Sequence numbers that somebody keeps move with each EXPUNGE
// (RFC 9051, section 7.5.1).
func (v *view) note(resp *response, in *reader) (err error) {
	switch resp.word {
	case "EXISTS":
		v.exists = resp.number
	case "EXPUNGE":
		v.expunged++
		if v.exists > 0 {
			v.exists--
		}
		for _, cursor := range v.cursors {
			if resp.number < *cursor {
				*cursor--
			}
		}
	case "FLAGS":
		v.flags, err = in.words()
	}
	return err
}

// learn takes a response code. renumbered tells that the messages got other UIDs while the mailbox is open.
func (v *view) learn(st status) (renumbered bool) {
	switch st.code {
	case "UIDVALIDITY":
		if n, ok := st.number(); ok {
			renumbered = !v.opening && v.validity != 0 && n != v.validity
			v.validity = n
		}
	case "UIDNEXT":
		if n, ok := st.number(); ok {
			v.next = n
		}
	case "HIGHESTMODSEQ":
		v.modSeq, _ = strconv.ParseUint(st.args, 10, 63)
	case "NOMODSEQ":
		v.modSeq = 0
	case "PERMANENTFLAGS":
		list := strings.TrimSuffix(strings.TrimPrefix(st.args, "("), ")")
		v.permanent = append([]string{}, strings.Fields(list)...)
	}
	return renumbered
}

// watch makes the sequence number at cursor follow the mailbox until the returned function is called.
func (v *view) watch(cursor *uint32) (stop func()) {
	v.cursors = append(v.cursors, cursor)
	return func() {
		v.cursors = slices.DeleteFunc(v.cursors, func(c *uint32) bool { return c == cursor })
	}
}

// keeps tells whether the mailbox can keep a keyword.
func (v *view) keeps(keyword string) bool {
	if v == nil || v.permanent == nil {
		return true
	}
	same := func(have string) bool { return have == `\*` || strings.EqualFold(have, keyword) }
	return slices.ContainsFunc(v.permanent, same) || slices.ContainsFunc(v.flags, same)
}

// enter opens path unless it is the open mailbox already. A refusal comes as an error that names the mailbox.
func (s *Session) enter(ctx context.Context, path migrate.Path) error {
	if s.view != nil && s.view.path == path {
		return s.ready(ctx)
	}
	return s.open(ctx, path)
}

// open opens path by EXAMINE, or by SELECT where the session may write, and so learns its state as it is now.
func (s *Session) open(ctx context.Context, path migrate.Path) error {
	raw, err := s.rawOf(ctx, path)
	if err != nil {
		return err
	}
	if err := s.ready(ctx); err != nil {
		return err
	}
	v := &view{path: path, readOnly: s.readOnly, opening: true}
	s.view = v // before go-imap's reader goroutine has a look at it
	options := &imap.SelectOptions{ReadOnly: s.readOnly, CondStore: s.has("CONDSTORE")}
	st, err := s.converse(ctx, raw, func(c *imapclient.Client) error {
		data, err := c.Select(standIn, options).Wait()
		if err == nil {
			v.exists, v.modSeq = data.NumMessages, data.HighestModSeq
		}
		return err
	})
	v.opening = false
	if err != nil {
		s.view = nil
		return at(path, err)
	}
	if !st.ok() {
		s.view = nil // a refused SELECT leaves no mailbox open (RFC 9051, section 6.3.2)
		return at(path, st.refusal("open mailbox"))
	}
	return nil
}

// verify opens path and checks that its messages still have the UIDVALIDITY they were listed with. A mailbox that was
// opened before the message of UID newest came is opened anew: some servers would not show it until then.
func (s *Session) verify(ctx context.Context, path migrate.Path, validity, newest uint32) error {
	enter := s.enter
	if s.view != nil && s.view.path == path && s.view.next <= newest {
		enter = s.open
	}
	if err := enter(ctx, path); err != nil {
		return err
	}
	if s.view.validity != validity {
		return at(path, errRenumbered)
	}
	return nil
}

// Status tells the state of mbox: by STATUS (RFC 9051, section 6.3.11), or by opening it anew if it is the open one,
// of which STATUS should not be asked. A mailbox that does not exist has the zero Status.
func (s *Session) Status(ctx context.Context, mbox migrate.Path) (migrate.Status, error) {
	if s.view != nil && s.view.path == mbox {
		err := s.open(ctx, mbox)
		if v := s.view; err == nil && v.next != 0 { // without UIDNEXT the two ways would not agree
			return migrate.Status{Messages: int64(v.exists), UIDValidity: v.validity, UIDNext: v.next, HighestModSeq: v.modSeq}, nil
		}
		if err != nil && !s.alive(err) {
			return migrate.Status{}, err
		}
	}
	raw, err := s.rawOf(ctx, mbox)
	if err != nil {
		return migrate.Status{}, err
	}
	options := &imap.StatusOptions{NumMessages: true, UIDNext: true, UIDValidity: true, HighestModSeq: s.has("CONDSTORE")}
	var data *imap.StatusData
	st, err := s.converse(ctx, raw, func(c *imapclient.Client) (err error) {
		data, err = c.Status(standIn, options).Wait()
		return err
	})
	if err != nil {
		return migrate.Status{}, at(mbox, err)
	}
	if !st.ok() {
		there, err := s.exists(ctx, raw)
		if err != nil || !there {
			return migrate.Status{}, err
		}
		return migrate.Status{}, at(mbox, st.refusal("status"))
	}
	result := migrate.Status{Messages: -1, UIDValidity: data.UIDValidity, UIDNext: uint32(data.UIDNext), HighestModSeq: data.HighestModSeq}
	if data.NumMessages != nil {
		result.Messages = int64(*data.NumMessages)
	}
	return result, nil
}
