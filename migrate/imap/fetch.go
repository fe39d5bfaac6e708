package imap

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"iter"
	"slices"
	"strconv"
	"strings"

	"postcask/migrate"
	"postcask/migrate/wire"
)

const (
	commandLimit   = 8000     // octets of a command line that every server takes (RFC 9051, section 4, asks 8192)
	groupMessages  = 250      // of one UID FETCH
	groupOctets    = 16 << 20 // of one UID FETCH, by the sizes as announced
	inFlight       = 4        // UID FETCH commands at once
	singlesAtOnce  = 16       // of those for one message each
	inFlightOctets = 16 << 10 // of command lines, so that writing them cannot wait for our reading
	bodyItem       = "BODY.PEEK[]"
	headerItem     = "BODY.PEEK[HEADER.FIELDS (DATE FROM TO SUBJECT MESSAGE-ID)]"
	headerLimit    = 256 << 10
)

// Fetch reads messages by UID FETCH with BODY.PEEK[] (RFC 9051, section 6.4.5). Several commands are under way at
// once; each body is streamed as it comes, its length that of its literal. A message that the server refuses as part of a group is
// asked for alone, so that it costs only itself; one that no longer exists is left out. A body cut short reads as
// io.ErrUnexpectedEOF and ends the session.
func (s *Session) Fetch(ctx context.Context, mbox migrate.Path, messages []migrate.Message) iter.Seq2[migrate.Fetched, error] {
	return s.fetch(ctx, mbox, messages, bodyItem)
}

// Headers reads the lines Date, From, To, Subject and Message-ID of messages, and nothing of their bodies. It behaves
// as Fetch does.
func (s *Session) Headers(ctx context.Context, mbox migrate.Path, messages []migrate.Message) iter.Seq2[migrate.Header, error] {
	return func(yield func(migrate.Header, error) bool) {
		for f, err := range s.fetch(ctx, mbox, messages, headerItem) {
			h := migrate.Header{Message: f.Message, Err: f.Err}
			if err == nil && f.Err == nil {
				h.Octets, h.Err = readHead(f.Body)
			}
			if !yield(h, err) {
				return
			}
		}
	}
}

func (s *Session) fetch(ctx context.Context, mbox migrate.Path, messages []migrate.Message, item string) iter.Seq2[migrate.Fetched, error] {
	return func(yield func(migrate.Fetched, error) bool) {
		for start := 0; start < len(messages); { // one UIDVALIDITY at a time; there is hardly ever a second
			end := start + 1
			for end < len(messages) && messages[end].Key.Validity == messages[start].Key.Validity {
				end++
			}
			more, err := s.fetchSame(ctx, mbox, messages[start:end], item, yield)
			if err != nil {
				yield(migrate.Fetched{}, err)
				return
			}
			if !more {
				return
			}
			start = end
		}
	}
}

// fetchSame fetches messages of one UIDVALIDITY. more is false when the caller has had enough.
func (s *Session) fetchSame(ctx context.Context, mbox migrate.Path, messages []migrate.Message, item string,
	yield func(migrate.Fetched, error) bool) (more bool, err error) {
	run, err := s.adopt(ctx, mbox, messages, item)
	if err != nil {
		return false, err
	}
	if run == nil {
		if err := s.ready(ctx); err != nil {
			return false, err
		}
		if run, err = s.newFetch(ctx, mbox, messages, item, s.isOpen(mbox, newestOf(messages))); err != nil {
			return false, err
		}
		if err := s.deflateFor(ctx, run); err != nil {
			return false, err
		}
	}
	run.yield = yield
	defer s.conn.Watch(ctx)()
	if err := run.begin(); err != nil {
		return false, at(mbox, err)
	}
	if err := run.loop(); err != nil {
		return false, at(mbox, err)
	}
	return !run.stopped, nil
}

