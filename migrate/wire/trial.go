package wire

import "time"

// A trial compares what a connection brings compressed with what it brought before. Where that is not more by far, it
// was the server that is slow and not the wire, and deflate makes it slower yet: then no other connection is
// compressed. Like the socket's counts it belongs to whoever reads.
type trial struct {
	socket *clocked
	before float64       // octets a second
	since  time.Duration // of the socket's waiting
	over   bool
}

// A trial takes so long at most, by the time that was waited or by what has come.
const (
	trialWaiting = 2 * time.Second
	trialOctets  = 32 << 20
	trialGain    = 1.2
)

func newTrial(socket *clocked) *trial {
	return &trial{socket: socket, before: rateOf(socket.awaited, socket.waited), since: socket.waited}
}

func rateOf(octets int64, waited time.Duration) float64 {
	return float64(octets) / max(waited, time.Millisecond).Seconds()
}

// judge ends the trial when enough is known, which is told by so many octets that have been inflated.
func (t *trial) judge(link *Link, inflated int64) {
	if t == nil || t.over {
		return
	}
	if waited := t.socket.waited - t.since; waited >= trialWaiting || inflated >= trialOctets {
		t.over = true
		link.tried(t, true, rateOf(inflated, waited) >= t.before*trialGain)
	}
}
