package imap

import (
	"fmt"
)

// An ear hears the server in a goroutine of its own while commands are written.
type ear struct {
	s       *Session
	parcels []*parcel
	byTag   map[string]*parcel
	events  chan event
	quit    chan struct{}
	stopped chan struct{}
	err     error
	open    int // parcels without a verdict, as far as events were taken
}

// An event is a verdict, a request to go on, or the end.
type event struct {
	parcel *parcel // nil for a request to go on
	status status
	err    error
}

// listen starts to hear the verdicts of parcels.
func (s *Session) listen(parcels []*parcel) *ear {
	e := &ear{s: s, parcels: parcels, byTag: make(map[string]*parcel, len(parcels)), events: make(chan event, 2*len(parcels)+1),
		quit: make(chan struct{}), stopped: make(chan struct{}), open: len(parcels)}
	for _, p := range parcels {
		e.byTag[p.tag] = p
	}
	s.busy.passive.Store(true) // the clock is the writer's: a source may be slow to bring a message
	go e.hear(len(parcels))
	return e
}

// hear reads until each parcel has its verdict or the connection fails.
func (e *ear) hear(open int) {
	defer close(e.stopped)
	defer func() {
		if p := recover(); p != nil {
			e.tell(event{err: e.s.broken(fmt.Errorf("reading the server's answer: %v", p))})
		}
	}()
	heard := make(map[string]bool, open)
	for open > 0 {
		resp, err := e.s.read()
		if err != nil {
			e.tell(event{err: err})
			return
		}
		ev := event{}
		switch p := e.byTag[resp.tag]; {
		case p != nil && !heard[resp.tag]:
			heard[resp.tag] = true
			open--
			e.s.learnCode(resp.status)
			ev.parcel, ev.status = p, resp.status
		case resp.tag == "+":
		default:
			if err := e.s.note(resp); err != nil {
				e.tell(event{err: err})
				return
			}
			continue
		}
		if !e.tell(ev) {
			return
		}
	}
}

func (e *ear) tell(ev event) bool {
	select {
	case e.events <- ev:
		return true
	case <-e.quit:
		return false
	}
}

// next waits for an event; the clock runs meanwhile.
func (e *ear) next() event {
	select {
	case ev := <-e.events:
		return e.take(ev)
	default:
	}
	e.s.conn.SetBusy(true)
	defer e.s.conn.SetBusy(false)
	return e.take(<-e.events)
}

func (e *ear) take(ev event) event {
	switch {
	case ev.err != nil:
		e.err = ev.err
	case ev.parcel != nil:
		ev.parcel.verdict = &ev.status
		e.open--
	}
	return ev
}

// consent waits for the server to ask for the octets of p's literal. goOn is false when it has refused p instead.
func (e *ear) consent(p *parcel) (goOn bool, err error) {
	for p.verdict == nil {
		ev := e.next()
		if ev.err != nil {
			return false, ev.err
		}
		if ev.parcel == nil {
			return true, nil
		}
	}
	return false, nil
}

// quiet waits for the verdicts of all parcels before p.
func (e *ear) quiet(p *parcel) error {
	for _, before := range e.parcels {
		if before == p {
			return nil
		}
		for before.verdict == nil {
			if ev := e.next(); ev.err != nil {
				return ev.err
			}
		}
	}
	return nil
}

// finish waits for the verdicts that are still open, and for the goroutine. Nothing more is heard after an error.
func (e *ear) finish() error {
	for e.open > 0 && e.err == nil {
		e.next()
	}
	close(e.quit)
	<-e.stopped
	e.s.busy.passive.Store(false)
	return e.err
}
