package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os/exec"
	"strings"
	"time"
)

// fromCommand runs a command of the user's for a password. Its standard error is shown, cleaned: a password manager
// asks and complains there.
func (s *secret) fromCommand(ctx context.Context, command string) (string, error) {
	cmd := exec.CommandContext(ctx, "sh", "-c", command)
	cmd.WaitDelay = time.Second // a child of the command may keep the pipe open
	var out bytes.Buffer
	complaints := &lineSplitter{tell: func(line string) { s.term.say("", "password command: "+line) }}
	cmd.Stdout, cmd.Stderr = &limitedWriter{w: &out, left: passwordLimit + 1}, complaints
	err := cmd.Run()
	complaints.flush()
	var exit *exec.ExitError
	switch {
	case ctx.Err() != nil:
		return "", context.Cause(ctx)
	case errors.As(err, &exit):
		return "", fmt.Errorf("password of %s: the command ended with %v", s.end, exit)
	case err != nil:
		return "", fmt.Errorf("password of %s: the command: %w", s.end, err)
	}
	return s.read(&out, "the command")
}

// read takes a password from what a file or a command gives.
func (s *secret) read(r io.Reader, from string) (string, error) {
	text, err := io.ReadAll(io.LimitReader(r, passwordLimit+1))
	switch {
	case err != nil:
		return "", fmt.Errorf("password of %s: %w", s.end, err)
	case len(text) > passwordLimit:
		return "", fmt.Errorf("password of %s: %s gives more than a password", s.end, from)
	}
	if text = trimNewline(text); len(text) == 0 {
		return "", fmt.Errorf("password of %s: %s gives nothing", s.end, from)
	}
	return string(text), nil
}

// limitedWriter drops what is beyond the limit, so that a command gone wild fills no memory.
type limitedWriter struct {
	w    io.Writer
	left int
}

func (l *limitedWriter) Write(p []byte) (int, error) {
	keep := p[:min(len(p), l.left)]
	l.left -= len(keep)
	if _, err := l.w.Write(keep); err != nil {
		return 0, err
	}
	return len(p), nil
}

// lineSplitter tells line by line what is written to it, and of a line no more than can be shown.
type lineSplitter struct {
	tell func(line string)
	line []byte
}

const shownLine = 1000

func (l *lineSplitter) Write(p []byte) (int, error) {
	for _, c := range p {
		if c == '\n' {
			l.flush()
		} else if len(l.line) < shownLine {
			l.line = append(l.line, c)
		}
	}
	return len(p), nil
}

func (l *lineSplitter) flush() {
	if text := strings.TrimSpace(string(l.line)); text != "" {
		l.tell(text)
	}
	l.line = l.line[:0]
}