func newestOf(messages []migrate.Message) uint32 {
	return slices.MaxFunc(messages, func(a, b migrate.Message) int { return cmp.Compare(a.Key.UID, b.Key.UID) }).Key.UID
}

// newFetch plans to fetch messages of one UIDVALIDITY from a mailbox that is open, or from one that has to be opened.
func (s *Session) newFetch(ctx context.Context, mbox migrate.Path, messages []migrate.Message, item string, isOpen bool) (*fetchRun, error) {
	r := &fetchRun{s: s, mbox: mbox, validity: messages[0].Key.Validity, item: item, messages: messages,
		byUID: make(map[uint32]int, len(messages)), done: make([]bool, len(messages)), uids: map[uint32]uint32{}}
	if !isOpen {
		line, err := s.openLine(ctx, mbox)
		if err != nil {
			return nil, err
		}
		r.opensBy(line)
	}
	r.plan()
	return r, nil
}

// A fetchRun is one Fetch under way.
type fetchRun struct {
	s        *Session
	mbox     migrate.Path
	opening  *fetchCommand // what opens the mailbox; nil where it is open
	view     *view         // that it opens
	validity uint32        // of the messages
	item     string
	yield    func(migrate.Fetched, error) bool
	messages []migrate.Message
	byUID    map[uint32]int
	done     []bool            // yielded, or known to be gone
	uids     map[uint32]uint32 // sequence number to UID, for responses that leave the UID out
	queue    []*fetchCommand
	pending  []*fetchCommand
	octets   int   // of the pending commands
	rest     int64 // octets of the messages in queue
	nameless bool  // the server sends bodies without a UID: one at a time, then
	stopped  bool
}

// A fetchCommand is one UID FETCH, or the command that opens the mailbox for them.
type fetchCommand struct {
	line   string
	tag    string
	opens  bool
	wanted []int // indexes of messages
	octets int64 // of those, as announced
	single bool
	shown  bool // single: the message was spoken of, though not given
	unsure bool // single: a body came that could have been for it
}

// opensBy puts the command that opens the mailbox before the others.
func (r *fetchRun) opensBy(line string) {
	r.opening, r.view = &fetchCommand{line: line, opens: true}, &view{path: r.mbox, readOnly: r.s.readOnly}
	r.queue = slices.Insert(r.queue, 0, r.opening)
}

// begin is called when what the server says comes to be about this run.
func (r *fetchRun) begin() error {
	if r.opening == nil {
		return r.check()
	}
	r.s.view = r.view
	return nil
}

// plan makes the groups, in the order of UIDs.
func (r *fetchRun) plan() {
	order := make([]int, 0, len(r.messages))
	for i, m := range r.messages {
		if _, twice := r.byUID[m.Key.UID]; twice {
			r.done[i] = true
			continue
		}
		r.byUID[m.Key.UID] = i
		order = append(order, i)
	}
	slices.SortFunc(order, func(a, b int) int { return cmp.Compare(r.messages[a].Key.UID, r.messages[b].Key.UID) })
	for len(order) > 0 {
		var set uidSet
		var octets int64
		limit := r.s.groupLimit(r.rest)
		n := 0
		for n < len(order) && n < groupMessages && set.length() < commandLimit-100 {
			m := &r.messages[order[n]]
			size := max(m.Size, 0)
			if n > 0 && octets+size > limit && r.item == bodyItem {
				break
			}
			octets += size
			set.add(m.Key.UID)
			n++
		}
		r.ask(set.String(), order[:n:n])
		if r.item == bodyItem {
			r.queue[len(r.queue)-1].octets = octets
			r.rest += octets
		}
		order = order[n:]
	}
}

// ask queues a command for the messages wanted, whose UIDs are set.
func (r *fetchRun) ask(set string, wanted []int) {
	r.queue = append(r.queue, &fetchCommand{line: "UID FETCH " + set + " (UID " + r.item + ")", wanted: wanted, single: len(wanted) == 1})
}

