package pop3

import (
	"bytes"
	"context"
	"fmt"
	"iter"
	"strconv"
	"strings"

	"postcask/migrate"
)

// How much may be under way when commands are pipelined (RFC 2449, section 6.6). So many commands, less than 4 KB, fit
// into any socket's buffer: writing them never waits for the server, who may wait for us to read. The octets are about
// what a fast line holds over a long way, and the most that has to be thrown away by who stops early, but for a single
// message that is larger.
const (
	windowCommands = 256
	windowOctets   = 16 << 20
	unknownOctets  = 256 << 10 // what a message counts for whose size nobody told
)

// A request is one message that the lane shall ask for.
type request struct {
	message *migrate.Message // that is asked for; nil where it is to be named
	number  int              // in this session
	octets  int64            // as LIST has it
	known   []byte           // the octets, where they are at hand: then nothing is asked
	err     error            // why it is not asked for

	unwanted bool // it was asked for ahead, in vain
}

// A reply answers a request.
type reply struct {
	request
	body    *turn    // to be read before the next reply is asked for
	refusal *Refusal // or why there is none
}

// A question is the command that asks for a message, less its number.
type question struct{ before, after string }

var (
	retr = question{before: "RETR "}
	top  = question{before: "TOP ", after: " 0"}
)

func (q question) appendTo(line []byte, number int) []byte {
	return append(strconv.AppendInt(append(line, q.before...), int64(number), 10), q.after...)
}

// lane is one run of requests through the connection.
type lane struct {
	s        *Session
	question question
	requests func() (request, error, bool) // gives the next one
	ended    bool                          // there are none
	spare    *request                      // one that did not fit into the window
	foreseen []request                     // under way when the lane began
	queue    []request                     // under way, or known, in order
	octets   int64                         // under way
	commands []byte
}

// run asks for each message that requests yields, and gives the replies in the same order. No more requests are taken
// than the window holds. What the caller leaves of a body is skipped. An error ends the sequence and the session.
func (s *Session) run(ctx context.Context, requests iter.Seq2[request, error], question question) iter.Seq2[reply, error] {
	return func(yield func(reply, error) bool) {
		if err := s.alive(ctx); err != nil {
			yield(reply{}, err)
			return
		}
		stop := s.conn.Watch(ctx)
		defer stop()
		defer s.rest()
		foreseen := s.foreseen
		if len(foreseen) == 0 || question != retr || s.current != nil {
			foreseen = nil
			if err := s.settle(); err != nil {
				yield(reply{}, err)
				return
			}
		}
		s.foreseen = nil
		next, end := iter.Pull2(requests)
		defer end()
		l := &lane{s: s, question: question, requests: next, foreseen: foreseen}
		s.lane = l
		for {
			r, ok, err := l.next()
			if err != nil {
				yield(reply{}, err)
				return
			}
			if !ok {
				return
			}
			more := yield(r, nil)
			if r.body != nil {
				r.body.over = true
			}
			if !more {
				return
			}
		}
	}
}

// next keeps the window full and reads the status of the oldest request. ok is false when there is none.
func (l *lane) next() (r reply, ok bool, err error) {
	if l.s.lane != l {
		return r, false, migrate.Errorf(migrate.Failed, "the session was used for something else between two messages")
	}
	for {
		if err := l.s.skipCurrent(); err != nil {
			return r, false, err
		}
		if err := l.fill(); err != nil {
			return r, false, err
		}
		if len(l.queue) == 0 {
			return r, false, nil
		}
		r = reply{request: l.queue[0]}
		l.queue = l.queue[1:]
		if r.isSettled() {
			r.body = &turn{from: bytes.NewReader(r.known)}
			return r, true, nil
		}
		if err := l.answer(&r); err != nil {
			return r, false, err
		}
		if !r.unwanted {
			return r, true, nil
		}
	}
}

