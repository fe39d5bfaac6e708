package main

import (
	"context"
	"io"
	"runtime/debug"
	"sync"

	"postcask/migrate"
)

// An ahead opens connections, the first of them while what lies on the disk is being opened: that takes as long as to
// dial and to log in.
type ahead[End io.Closer] struct {
	open func(context.Context) (End, error)

	mu     sync.Mutex
	first  *opening[End] // begun, and nobody has it yet
	begun  bool
	cancel context.CancelFunc
}

// An opening is a connection in the making.
type opening[End io.Closer] struct {
	done     chan struct{}
	end      End
	err      error
	panicked *migrate.Panic
}

// begin makes the first connection, once; whoever takes it learns of any trouble. leave has to be called.
func (a *ahead[End]) begin(ctx context.Context) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.begun {
		return
	}
	ctx, a.cancel = context.WithCancel(ctx)
	first := &opening[End]{done: make(chan struct{})}
	a.first, a.begun = first, true
	go func() {
		defer close(first.done)
		defer func() {
			if fault := recover(); fault != nil {
				first.panicked = &migrate.Panic{Value: fault, Stack: debug.Stack()}
			}
		}()
		first.end, first.err = a.open(ctx)
	}()
}

// take gives the connection that was begun, if there is one, and otherwise makes one.
func (a *ahead[End]) take(ctx context.Context) (end End, err error) {
	a.mu.Lock()
	first := a.first
	a.first = nil
	a.mu.Unlock()
	if first == nil {
		return a.open(ctx)
	}
	stop := context.AfterFunc(ctx, a.cancel) // ctx ends no later than that of begin
	<-first.done
	stop()
	if first.panicked != nil {
		panic(first.panicked)
	}
	return first.end, first.err
}

// leave closes the connection that was begun and that nobody took.
func (a *ahead[End]) leave() {
	a.mu.Lock()
	first := a.first
	a.first = nil
	a.mu.Unlock()
	if a.cancel != nil {
		a.cancel()
	}
	if first == nil {
		return
	}
	<-first.done
	if first.panicked == nil && first.err == nil {
		first.end.Close() // nothing was asked of it
	}
}
