package imap

import (
	"cmp"
	"errors"
	"slices"
	"strconv"
	"strings"

	"postcask/migrate"
	"postcask/migrate/wire"
)

const (
	inFlight       = 4        // UID FETCH commands at once
	singlesAtOnce  = 16       // of those for one message each
	inFlightOctets = 16 << 10 // of command lines, so that writing them cannot wait for our reading
)

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

// begin is called when what the server says comes to be about this run.
func (r *fetchRun) begin() error {
	if r.opening == nil {
		return r.check()
	}
	r.s.view = r.view
	return nil
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
