package imap

import (
	"context"
	"slices"
	"time"

	"postcask/migrate"
)

// The bounds of what is listed ahead: it is held in memory.
const (
	aheadAtOnce   = 16      // mailboxes in one round trip
	aheadMessages = 4000    // that they may be expected to tell of
	aheadRows     = 10_000  // that they may tell of in fact
	aheadOctets   = 4 << 20 // of all answers; what is made of many short words may take 16 times as much
)

// A question is a mailbox that is listed ahead: all of it, or what has changed.
type question struct {
	mbox     migrate.Path
	page     *page
	changed  *changed
	commands []string // the first opens the mailbox
	view     *view
	verdicts []status
	at       time.Time
	much     bool // more was told than is kept: it is asked for in its turn
}

// ListAhead implements migrate.Foreseer: mailboxes that can be listed by one question each are opened and listed all in
// one round trip. What the server tells is kept until it is asked for; what does not add up is asked for in its turn.
func (s *Session) ListAhead(ctx context.Context, next []migrate.Listing) {
	s.foretold = nil
	if s.ready(ctx) != nil {
		return
	}
	var asked []*question
	var expected int64
	for _, listing := range next {
		q, messages := s.question(listing)
		if q == nil {
			continue
		}
		line, err := s.openLine(ctx, q.mbox)
		if err != nil {
			continue
		}
		if expected += messages; expected > aheadMessages || len(asked) == aheadAtOnce {
			break
		}
		q.commands = slices.Insert(q.commands, 0, line)
		asked = append(asked, q)
	}
	if len(asked) < 2 || s.askAll(ctx, asked) != nil {
		return
	}
	s.foretold = make(map[migrate.Path]*question, len(asked))
	for _, q := range asked {
		s.foretold[q.mbox] = q
	}
}

// question gives what lists a mailbox at once, and of how many messages it may tell; nil where nothing does.
func (s *Session) question(l migrate.Listing) (*question, int64) {
	q := &question{mbox: l.Mailbox}
	few := l.Now.Messages >= 0 && l.Now.Messages <= stretchSize
	switch {
	case l.Since == nil && few:
		return q.lists(l.Now.Messages, 0), l.Now.Messages
	case l.Since != nil && s.tellsChanges(*l.Since) && l.Since.UIDNext <= changesWindow:
		q.changed = s.newChanged(*l.Since)
		q.commands = q.changed.commands()
		return q, max(l.Now.Messages-l.Since.Messages, 0)
	case l.Since != nil && few && !s.tellsChanges(*l.Since) && s.tellsFlags(*l.Since):
		return q.lists(l.Now.Messages, l.Since.UIDNext), l.Now.Messages
	}
	return nil, 0
}

// lists makes q ask for all messages, as walk does.
func (q *question) lists(messages int64, old uint32) *question {
	q.page = newPage(1, uint32(messages), old)
	q.commands = q.page.commands(true)
	return q
}

// askAll asks questions in one flight. What the server says is about the mailbox that it has opened last, and it has to
// answer for all commands about one before it opens the next (RFC 9051, section 5.5).
func (s *Session) askAll(ctx context.Context, asked []*question) error {
	defer s.conn.Watch(ctx)()
	var commands []string
	var owners []*question // of the commands
	for _, q := range asked {
		q.view = &view{path: q.mbox, readOnly: s.readOnly, opening: s.tagAfter(len(commands))}
		for _, command := range q.commands {
			commands, owners = append(commands, command), append(owners, q)
		}
	}
	now, heard, rows := asked[0], 0, 0
	var octets, walked int64 // of all answers, and of the one to this command so far
	s.view = now.view
	verdicts, err := s.allHeard(commands, func(resp *response) error {
		octets, walked = octets+s.in.walked-walked, s.in.walked
		told := resp.word == "FETCH" && s.view != nil && s.view.opening == "" // before the mailbox is open it is about another
		if told {
			rows++
		}
		if rows > aheadRows || octets > aheadOctets {
			now.drop()
		}
		switch {
		case !told || now.much:
			return nil
		case now.page != nil:
			return now.page.read(s.in, resp)
		}
		return now.changed.read(s.in, resp)
	}, func() {
		walked = 0
		if heard++; heard < len(owners) && owners[heard] != now {
			now.view.flags, now.view.permanent = nil, nil // nobody asks for them of what is not open
			now = owners[heard]
			s.view = now.view
		}
	})
	if err != nil {
		s.view = nil
		return err
	}
	for _, q := range asked {
		q.verdicts, verdicts = verdicts[:len(q.commands)], verdicts[len(q.commands):]
		q.at = time.Now()
	}
	return nil
}

// drop gives up what was told of a mailbox.
func (q *question) drop() {
	q.page, q.changed, q.view.gone, q.much = nil, nil, finding{unclear: true}, true
}

// takeForetold gives what was learnt ahead about a mailbox, once and while it is fresh, or nil.
func (s *Session) takeForetold(mbox migrate.Path) *question {
	q := s.foretold[mbox]
	delete(s.foretold, mbox)
	if q == nil || q.much || time.Since(q.at) > stateKeeps || slices.ContainsFunc(q.verdicts, refused) {
		return nil
	}
	return q
}

// foretoldRows gives all messages of a mailbox that was listed ahead, as walk asks for them. ok is false where it was not,
// or not all of them were told of.
func (s *Session) foretoldRows(mbox migrate.Path, old migrate.Key) (rows []migrate.Message, ok bool) {
	q := s.takeForetold(mbox)
	switch {
	case q == nil || q.page == nil || q.view.expunged > 0 || int64(q.view.exists) != int64(len(q.page.rows)):
		return nil, false
	case q.page.old != old.UID || old.UID > 0 && q.view.validity != old.Validity:
		return nil, false
	}
	for i := range q.page.rows {
		if q.page.rows[i].Key.UID == 0 || q.page.lacks(q.page.rows[i]) {
			return nil, false
		}
		q.page.rows[i].Key.Validity = q.view.validity
	}
	return slices.CompactFunc(tidy(q.page.rows), func(a, b migrate.Message) bool { return a.Key == b.Key }), true
}

// foretoldChanges gives what has changed in a mailbox since then, if that was learnt ahead and nothing more has to be
// asked.
func (s *Session) foretoldChanges(mbox migrate.Path, since migrate.Status) (n news, ok bool) {
	q := s.takeForetold(mbox)
	if q == nil || q.changed == nil || q.changed.since != since {
		return news{}, false
	}
	n, err := q.changed.all(q.view, q.verdicts[1:])
	return n, err == nil && n.free != nil
}

var _ migrate.Foreseer = (*Session)(nil)
