package imap

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"strings"

	"postcask/migrate"
)

// message reads a FETCH response as it comes. Its items may have any order: a body whose UID is not known yet is held
// back until it is, in memory or, beyond holdLimit, in a file without a name.
func (r *fetchRun) message(resp *response) error {
	in := r.s.in
	var uid uint32
	var held *held
	defer func() { held.drop() }()
	for {
		t, err := in.next()
		if err != nil {
			return r.s.broken(err)
		}
		switch {
		case t.kind == tokenEnd:
			if uid == 0 {
				uid = r.guess(resp.number, held != nil)
			} else if len(r.uids) < 1<<16 {
				r.uids[resp.number] = uid
			}
			if held != nil {
				r.deliver(uid, held.body())
			}
			r.show(uid)
			return nil
		case t.is("UID"):
			if err := readNumber(in, 32, func(n uint64) { uid = uint32(n) }); err != nil {
				return r.s.broken(err)
			}
		case t.kind == tokenAtom && r.isBody(string(t.text)):
			if err := r.value(uid, resp.number, &held); err != nil {
				return r.s.broken(err)
			}
			if r.stopped {
				return nil // what is left of the response is skipped when the next is read
			}
		case t.kind == tokenAtom:
			in.flat = t.is("FLAGS")
			err := in.skipValue()
			in.flat = false
			if err != nil {
				return r.s.broken(err)
			}
		}
	}
}

// value reads the value of the body item.
func (r *fetchRun) value(uid, number uint32, hold **held) error {
	t, err := r.s.in.next()
	if err != nil {
		return err
	}
	switch {
	case t.kind == tokenLiteral && t.size > mostOctets:
		return r.refuseHuge(uid, number, t.size)
	case t.kind == tokenLiteral && uid != 0:
		body := &stepBody{in: r.s}
		r.deliver(uid, migrate.Body{Reader: body, Size: t.size})
		body.over = true
		return r.s.conn.Err()
	case t.kind == tokenLiteral:
		(*hold).drop()
		*hold, err = holdBack(r.s.in, t.size)
		return err
	case t.kind == tokenQuoted, t.kind == tokenAtom && !t.is("NIL"):
		(*hold).drop()
		*hold = &held{octets: bytes.Clone(t.text)}
	case t.kind == tokenOpen:
		return r.s.in.skipList()
	case t.is("NIL"):
		if i, ok := r.byUID[uid]; ok && r.messages[i].Size == 0 {
			*hold = &held{} // so some say "empty"
		}
	}
	return nil
}

// mostOctets is where a message is given up: no server takes one so large, and one that is announced to be without
// measure would fill the disk. RFC822.SIZE sets no other bound, it may lie either way.
const mostOctets = 4 << 30

// refuseHuge gives the message up, and with it the session: there is no way to stop an answer.
func (r *fetchRun) refuseHuge(uid, number uint32, size int64) error {
	if uid == 0 {
		uid = r.guess(number, true)
	}
	err := fmt.Errorf("the server announces %d octets for one message, where at most %d make sense", size, int64(mostOctets))
	if i, wanted := r.byUID[uid]; wanted && !r.done[i] {
		r.done[i] = true
		r.give(migrate.Fetched{Message: r.messages[i], Err: &migrate.Error{Kind: migrate.Failed, Err: err}})
	}
	return err
}

// isBody tells whether name is the item that was asked for, with the origin that some servers add.
func (r *fetchRun) isBody(name string) bool {
	name = strings.ToUpper(strings.TrimSuffix(name, "<0>"))
	if r.item == bodyItem {
		return name == "BODY[]"
	}
	return strings.HasPrefix(name, "BODY[HEADER.FIELDS") && strings.HasSuffix(name, "]")
}

// guess finds the UID of a response that does not tell it: by its number, if the same number has come with a UID
// since the numbers last moved, or because it answers the only question that is open. Where there are more questions
// than one, each is asked again on its own.
func (r *fetchRun) guess(number uint32, hasBody bool) uint32 {
	if uid := r.uids[number]; uid != 0 {
		return uid
	}
	if !hasBody {
		return 0
	}
	if len(r.pending) == 1 && r.pending[0].single {
		return r.messages[r.pending[0].wanted[0]].Key.UID
	}
	r.nameless = true
	for _, c := range r.pending {
		c.unsure = true
	}
	return 0
}

// show notes that the server knows of uid. Where it does not say whose message it tells of, that is the one message
// that was asked for: rather than have it vanish without a word.
func (r *fetchRun) show(uid uint32) {
	for _, c := range r.pending {
		if c.single && (r.messages[c.wanted[0]].Key.UID == uid || uid == 0 && len(r.pending) == 1) {
			c.shown = true
		}
	}
}

// deliver yields the body of uid if it is wanted and has not been yielded.
func (r *fetchRun) deliver(uid uint32, body migrate.Body) {
	i, wanted := r.byUID[uid]
	if !wanted || r.done[i] || r.stopped {
		return
	}
	r.done[i] = true
	r.give(migrate.Fetched{Message: r.messages[i], Body: body})
}

// A stepBody streams a literal during one step of the loop.
type stepBody struct {
	in   *Session
	over bool
}

var errStepOver = errors.New("the body was read after the step of the loop that it belongs to")

func (b *stepBody) Read(p []byte) (int, error) {
	if b.over {
		return 0, errStepOver
	}
	n, err := b.in.in.Read(p)
	if err != nil && err != io.EOF {
		known := b.in.broken(err)
		if errors.Is(err, io.ErrUnexpectedEOF) {
			return n, fmt.Errorf("%w (%w)", io.ErrUnexpectedEOF, known)
		}
		return n, known
	}
	return n, err
}

// readHead reads a header from a body; it is bounded, since a header that long is none.
func readHead(body migrate.Body) ([]byte, error) {
	return io.ReadAll(io.LimitReader(body, headerLimit))
}