// loop sends and reads until all is answered. What comes after an end before that is read later, see settle.
func (r *fetchRun) loop() (err error) {
	for err == nil && !r.stopped && (len(r.queue) > 0 || len(r.pending) > 0) {
		if err = r.sendSome(); err == nil {
			err = r.hear()
		}
	}
	if r.stopped {
		err = nil // who has had enough is told nothing more; a broken session says so when it is used again
	}
	if r.stopped || err != nil {
		r.stopped, r.queue, r.yield = true, nil, nil
		if len(r.pending) > 0 {
			r.s.left = r
		}
	}
	return err
}

// check tells whether the open mailbox is the one that the messages were listed in.
func (r *fetchRun) check() error {
	if v := r.s.view; v == nil || v.validity != r.validity {
		return errRenumbered
	}
	return nil
}

// sendSome keeps the server busy. The first commands go out with the one that opens the mailbox: if that is refused, so are they.
func (r *fetchRun) sendSome() error {
	if len(r.queue) > 0 && r.overtaken() {
		if len(r.pending) > 0 {
			return nil // what is on the way comes first
		}
		if err := r.comeBack(); err != nil {
			return err
		}
	}
	if wait, err := r.deflate(); wait || err != nil {
		return err
	}
	var lines strings.Builder
	r.write(&lines)
	if len(r.queue) == 0 {
		r.s.writeAhead(&lines, r.octets)
	}
	if lines.Len() == 0 {
		return nil
	}
	return r.s.send(lines.String())
}

// write adds to lines what may go out now.
func (r *fetchRun) write(lines *strings.Builder) {
	for len(r.queue) > 0 {
		next := r.queue[0]
		most := r.atOnce()
		if next.single {
			most = singlesAtOnce
			if r.nameless {
				most = 1
			}
		}
		if len(r.pending) >= most || len(r.pending) > 0 && r.octets+len(next.line) > inFlightOctets {
			break
		}
		next.tag = r.s.newTag()
		if next == r.opening {
			r.view.opening = next.tag
		}
		r.s.conn.Trace("C", next.tag+" "+next.line)
		lines.WriteString(next.tag + " " + next.line + "\r\n")
		r.octets += len(next.line)
		r.rest -= next.octets
		r.queue, r.pending = r.queue[1:], append(r.pending, next)
	}
}

// atOnce tells how many groups may be under way. They are small as long as compression may have to begin; where it need not,
// or by the first impression will not, more of them keep the line busy.
func (r *fetchRun) atOnce() int {
	link := r.s.acct.cfg.Link
	if !r.s.deflated && (link.Unknown(wire.Down) && !link.Quick(wire.Down) || link.Slow(wire.Down) > 0) {
		return inFlight
	}
	var octets int64
	for _, c := range r.pending {
		octets += c.octets
	}
	if octets < groupOctets {
		return singlesAtOnce
	}
	return inFlight
}

// hear reads one response and acts on it.
func (r *fetchRun) hear() error {
	resp, err := r.s.read()
	if err != nil {
		return err
	}
	switch {
	case resp.tag == "*" && resp.word == "FETCH" && r.s.view != nil && r.s.view.opening == "":
		return r.message(resp)
	case resp.tag == "*" && (resp.word == "EXPUNGE" || resp.word == "VANISHED"):
		clear(r.uids) // numbers have moved
	}
	for i, c := range r.pending {
		if c.tag == resp.tag {
			r.pending = slices.Delete(r.pending, i, i+1)
			r.octets -= len(c.line)
			if err := r.s.learnVerdict(resp); err != nil {
				return err
			}
			return r.close(c, resp.status)
		}
	}
	return r.s.note(resp)
}

var errNoBody = errors.New("the server tells of this message and does not give its octets")

