package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"strings"
	"sync"

	"golang.org/x/term"

	"postcask/migrate"
	"postcask/migrate/wire"
)

// A terminal decides which stream gets what: results go to standard output, everything else to standard error, and
// what a server named reaches neither uncleaned. It is safe for several goroutines.
type terminal struct {
	stdout, stderr io.Writer

	quiet, json, noInput bool
	verbose              int
	color, logFile       string

	log    *slog.Logger // the trace; nil where nobody asked for it
	logOut *os.File

	mu sync.Mutex
	// The bar is taken off while a line is printed.
	bar *bar
	at  func() string // what SIGUSR1 tells
}

// setup makes the terminal what the global flags say.
func (t *terminal) setup() error {
	switch t.color {
	case "auto", "always", "never":
	default:
		return misuse("", "--color %s is none of auto, always, never", t.color)
	}
	if t.logFile != "" {
		file, err := os.OpenFile(t.logFile, os.O_WRONLY|os.O_CREATE|os.O_APPEND, 0o600)
		if err != nil {
			return misuse("", "log file: %w", err)
		}
		t.logOut = file
	}
	var to []io.Writer
	if t.logOut != nil {
		to = append(to, t.logOut)
	}
	if t.verbose > 1 {
		to = append(to, lineWriter{t})
	}
	if len(to) > 0 {
		t.log = slog.New(slog.NewTextHandler(io.MultiWriter(to...), &slog.HandlerOptions{Level: slog.LevelDebug}))
	}
	return nil
}

// close ends the use of the log file.
func (t *terminal) close() {
	if t.logOut != nil {
		t.logOut.Close()
	}
}

// lineWriter lets the trace share standard error with the bar and the messages.
type lineWriter struct{ t *terminal }

func (w lineWriter) Write(line []byte) (int, error) {
	w.t.mu.Lock()
	defer w.t.mu.Unlock()
	w.t.hideBar()
	return w.t.stderr.Write(line)
}

// print writes a line of results. A standard output that is closed harms nobody.
func (t *terminal) print(line string) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.hideBar()
	fmt.Fprintln(t.stdout, line)
}

// object writes a JSON line of results.
func (t *terminal) object(value any) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.hideBar()
	encoder := json.NewEncoder(t.stdout)
	encoder.SetEscapeHTML(false)
	encoder.Encode(value)
}

// say writes a line to standard error, behind "postcask: " and the label, if there is one.
func (t *terminal) say(label, text string) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.hideBar()
	prefix := "postcask: "
	if label != "" {
		prefix += label + ": "
		if t.colored() {
			prefix = "postcask: " + labelColors[label] + label + ":\x1b[0m "
		}
	}
	fmt.Fprintln(t.stderr, prefix+wire.Clean(text))
}

var labelColors = map[string]string{"error": "\x1b[1;31m", "warning": "\x1b[1;33m", "hint": "\x1b[1m"}

// note tells of the way things go, unless --quiet.
func (t *terminal) note(format string, args ...any) {
	if !t.quiet {
		t.say("", fmt.Sprintf(format, args...))
	}
}

// warn tells of something wrong that does not end the command.
func (t *terminal) warn(text string) { t.say("warning", text) }

// fail tells why the command ends: an error and, where there is one, a hint.
func (t *terminal) fail(err error, hint string) {
	t.say("error", errorText(err))
	if hint != "" {
		t.say("hint", hint)
	}
}

// errorText puts a cause in words for a person.
func errorText(err error) string {
	if errors.Is(err, migrate.ErrStopped) || errors.Is(err, context.Canceled) {
		return "interrupted"
	}
	return strings.ReplaceAll(err.Error(), "\n", "; ") // of errors that were joined
}

// colored tells whether labels on standard error are coloured: https://no-color.org is heeded.
func (t *terminal) colored() bool {
	switch t.color {
	case "always":
		return true
	case "never":
		return false
	}
	return os.Getenv("NO_COLOR") == "" && isTerminal(t.stderr)
}

// wantsBar tells whether there is somebody to look at a bar.
func (t *terminal) wantsBar() bool {
	return !t.quiet && !t.json && t.verbose == 0 && os.Getenv("TERM") != "dumb" && isTerminal(t.stderr)
}

// isTerminal tells whether a stream is one.
func isTerminal(stream any) bool {
	file, ok := stream.(*os.File)
	return ok && term.IsTerminal(int(file.Fd()))
}

// showBar puts a bar on the screen, or takes it off for good where b is nil.
func (t *terminal) showBar(b *bar) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.hideBar()
	t.bar = b
}

// hasBar tells whether there is a bar.
func (t *terminal) hasBar() bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.bar != nil
}

// progress moves the bar, if there is one, and remembers where the work is: place says it, if somebody asks.
func (t *terminal) progress(place func() string, p migrate.Progress) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.at = place
	if t.bar != nil {
		t.bar.update(p)
	}
}

// place remembers where the work is.
func (t *terminal) place(text string) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.at = func() string { return text }
}

// tellPlace answers SIGUSR1.
func (t *terminal) tellPlace() {
	t.mu.Lock()
	at := t.at
	t.mu.Unlock()
	if at == nil {
		at = func() string { return "nothing has begun yet" }
	}
	t.say("", at())
}

// hideBar takes the bar off the screen until its next step. The caller holds mu.
func (t *terminal) hideBar() {
	if t.bar != nil {
		t.bar.hide()
	}
}
