package pop3

import (
	"bytes"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"

	"postcask/migrate"
	"postcask/migrate/wire"
)

// A Refusal is a -ERR of the server. It comes wrapped in a migrate.Error of the kind that its code tells.
type Refusal struct {
	Command string // that was refused: the first word of it; empty for the greeting
	Code    string // the response code (RFC 2449, section 8, and RFC 3206) in capitals, such as SYS/TEMP; may be empty
	Text    string // what the server says, fit to be shown
}

// Error gives command, code and words.
func (r *Refusal) Error() string {
	var b strings.Builder
	if r.Command != "" {
		b.WriteString(r.Command + ": ")
	}
	b.WriteString("-ERR")
	if r.Code != "" {
		b.WriteString(" [" + r.Code + "]")
	}
	if r.Text != "" {
		b.WriteString(" " + r.Text)
	}
	return b.String()
}

// as wraps the refusal as an error of the kind its code tells, with the pause that the server asks for, or else of kind
// without. The words of a refused log-in count too.
func (r *Refusal) as(without migrate.Kind) error {
	code, argument, _ := strings.Cut(r.Code, " ")
	if plea, ok := wire.PleaOf(code, r.Text, without != migrate.Failed); ok {
		if pause, ok := seconds(argument); ok && code == "LOGIN-DELAY" {
			plea.RetryAfter = pause
		}
		return plea.Error(r)
	}
	e := &migrate.Error{Kind: without, Err: r}
	switch {
	case r.Code == "AUTH":
		e.Kind = migrate.Auth
	case r.Code == "SYS/PERM":
		e.Kind = migrate.Failed
	}
	return e
}

// refused is Refusal.as with the pause between two log-ins that the server has announced (RFC 2449, section 6.5), where
// the refusal itself names none.
func (s *Session) refused(r *Refusal, without migrate.Kind) error {
	err := r.as(without)
	announced := s.capabilities["LOGIN-DELAY"]
	if r.Code != "LOGIN-DELAY" || len(announced) == 0 {
		return err
	}
	if delayed, ok := errors.AsType[*migrate.Error](err); ok {
		if pause, ok := seconds(announced[0]); ok {
			delayed.RetryAfter = pause
		}
	}
	return err
}

// longestDelay bounds what a server can ask for; the engine does not wait that long.
const longestDelay = 48 * time.Hour

func seconds(text string) (time.Duration, bool) {
	n, err := strconv.Atoi(text)
	if err != nil || n <= 0 {
		return 0, false
	}
	return min(time.Duration(min(n, 1<<20))*time.Second, longestDelay), true
}

// vanished tells whether the server says that there is no such message. No code says so, therefore the words decide,
// those of servers that are known; other words make the message one that cannot be read.
func (r *Refusal) vanished() bool {
	if r.Code != "" {
		return false
	}
	text := strings.ToLower(r.Text)
	for _, words := range [...]string{"no such message", "there's no message", "expunged", "message is deleted", "message deleted", "already deleted"} {
		if strings.Contains(text, words) {
			return true
		}
	}
	return false
}

// isStatus tells whether line is +OK or -ERR, in any case of letters.
func isStatus(line []byte) bool {
	_, _, ok := cutStatus(line)
	return ok
}

// cutStatus takes a status line apart: whether it is positive, and the text behind it.
func cutStatus(line []byte) (positive bool, text string, ok bool) {
	line = trimLine(line)
	for _, word := range [...]string{"+OK", "-ERR"} {
		if len(line) < len(word) || !bytes.EqualFold(line[:len(word)], []byte(word)) {
			continue
		}
		rest := string(line[len(word):])
		if rest == "" || strings.ContainsAny(rest[:1], " \t[") {
			return word == "+OK", strings.Trim(rest, " \t"), true
		}
	}
	return false, "", false
}

// judge makes of a status line its text, or a Refusal. Any other line ends the connection: who knows what it answers.
func (c *conn) judge(command string, line []byte) (string, *Refusal, error) {
	positive, text, ok := cutStatus(line)
	switch {
	case !ok:
		err := fmt.Errorf("neither +OK nor -ERR: %q", wire.Clean(c.redact(string(trimLine(line)))))
		if command != "" {
			err = fmt.Errorf("%s: %w", command, err)
		}
		return "", nil, c.failed(err)
	case positive:
		return text, nil, nil
	}
	refusal := &Refusal{Command: command}
	if code, rest, found := strings.Cut(text, "]"); found && strings.HasPrefix(code, "[") {
		refusal.Code = wire.Clean(c.redact(strings.ToUpper(code[1:])))
		text = strings.TrimLeft(rest, " \t")
	}
	refusal.Text = wire.Clean(c.redact(text))
	return "", refusal, nil
}
