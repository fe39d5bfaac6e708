package pop3

import (
	"bufio"
	"context"
	"sync"
	"time"
)

// quitLimit is how long the answer to QUIT is waited for.
const quitLimit = 10 * time.Second

// smallBuffer holds an answer, of which RFC 2449, section 4, allows 512 octets.
const smallBuffer = 512

// farewells are the connections over which QUIT was said, and whose answer nobody has waited for: nothing was deleted, so
// it tells nothing but that the maildrop is free again. Only who wants to log in once more has to know that.
type farewells struct {
	mu    sync.Mutex
	conns map[*conn]*time.Timer
}

// add takes a connection that QUIT was sent over. It ends when the answer was read, or is not to come any more.
func (f *farewells) add(c *conn) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.conns == nil {
		f.conns = map[*conn]*time.Timer{}
	}
	c.in = bufio.NewReaderSize(c.Conn, smallBuffer) // the other, which is empty, is large
	f.conns[c] = time.AfterFunc(quitLimit, func() { f.forget(c) })
}

func (f *farewells) forget(c *conn) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if timer, ok := f.conns[c]; ok {
		timer.Stop()
		delete(f.conns, c)
	}
	c.Close()
}

// wait reads the answers: a server keeps the maildrop locked until it has said them.
func (f *farewells) wait(ctx context.Context) {
	f.mu.Lock()
	conns := make([]*conn, 0, len(f.conns))
	for c := range f.conns {
		conns = append(conns, c)
	}
	f.mu.Unlock()
	for _, c := range conns {
		stop := c.Watch(ctx)
		c.SetBusy(true)
		c.readLine() // whatever the answer, or the end, the connection ends here
		stop()
		f.forget(c)
	}
}
