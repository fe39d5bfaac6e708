package wire

import (
	"testing"
	"time"
)

func TestOnlyASlowLinkIsToBeCompressed(t *testing.T) {
	start := time.Now()
	at := func(ms int) time.Time { return start.Add(time.Duration(ms) * time.Millisecond) }
	// steady has n connections wait for so many octets a second each, for so many seconds.
	steady := func(l *Link, connections, seconds int, octets int) {
		for ms := 0; ms < 1000*seconds; ms += 10 {
			for range connections {
				l.down.add(octets/100, at(ms), at(ms+10))
			}
		}
	}
	cases := []struct {
		name     string
		quickest time.Duration
		measure  func(l *Link)
		rate     float64 // 0 where it is not slow
	}{
		{"nothing is known", 0, func(*Link) {}, 0},
		{"slow", 20 * time.Millisecond, func(l *Link) { steady(l, 1, 3, 2e6) }, 2e6},
		{"slow over four connections", 20 * time.Millisecond, func(l *Link) { steady(l, 4, 3, 5e6) }, 20e6},
		{"fast over four connections", 20 * time.Millisecond, func(l *Link) { steady(l, 4, 3, 10e6) }, 0},
		{"not fast, but the server is near", time.Millisecond, func(l *Link) { steady(l, 4, 3, 5e6) }, 0},
		{"near, and slow all the same", time.Millisecond, func(l *Link) { steady(l, 4, 3, 1e6) }, 4e6},
		{"a small mailbox", 20 * time.Millisecond, func(l *Link) { steady(l, 1, 3, 1e6) }, 0},
		{"much at once, after a short wait", 20 * time.Millisecond, func(l *Link) { l.down.add(8<<20, at(0), at(900)) }, 0},
		{"octets that have come while nobody waited", 20 * time.Millisecond, func(l *Link) {
			for ms := 0; ms < 3000; ms += 10 { // held to 2 MB/s by ourselves: they lie there when we ask
				l.down.add(20_000, at(ms), at(ms))
			}
		}, 0},
		{"slow, then fast", 20 * time.Millisecond, func(l *Link) {
			steady(l, 1, 3, 2e6)
			start = start.Add(10 * time.Second)
			steady(l, 1, 3, 60e6)
		}, 0},
		{"the other direction", 20 * time.Millisecond, func(l *Link) { l.up.add(8<<20, at(0), at(4000)) }, 0},
		{"compression that was refused", 20 * time.Millisecond, func(l *Link) { steady(l, 1, 3, 2e6); l.KeepPlain() }, 0},
	}
	for _, c := range cases {
		l := new(Link)
		if c.quickest > 0 {
			l.Answered(time.Second)
			l.Answered(c.quickest)
		}
		c.measure(l)
		if got := l.Slow(Down); got < c.rate*0.95 || got > c.rate*1.05 {
			t.Errorf("%s: %.0f octets a second, not %.0f", c.name, got, c.rate)
		}
	}
}

func TestTheFirstImpressionOfALink(t *testing.T) {
	start := time.Now()
	at := func(ms int) time.Time { return start.Add(time.Duration(ms) * time.Millisecond) }
	for _, c := range []struct {
		name    string
		measure func(l *Link)
		quick   bool
	}{
		{"nothing has come", func(*Link) {}, false},
		{"too little to tell", func(l *Link) { l.down.add(512<<10, at(0), at(1)) }, false},
		{"fast", func(l *Link) { l.down.add(4<<20, at(0), at(40)) }, true},
		{"slow", func(l *Link) { l.down.add(4<<20, at(0), at(1000)) }, false},
		{"the other direction", func(l *Link) { l.up.add(4<<20, at(0), at(40)) }, false},
		{"it is known by now", func(l *Link) { l.down.add(64<<20, at(0), at(400)) }, false},
	} {
		l := new(Link)
		c.measure(l)
		if got := l.Quick(Down); got != c.quick {
			t.Errorf("%s: quick is %v", c.name, got)
		}
	}
	if (*Link)(nil).Quick(Down) {
		t.Error("a link that measures nothing makes an impression")
	}
}
