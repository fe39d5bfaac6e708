package migrate

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"strings"
	"syscall"
	"time"
)

// A Kind sorts errors by what a user, a script or a retry can do about them.
type Kind uint8

// The kinds of error. Each has an exit status of the command line; see docs/scripting.md.
const (
	Failed      Kind = iota // anything else
	Misuse                  // asked for wrongly; nothing was contacted
	Auth                    // log-in refused or a secret is missing
	Unavailable             // server or network trouble: worth another try
	Locked                  // another run holds the archive or the ledger
	Refused                 // the destination refuses all: quota, permission
	Limit                   // stopped at a limit; run again to go on
	Damaged                 // the archive or ledger is missing, damaged or from a newer version
	Unsafe                  // refused by a safety rule
)

// An Error tells at which end and with which message something went wrong. Any field but Err may be empty.
type Error struct {
	Kind    Kind
	End     string // as in "source imap.example.org"
	Mailbox Path
	Key     Key
	Err     error
	Hint    string // what to do next, for a person

	Advice     Advice        // whether another try helps, where the Kind alone does not tell
	RetryAfter time.Duration // with Later or Fewer: how long to wait at least; 0 where the server names no time
}

// Advice says what is known of trying again beyond what a Kind says.
type Advice uint8

// The pieces of advice.
const (
	AsKind Advice = iota // Unavailable is worth another try, nothing else is
	Later                // worth another try after a while: the server is busy, and no message or mailbox is to blame
	Fewer                // as Later; there are too many connections, and a run that has others can do without this one
	Never                // not worth another try in this run
)

// Error gives one line: end, mailbox, message, cause. What a cause repeats of that is told once.
func (e *Error) Error() string { return e.under(Error{}) }

// under gives the line as a cause of what is told already.
func (e *Error) under(told Error) string {
	var line []string
	if e.End != "" && e.End != told.End {
		line = append(line, e.End)
		told.End = e.End
	}
	var place []string
	if e.Mailbox != "" && e.Mailbox != told.Mailbox {
		place = append(place, fmt.Sprintf("%q", e.Mailbox))
		told.Mailbox, told.Key = e.Mailbox, Key{}
	}
	if e.Mailbox != "" && !e.Key.IsZero() && e.Key != told.Key {
		place = append(place, e.Key.String())
		told.Key = e.Key
	}
	if len(place) > 0 {
		line = append(line, strings.Join(place, ", "))
	}
	cause, ok := e.Err.(*Error)
	if !ok {
		return strings.Join(append(line, e.Err.Error()), ": ")
	}
	return strings.Join(append(line, cause.under(told)), ": ")
}

// Unwrap gives the cause.
func (e *Error) Unwrap() error { return e.Err }

// Errorf makes an Error of kind with a cause formatted as by fmt.Errorf.
func Errorf(kind Kind, format string, args ...any) error {
	return &Error{Kind: kind, Err: fmt.Errorf(format, args...)}
}

// KindOf tells the kind of err: the first that is told along its chain; Unavailable for broken connections and
// time-outs that nobody told the kind of; else Failed.
func KindOf(err error) Kind {
	for e := err; e != nil; {
		var told *Error
		if !errors.As(e, &told) {
			break
		}
		if told.Kind != Failed {
			return told.Kind
		}
		e = told.Err
	}
	if errors.Is(err, io.ErrUnexpectedEOF) || errors.Is(err, net.ErrClosed) {
		return Unavailable
	}
	var network net.Error
	if !errors.As(err, &network) {
		return Failed
	}
	if _, errno := network.(syscall.Errno); errno { // it has the methods, but a disk's trouble is no network's
		return Failed
	}
	return Unavailable
}

// concerns tells whether any Error along err's chain is as asked.
func concerns(err error, is func(*Error) bool) bool {
	var told *Error
	for errors.As(err, &told) {
		if is(told) {
			return true
		}
		err = told.Err
	}
	return false
}

// concernsMailbox tells whether the trouble is with one mailbox alone, and trying again would not help.
func concernsMailbox(err error) bool {
	return !IsTemporary(err) && !concernsSession(err) && concerns(err, func(e *Error) bool { return e.Mailbox != "" })
}

// HintOf gives the first hint along err's chain, or "".
func HintOf(err error) string {
	for e := err; e != nil; {
		var told *Error
		if !errors.As(e, &told) {
			return ""
		}
		if told.Hint != "" {
			return told.Hint
		}
		e = told.Err
	}
	return ""
}

// AdviceOf gives the first piece of advice along err's chain, and how long the server wants to be left alone.
func AdviceOf(err error) (Advice, time.Duration) {
	var told *Error
	for errors.As(err, &told) {
		if told.Advice != AsKind {
			return told.Advice, max(told.RetryAfter, 0)
		}
		err = told.Err
	}
	return AsKind, 0
}

// IsTemporary tells whether trying again with a new connection may help.
func IsTemporary(err error) bool {
	if err == nil || errors.Is(err, context.Canceled) {
		return false
	}
	switch advice, _ := AdviceOf(err); advice {
	case AsKind:
		return KindOf(err) == Unavailable
	case Never:
		return false
	}
	return true
}

// concernsSession tells whether it is the server as a whole that will not go on, now or today: then the message or the
// mailbox that it said so of is not to blame, and nothing is left behind because of it.
func concernsSession(err error) bool {
	advice, _ := AdviceOf(err)
	return err != nil && (advice == Later || advice == Fewer || KindOf(err) == Limit)
}