// answer reads the status of the request whose turn it is.
func (l *lane) answer(r *reply) error {
	s := l.s
	s.conn.SetBusy(true) // anew: who asks may have paused for longer than the server may
	line, err := s.conn.readLine()
	if err != nil {
		return err
	}
	s.pending--
	l.octets -= r.weight()
	_, r.refusal, err = s.conn.judge(string(l.question.appendTo(nil, r.number)), line)
	if err != nil || r.refusal != nil {
		return err
	}
	s.current = s.newBody(r.request)
	r.body = &turn{from: s.current}
	return nil
}

// fill sends as many commands as the window takes, once a quarter of it is free: packets full of commands are cheaper.
func (l *lane) fill() error {
	s, window := l.s, 1
	if s.can("PIPELINING") {
		window = windowCommands
	}
	if err := l.adopt(); err != nil {
		return err
	}
	if l.ended && l.spare == nil || len(l.queue) > 0 && s.pending > window*3/4 {
		return nil
	}
	sent := 0
	l.commands = l.commands[:0]
	for s.pending+sent < window && len(l.queue) < windowCommands {
		r, ok, err := l.pull()
		if err != nil {
			return err
		}
		if !ok {
			break
		}
		if !r.isSettled() {
			if s.pending+sent > 0 && l.octets+r.weight() > windowOctets {
				l.spare = &r
				break
			}
			l.commands = l.question.appendTo(append(l.commands, "\r\n"...), r.number)
			l.octets += r.weight()
			sent++
		}
		l.queue = append(l.queue, r)
	}
	if sent == 0 {
		return nil
	}
	commands := string(l.commands[len("\r\n"):])
	if s.pending == 0 && s.conn.in.Buffered() > 0 {
		// Nothing is awaited: what is there would be taken for the first of these messages, and each for the next.
		first, _, _ := strings.Cut(commands, "\r\n")
		return s.conn.failed(fmt.Errorf("the server spoke unasked before %s", first))
	}
	s.pending += sent
	s.conn.SetBusy(true)
	if err := s.client.Send(commands); err != nil {
		return s.conn.failed(err)
	}
	return nil
}

// pull gives the next request.
func (l *lane) pull() (r request, ok bool, err error) {
	if l.spare != nil {
		r, l.spare = *l.spare, nil
		return r, true, nil
	}
	r, err, ok = l.requests()
	l.ended = !ok
	return r, ok, err
}

// isSettled tells whether nothing has to be asked.
func (r request) isSettled() bool { return r.known != nil || r.err != nil }

// newBody makes the body that answers r.
func (s *Session) newBody(r request) *body {
	b := &body{conn: s.conn, announced: r.octets, endless: s.endless}
	if r.message != nil {
		b.uidl = r.message.Key.Name
	}
	return b
}

func (r request) weight() int64 {
	if r.octets < 0 {
		return unknownOctets
	}
	return r.octets
}

// idle tells whether every command has been answered to the last octet.
func (s *Session) idle() bool { return s.pending == 0 && s.current == nil && len(s.ahead) == 0 }

// rest stops the clock when nothing is awaited.
func (s *Session) rest() {
	if s.current != nil && s.current.err != nil {
		s.current = nil
	}
	if s.idle() {
		s.conn.SetBusy(false)
	}
}

// skipCurrent reads the rest of the body in hand.
func (s *Session) skipCurrent() error {
	if s.current == nil {
		return nil
	}
	err := s.current.skip()
	s.current = nil
	return err
}

// settle reads and forgets what earlier commands still bring, so that the next command meets its own answer.
func (s *Session) settle() error {
	s.lane, s.foreseen = nil, nil
	if s.idle() {
		return nil
	}
	s.pending += len(s.ahead)
	s.ahead = nil
	s.conn.SetBusy(true)
	defer s.rest()
	for {
		if err := s.skipCurrent(); err != nil {
			return err
		}
		if s.pending == 0 {
			return nil
		}
		line, err := s.conn.readLine()
		if err != nil {
			return err
		}
		s.pending--
		_, refusal, err := s.conn.judge("left over", line)
		if err != nil {
			return err
		}
		if refusal == nil {
			s.current = s.newBody(request{octets: -1})
		}
	}
}
