package main

import (
	"context"
	"errors"
	"fmt"
	"os"

	"golang.org/x/term"

	"postcask/migrate/wire"
)

// errNoTerminal tells that there is nobody to ask.
var errNoTerminal = errors.New("no terminal")

// askOnTerminal prompts for a password without showing it, on the controlling terminal so that redirected streams
// do not matter.
func askOnTerminal(ctx context.Context, prompt string) (string, error) {
	tty, err := os.OpenFile("/dev/tty", os.O_RDWR, 0)
	if err != nil {
		if !isTerminal(os.Stdin) || !isTerminal(os.Stderr) {
			return "", errNoTerminal
		}
		return readHidden(ctx, os.Stdin, os.Stderr, prompt)
	}
	defer tty.Close()
	return readHidden(ctx, tty, tty, prompt)
}

func readHidden(ctx context.Context, in, out *os.File, prompt string) (string, error) {
	fd := int(in.Fd())
	before, err := term.GetState(fd)
	if err != nil {
		return "", errNoTerminal
	}
	fmt.Fprint(out, wire.Clean(prompt))
	type answer struct {
		text []byte
		err  error
	}
	answers := make(chan answer, 1)
	// Nothing can wake a read from a terminal, so an interrupt leaves it behind: the process is about to end.
	go func() {
		text, err := term.ReadPassword(fd)
		answers <- answer{text, err}
	}()
	select {
	case <-ctx.Done():
		term.Restore(fd, before)
		fmt.Fprintln(out)
		return "", context.Cause(ctx)
	case got := <-answers:
		fmt.Fprintln(out)
		return string(got.text), got.err
	}
}