// close settles what a command was to bring and has not brought: members of a group are asked for alone; one that was
// asked for alone is gone if the server says OK, else unreadable, in the server's words.
func (r *fetchRun) close(c *fetchCommand, st status) error {
	if c.opens && r.stopped {
		return nil
	}
	if c.opens && !st.ok() {
		return st.refusal("open mailbox")
	}
	if c.opens {
		return r.check()
	}
	if err := st.plea(); err != nil {
		return r.s.broken(err) // it is no message's fault, and asking for each would be the worst answer
	}
	for _, i := range c.wanted {
		if r.done[i] || r.stopped {
			continue
		}
		if !c.single {
			r.ask(strconv.FormatUint(uint64(r.messages[i].Key.UID), 10), []int{i})
			continue
		}
		if c.unsure {
			r.queue = append(r.queue, &fetchCommand{line: c.line, wanted: c.wanted, single: true})
			continue
		}
		r.done[i] = true
		switch {
		case !st.ok() && st.code != "EXPUNGEISSUED":
			r.give(migrate.Fetched{Message: r.messages[i], Err: st.refusal("the server does not give this message")})
		case c.shown:
			r.give(migrate.Fetched{Message: r.messages[i], Err: errNoBody})
		}
	}
	return nil
}

// plea gives an error where a refused FETCH speaks of the session and not of a message: for the moment, or until the
// provider's limit for a day lies behind us, which Gmail and others call a quota. Reading fills no mailbox.
func (st status) plea() error {
	plea, ok := wire.PleaOf(st.code, st.text, false)
	switch {
	case st.ok():
		return nil
	case st.code == "OVERQUOTA" || ok && plea.Kind == migrate.Limit:
		return &migrate.Error{Kind: migrate.Limit, Err: errors.New("the server's limit is reached: " + st.String()),
			Hint: cmp.Or(plea.Hint, "providers allow so much in an hour or a day; run the same command again later")}
	case ok:
		return st.refusal("fetch")
	}
	return nil
}

// give yields one message.
func (r *fetchRun) give(f migrate.Fetched) {
	if f.Body.Reader == nil {
		f.Body.Reader = strings.NewReader("")
	}
	if !r.stopped && !r.yield(f, nil) {
		r.stopped = true
	}
}

// settle reads what a Fetch that was left early has yet to bring, and what was asked for ahead and is not wanted.
func (s *Session) settle(ctx context.Context) error {
	if s.left == nil && len(s.coming) == 0 {
		return nil
	}
	defer s.conn.Watch(ctx)()
	if err := s.settleLeft(); err != nil {
		return err
	}
	return s.settleAhead()
}

func (s *Session) settleLeft() error {
	if s.left == nil {
		return nil
	}
	err := s.left.drain()
	if err == nil {
		s.left = nil
	}
	return err
}

// drain reads what is on the way and gives it to nobody.
func (r *fetchRun) drain() error {
	r.stopped, r.queue, r.yield = true, nil, nil
	for len(r.pending) > 0 {
		if err := r.hear(); err != nil {
			return err
		}
	}
	return nil
}

// uidSet writes a sequence-set (RFC 9051, section 9) of ascending UIDs.
type uidSet struct {
	text        []byte
	first, last uint32
}

func (u *uidSet) add(uid uint32) {
	if u.first != 0 && uid == u.last+1 {
		u.last = uid
		return
	}
	u.flush()
	u.first, u.last = uid, uid
}

func (u *uidSet) flush() {
	if u.first == 0 {
		return
	}
	if len(u.text) > 0 {
		u.text = append(u.text, ',')
	}
	u.text = strconv.AppendUint(u.text, uint64(u.first), 10)
	if u.last > u.first {
		u.text = fmt.Appendf(u.text, ":%d", u.last)
	}
	u.first = 0
}

// length is at least that of the finished set.
func (u *uidSet) length() int { return len(u.text) + 22 }

func (u *uidSet) String() string {
	u.flush()
	return string(u.text)
}
