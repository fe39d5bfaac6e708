package pop3

import (
	"context"
	"fmt"
	"iter"
	"strings"

	"postcask/migrate"
)

// How much may be under way when commands are pipelined (RFC 2449, section 6.6). So many commands always fit into the
// socket's buffer: writing them never waits for the server, who may wait for us to read. And no more octets than these
// have to be thrown away by who stops early, but for a single message that is larger.
const (
	windowCommands = 16
	windowOctets   = 4 << 20
	unknownOctets  = 256 << 10 // what a message counts for whose size nobody told
)

// A request is one message that the lane shall ask for.
type request struct {
	number int   // in this session
	octets int64 // as LIST has it
}

// A reply answers the request of the same place in the order.
type reply struct {
	at      int
	body    *turn    // to be read before the next reply is asked for
	refusal *Refusal // or why there is none
}

// lane is one run of requests through the connection.
type lane struct {
	s        *Session
	command  func(number int) string
	requests []request
	sent     int
	octets   int64 // under way
}

// run asks for each message by the command that is made of its number, and yields the replies in order. What the caller
// leaves of a body is skipped. An error ends the sequence and the session.
func (s *Session) run(ctx context.Context, requests []request, command func(number int) string) iter.Seq2[reply, error] {
	return func(yield func(reply, error) bool) {
		if err := s.alive(ctx); err != nil {
			yield(reply{}, err)
			return
		}
		stop := s.conn.Watch(ctx)
		defer stop()
		defer s.rest()
		if err := s.settle(); err != nil {
			yield(reply{}, err)
			return
		}
		l := &lane{s: s, command: command, requests: requests}
		s.lane = l
		for at := range requests {
			r, err := l.next(at)
			if err != nil {
				yield(reply{}, err)
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

// next keeps the window full and reads the status of request at.
func (l *lane) next(at int) (reply, error) {
	s := l.s
	if s.lane != l {
		return reply{}, migrate.Errorf(migrate.Failed, "the session was used for something else between two messages")
	}
	if at > 0 {
		if err := s.skipCurrent(); err != nil {
			return reply{}, err
		}
		l.octets -= l.requests[at-1].weight()
	}
	s.conn.SetBusy(true) // anew: who asks may have paused for longer than the server may
	if err := l.fill(); err != nil {
		return reply{}, err
	}
	line, err := s.conn.readLine()
	if err != nil {
		return reply{}, err
	}
	s.pending--
	_, refusal, err := s.conn.judge(l.command(l.requests[at].number), line)
	if err != nil {
		return reply{}, err
	}
	if refusal != nil {
		return reply{at: at, refusal: refusal}, nil
	}
	s.current = &body{conn: s.conn}
	return reply{at: at, body: &turn{body: s.current}}, nil
}

// fill sends as many commands as the window takes, once it is half empty: packets full of commands are cheaper.
func (l *lane) fill() error {
	s, window := l.s, 1
	if s.can("PIPELINING") {
		window = windowCommands
	}
	if s.pending > window/2 {
		return nil
	}
	var commands []string
	for l.sent < len(l.requests) && s.pending < window {
		next := l.requests[l.sent]
		if s.pending > 0 && l.octets+next.weight() > windowOctets {
			break
		}
		commands = append(commands, l.command(next.number))
		l.octets += next.weight()
		l.sent++
		s.pending++
	}
	if len(commands) == 0 {
		return nil
	}
	if s.pending == len(commands) && s.conn.in.Buffered() > 0 {
		// Nothing is awaited: what is there would be taken for the first of these messages, and each for the next.
		return s.conn.failed(fmt.Errorf("the server spoke unasked before %s", commands[0]))
	}
	if err := s.client.Send(strings.Join(commands, "\r\n")); err != nil {
		return s.conn.failed(err)
	}
	return nil
}

func (r request) weight() int64 {
	if r.octets < 0 {
		return unknownOctets
	}
	return r.octets
}

// idle tells whether every command has been answered to the last octet.
func (s *Session) idle() bool { return s.pending == 0 && s.current == nil }

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

// settle reads and forgets what earlier commands of the lane still bring, so that the next command meets its own answer.
func (s *Session) settle() error {
	s.lane = nil
	if s.idle() {
		return nil
	}
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
			s.current = &body{conn: s.conn}
		}
	}
}

func retr(number int) string { return fmt.Sprintf("RETR %d", number) }
func top(number int) string  { return fmt.Sprintf("TOP %d 0", number) }
