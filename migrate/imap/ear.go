package imap

import (
	"fmt"
	"sync"
)

// An ear hears the server in a goroutine of its own while commands are written and more of them are being collected, so
// that neither side ever waits for the other to read. All that it hears is kept until the session asks for it.
type ear struct {
	s         *Session
	listening sync.WaitGroup

	mu       sync.Mutex
	change   *sync.Cond
	open     map[string]*parcel // commands without a verdict, by tag
	hearing  bool               // the goroutine is there
	consents int                // requests to go on that nobody has taken
	remarks  []remark           // what the server said beside
	err      error
}

// remarksLimit bounds what is kept of the server's talk; repetitions do not count.
const remarksLimit = 100_000

func (s *Session) newEar() *ear {
	e := &ear{s: s, open: map[string]*parcel{}}
	e.change = sync.NewCond(&e.mu)
	return e
}

// expect listens for the verdict on p, which is about to be sent.
func (e *ear) expect(p *parcel) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.open[p.tag] = p
	if !e.hearing && e.err == nil {
		e.hearing = true
		e.s.busy.passive.Store(true) // the clock is the writer's: a source may be slow to bring a message
		e.s.in.asked()
		e.listening.Go(e.hear)
	}
}

// hear reads until each command has its verdict or the connection fails.
func (e *ear) hear() {
	defer func() {
		if p := recover(); p != nil {
			e.fail(e.s.broken(fmt.Errorf("reading the server's answer: %v", p)))
		}
	}()
	for {
		resp, err := e.s.read()
		var said remark
		if err == nil && resp.tag == "*" {
			said, err = e.s.hearRemark(resp)
		}
		if err != nil {
			e.fail(err)
			return
		}
		if e.take(resp, said) {
			return
		}
	}
}

func (e *ear) fail(err error) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.err, e.hearing = err, false
	e.change.Broadcast()
}

// take keeps a response. over tells that nothing is awaited any more.
func (e *ear) take(resp *response, said remark) (over bool) {
	e.mu.Lock()
	defer e.mu.Unlock()
	defer e.change.Broadcast()
	switch p := e.open[resp.tag]; {
	case p != nil:
		p.verdict = &resp.status
		delete(e.open, resp.tag)
		said = remark{status: resp.status}
		e.s.in.asked() // what comes from here on answers the next
	case resp.tag == "+":
		e.consents++
		return false
	}
	if n := len(e.remarks); said.word == "EXISTS" && n > 0 && e.remarks[n-1].word == "EXISTS" {
		e.remarks[n-1] = said
	} else if said.matters() {
		e.remarks = append(e.remarks, said)
	}
	if len(e.remarks) > remarksLimit {
		e.err = e.s.broken(errWithoutEnd)
	}
	e.hearing = len(e.open) > 0 && e.err == nil
	return !e.hearing
}

// wait waits until done, which is asked under the lock, or for the connection's error; the clock runs meanwhile.
func (e *ear) wait(done func() bool) error {
	e.mu.Lock()
	defer e.mu.Unlock()
	if done() || e.err != nil {
		return e.err
	}
	e.s.conn.SetBusy(true)
	defer e.s.conn.SetBusy(false)
	for !done() && e.err == nil {
		e.change.Wait()
	}
	return e.err
}

// deafen forgets requests to go on that nobody has waited for: they are no consent to what comes next.
func (e *ear) deafen() {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.consents = 0
}

// consent waits for the server to ask for the octets of p's literal. goOn is false when it has refused p instead.
func (e *ear) consent(p *parcel) (goOn bool, err error) {
	err = e.wait(func() bool { return p.verdict != nil || e.consents > 0 })
	if err != nil {
		return false, err
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	if p.verdict != nil {
		return false, nil
	}
	e.consents--
	return true, nil
}

// judged tells whether the verdict on p is there.
func (e *ear) judged(p *parcel) bool {
	e.mu.Lock()
	defer e.mu.Unlock()
	return p.verdict != nil
}

// quiet waits for all verdicts.
func (e *ear) quiet() error { return e.wait(func() bool { return len(e.open) == 0 }) }

// finish waits for all verdicts and for the goroutine, and has the session take to heart what was said. After an error
// nothing more is heard.
func (e *ear) finish() error {
	err := e.quiet()
	e.listening.Wait()
	e.s.busy.passive.Store(false)
	for _, said := range e.remarks {
		if err == nil {
			err = e.s.applyRemark(said)
		}
	}
	e.remarks = nil
	return err
}
