package imap

import (
	"context"
	"slices"
	"strconv"
	"strings"

	"postcask/migrate"
)

// A view is what is known of the selected mailbox (RFC 9051, section 6.3.2).
type view struct {
	path      migrate.Path
	readOnly  bool
	opening   string // the tag of its SELECT until that is answered
	exists    uint32
	validity  uint32
	next      uint32 // UIDNEXT; 0 where not told
	modSeq    uint64
	flags     []string
	permanent []string // nil where not told: then all can be kept (RFC 9051, section 7.1)
	places    []*place
	expunged  int     // how many EXPUNGE responses there were, and VANISHED ones
	gone      finding // what VANISHED responses have named
}

// note takes what the server says about the mailbox. Places that somebody keeps move with each EXPUNGE.
func (v *view) note(said remark) {
	switch said.word {
	case "EXISTS":
		v.exists = said.number
	case "EXPUNGE":
		v.expunged++
		if v.exists > 0 {
			v.exists--
		}
		for _, p := range v.places {
			p.expunge(said.number)
		}
	case "FLAGS":
		v.flags = said.words
	}
}

// learn takes a response code. renumbered tells that the messages got other UIDs while the mailbox is open.
func (v *view) learn(st status) (renumbered bool) {
	switch st.code {
	case "UIDVALIDITY":
		if n, ok := st.number(); ok {
			renumbered = v.opening == "" && v.validity != 0 && n != v.validity
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

// watch makes a place follow the mailbox until the returned function is called.
func (v *view) watch(p *place) (stop func()) {
	v.places = append(v.places, p)
	return func() {
		v.places = slices.DeleteFunc(v.places, func(other *place) bool { return other == p })
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
		return s.usable(ctx)
	}
	return s.open(ctx, path)
}

// open opens path by EXAMINE, or by SELECT where the session may write, and so learns its state as it is now.
func (s *Session) open(ctx context.Context, path migrate.Path) error {
	_, err := s.openWith(ctx, path, nil, nil)
	return err
}

// openWith is open with commands about the mailbox behind it, all in one round trip. Where the mailbox does not open,
// the server refuses them too; else their verdicts are given. What it tells before that is about another mailbox.
func (s *Session) openWith(ctx context.Context, path migrate.Path, commands []string, data func(*response) error) ([]status, error) {
	command, err := s.openCommand(ctx, path)
	if err != nil {
		return nil, err
	}
	verdicts, err := s.exchangeAll(ctx, append([]string{command}, commands...), func(resp *response) error {
		if data == nil || s.view == nil || s.view.opening != "" {
			return nil
		}
		return data(resp)
	})
	if err != nil {
		s.view = nil
		return nil, at(path, err)
	}
	if !verdicts[0].ok() {
		return nil, at(path, verdicts[0].refusal("open mailbox"))
	}
	return verdicts[1:], nil
}

// openCommand gives the command that opens path, to be sent next.
func (s *Session) openCommand(ctx context.Context, path migrate.Path) (string, error) {
	command, err := s.openLine(ctx, path)
	if err != nil {
		return "", err
	}
	if err := s.ready(ctx); err != nil {
		return "", err
	}
	s.view = &view{path: path, readOnly: s.readOnly, opening: s.tagAfter(0)}
	return command, nil
}

// openLine gives the text of the command that opens path.
func (s *Session) openLine(ctx context.Context, path migrate.Path) (string, error) {
	raw, err := s.rawOf(ctx, path)
	if err != nil {
		return "", err
	}
	name, err := sayable(raw)
	if err != nil {
		return "", at(path, err)
	}
	command := "SELECT " + name
	if s.readOnly {
		command = "EXAMINE " + name
	}
	if s.has("CONDSTORE") {
		command += " (CONDSTORE)"
	}
	return command, nil
}

// verify opens path and checks that its messages still have the UIDVALIDITY they were listed with.
func (s *Session) verify(ctx context.Context, path migrate.Path, validity, newest uint32) error {
	if !s.isOpen(path, newest) {
		if err := s.open(ctx, path); err != nil {
			return err
		}
	} else if err := s.ready(ctx); err != nil {
		return err
	}
	if s.view.validity != validity {
		return at(path, errRenumbered)
	}
	return nil
}

// isOpen tells whether path is the open mailbox. One that was opened before the message of UID newest came has to be
// opened anew: some servers would not show it until then.
func (s *Session) isOpen(path migrate.Path, newest uint32) bool {
	return s.view != nil && s.view.path == path && s.view.next > newest
}
