package wire

import (
	"regexp"
	"strconv"
	"strings"
	"time"

	"postcask/migrate"
)

// A Plea is what a server says when it could serve us, but not now. Kind is Unavailable, or Limit where the account
// has used up what its provider allows for the day.
type Plea struct {
	Kind       migrate.Kind
	Advice     migrate.Advice
	RetryAfter time.Duration
	Hint       string
}

// Error makes an error of a refusal that is a plea.
func (p Plea) Error(err error) *migrate.Error {
	return &migrate.Error{Kind: p.Kind, Advice: p.Advice, RetryAfter: p.RetryAfter, Hint: p.Hint, Err: err}
}

// How long a server is left alone that asks for a pause and does not say of what length. A lane waits longer with each
// time that it hears so, whatever stands here.
const (
	shortPause    = time.Second
	lockedPause   = 5 * time.Second
	busyPause     = 15 * time.Second
	throttlePause = 30 * time.Second
	loginPause    = time.Minute
	quotaOfLogins = 15 * time.Minute
)

// PleaOf tells whether a refusal (NO, BAD, BYE, -ERR) is a plea. code is the response code in capitals, without its
// arguments: those of RFC 5530, of RFC 2449, section 8, and of RFC 3206, and what large providers made up; text is what
// follows it. At log-in more words count, since a full house must not be taken for a wrong password. In the
// middle of work only those that cannot be about the message or mailbox that was asked for.
func PleaOf(code, text string, login bool) (Plea, bool) {
	text = strings.ToLower(text)
	later := func(pause time.Duration) (Plea, bool) {
		return Plea{Kind: migrate.Unavailable, Advice: migrate.Later, RetryAfter: pause}, true
	}
	fewer := has(text, "too many simultaneous", "too many connections", "too many open connections", "too many sessions", "too many concurrent",
		"maximum number of connections", "maximum number of sessions", "connection limit", "concurrent connections", "connections from")
	switch {
	case has(text, "bandwidth limit", "bandwidth quota", "exceeded command or bandwidth"):
		return Plea{Kind: migrate.Limit, Hint: "the provider allows so much a day and no more; run the same command again tomorrow, it goes on from there"}, true
	case has(text, "suggested backoff time"):
		return later(suggested(text))
	case code == "THROTTLED" || has(text, "is throttled", "being throttled", "throttling"):
		return later(throttlePause)
	case fewer:
		return Plea{Kind: migrate.Unavailable, Advice: migrate.Fewer, RetryAfter: shortPause,
			Hint: "the server allows fewer connections: use --connections 1 or 2, and close other mail programs"}, true
	case has(text, "login limit"):
		return later(quotaOfLogins)
	case code == "LOGIN-DELAY":
		return Plea{Kind: migrate.Unavailable, Advice: migrate.Later, RetryAfter: loginPause,
			Hint: "the server wants more time between two log-ins; try again later"}, true
	case code == "IN-USE" || login && has(text, "already locked", "lock maildrop", "lock mailbox", "maildrop is locked", "mailbox is locked", "maildrop locked", "mailbox locked"):
		return Plea{Kind: migrate.Unavailable, Advice: migrate.Later, RetryAfter: lockedPause,
			Hint: "another program reads the maildrop; try again when it has finished"}, true
	case code == "INUSE": // the lock may be held by another connection of ours
		return Plea{Kind: migrate.Unavailable, Advice: migrate.Fewer, RetryAfter: lockedPause}, true
	case has(text, "server unavailable", "user is authenticated but not connected"):
		return later(busyPause)
	case code == "UNAVAILABLE", code == "SYS/TEMP":
		return later(shortPause)
	case code == "LIMIT" && (login || has(text, "rate limit", "try again", "later", "too many requests", "too many commands")):
		// Elsewhere it may be about the message alone, as with too many keywords (RFC 5530, section 3).
		return later(throttlePause)
	case !login:
	case code == "SERVERBUG", code == "CONTACTADMIN":
		return later(shortPause)
	case (code == "" || code == "ALERT") && has(text, "too many", "maximum number", "try again", "temporar", "unavailable", "rate limit", "throttl"):
		return later(shortPause)
	}
	return Plea{}, false
}

func has(text string, signs ...string) bool {
	for _, sign := range signs {
		if strings.Contains(text, sign) {
			return true
		}
	}
	return false
}

var backoffTime = regexp.MustCompile(`suggested backoff time:? *([0-9]{1,12}) *(milliseconds|ms|seconds|s)?\b`)

// suggested reads Exchange's hint. What makes no sense counts as none of a length.
func suggested(text string) time.Duration {
	found := backoffTime.FindStringSubmatch(text)
	if found == nil {
		return throttlePause
	}
	n, err := strconv.ParseInt(found[1], 10, 64)
	if err != nil {
		return throttlePause
	}
	unit := time.Millisecond
	if strings.HasPrefix(found[2], "s") {
		unit = time.Second
	}
	return min(time.Duration(min(n, int64(48*time.Hour/unit)))*unit, 48*time.Hour)
}
