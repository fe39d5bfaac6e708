package wire

import (
	"sync"
	"time"
)

// A Link is what the connections to one host have found out about the way there: how fast it is in each direction, and
// how far. They share it, and a connection opened later begins with what those before it have measured. It is safe for
// concurrent use, and a nil Link measures nothing.
//
// A direction's speed is the octets on the wire over the time in which somebody waited for the wire, and for nothing
// else: not the time that the other end of a run takes with them, nor that of a limit the user has set, nor the wait for
// the first octets of an answer. Where several connections wait at once, that time counts once.
type Link struct {
	mu         sync.Mutex
	down, up   flow
	quickest   time.Duration // answer that was ever given, 0 before there was one
	plain      bool          // nothing is compressed any more
	compressed int           // connections
	trial      *trial        // under way: whether it is of use to compress what comes
}

// A Direction is one of the two ways over a link.
type Direction bool

// The directions.
const (
	Down Direction = false // from the server
	Up   Direction = true  // to it
)

// What is measured has to be enough to go by: so many octets and so much waiting, or so many octets that there was
// hardly any.
const (
	enoughOctets  = 4 << 20
	enoughWaiting = 2 * time.Second
	manyOctets    = 32 << 20

	someOctets = 1 << 20 // for a first impression
)

// Compression costs a server some 27 ms of CPU for each MB that it sends, and so is worth it up to slowFar octets a
// second. A server that is near is hardly ever held up by the wire: if it brings less than that, it has other
// troubles, and only far less is a wire's fault.
const (
	slowFar  = 25e6
	slowNear = 5e6
	nearby   = 5 * time.Millisecond
)

// A flow is one direction's measure.
type flow struct {
	octets int64
	waited time.Duration
	until  time.Time // when somebody last stopped waiting
	rate   float64   // octets a second when last there was enough to go by, 0 before
}

// add counts octets that were waited for.
func (f *flow) add(octets int, began, ended time.Time) {
	if began.Before(f.until) {
		began = f.until // others have waited then
	}
	if ended.After(began) {
		f.waited += ended.Sub(began)
		f.until = ended
	}
	f.octets += int64(octets)
	if f.octets >= enoughOctets && f.waited >= enoughWaiting || f.octets >= manyOctets {
		f.rate = float64(f.octets) / max(f.waited, time.Millisecond).Seconds()
		f.octets, f.waited = 0, 0
	}
}

func (l *Link) flow(way Direction) *flow {
	if way == Up {
		return &l.up
	}
	return &l.down
}

// Moved counts octets on the wire that were waited for from began until now.
func (l *Link) Moved(way Direction, octets int, began time.Time) {
	if l == nil {
		return
	}
	ended := time.Now()
	l.mu.Lock()
	defer l.mu.Unlock()
	l.flow(way).add(octets, began, ended)
}

// Answered notes how long the answer took to a question that was alone on its way, or a connection to be made. The
// quickest tells how far away the server is at most.
func (l *Link) Answered(after time.Duration) {
	if l == nil {
		return
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.quickest == 0 || after < l.quickest {
		l.quickest = after
	}
}

// Slow gives the octets a second of a direction that was measured slow, so slow that it is better to compress, and 0 for
// one that was not, or not yet. While the first connection tries what comes of it, the others wait.
func (l *Link) Slow(way Direction) float64 {
	if l == nil {
		return 0
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	bound := slowFar
	if l.quickest < nearby {
		bound = slowNear
	}
	if rate := l.flow(way).rate; rate < bound && !l.plain && (way == Up || l.trial == nil) {
		return rate
	}
	return 0
}

// Unknown tells that Slow may yet come to another view of a direction: there was not enough to go by.
func (l *Link) Unknown(way Direction) bool {
	if l == nil {
		return false
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.flow(way).rate == 0 && !l.plain
}

// Quick tells that a direction, as far as there is not enough to go by yet, makes the impression of being faster than what
// is better compressed.
func (l *Link) Quick(way Direction) bool {
	if l == nil {
		return false
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	f := l.flow(way)
	return f.rate == 0 && f.octets >= someOctets && float64(f.octets) >= slowFar*f.waited.Seconds()
}

// KeepPlain has no connection ask for compression any more: the server does not have what it offers.
func (l *Link) KeepPlain() {
	if l == nil {
		return
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	l.plain = true
}

// Compressed tells how many connections were compressed.
func (l *Link) Compressed() int {
	if l == nil {
		return 0
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.compressed
}

// compresses counts a connection. One that mostly receives is the first to try it, unless there was a first.
func (l *Link) compresses(t *trial) {
	if l == nil {
		return
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.compressed++; l.trial == nil {
		l.trial = t
	}
}

// tried ends a trial: whether it was of use, or that the connection has ended before that was known.
func (l *Link) tried(t *trial, known, useful bool) {
	if l == nil {
		return
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.trial == t && t != nil {
		l.trial = nil
		l.plain = l.plain || known && !useful
	}
}
