package wire

import (
	"errors"
	"net"
	"syscall"
	"testing"
	"time"

	"postcask/migrate"
)

func TestServersAskForPatience(t *testing.T) {
	const none = migrate.Kind(255)
	for _, test := range []struct {
		code, text string
		login      bool
		kind       migrate.Kind // none: it is no plea
		advice     migrate.Advice
		pause      time.Duration
	}{
		{"", "Request is throttled. Suggested Backoff Time: 92415 milliseconds", false, migrate.Unavailable, migrate.Later, 92415 * time.Millisecond},
		{"", "Suggested Backoff Time: 7 seconds", false, migrate.Unavailable, migrate.Later, 7 * time.Second},
		{"", "Suggested Backoff Time: soon", false, migrate.Unavailable, migrate.Later, throttlePause},
		{"", "Suggested Backoff Time: 999999999999 milliseconds", false, migrate.Unavailable, migrate.Later, 48 * time.Hour},
		{"", "Suggested Backoff Time: 99999999999999999999999 milliseconds", false, migrate.Unavailable, migrate.Later, throttlePause},
		{"THROTTLED", "slow down", false, migrate.Unavailable, migrate.Later, throttlePause},
		{"", "Request is throttled.", false, migrate.Unavailable, migrate.Later, throttlePause},
		{"UNAVAILABLE", "Internal error", false, migrate.Unavailable, migrate.Later, shortPause},
		{"UNAVAILABLE", "Maximum number of connections from user+IP exceeded (mail_max_userip_connections=10)", true, migrate.Unavailable, migrate.Fewer, shortPause},
		{"LIMIT", "Maximum number of connections from user+IP exceeded", true, migrate.Unavailable, migrate.Fewer, shortPause},
		{"ALERT", "Too many simultaneous connections. (Failure)", true, migrate.Unavailable, migrate.Fewer, shortPause},
		{"", "Too many simultaneous connections", false, migrate.Unavailable, migrate.Fewer, shortPause},
		{"INUSE", "mailbox in use", false, migrate.Unavailable, migrate.Fewer, lockedPause},
		{"LIMIT", "LOGIN Rate limit hit.", true, migrate.Unavailable, migrate.Later, throttlePause},
		{"LIMIT", "FETCH Rate limit hit.", false, migrate.Unavailable, migrate.Later, throttlePause},
		{"LIMIT", "Too many user flags in mailbox", false, none, 0, 0},
		{"", "Server Unavailable. 15", false, migrate.Unavailable, migrate.Later, busyPause},
		{"", "User is authenticated but not connected.", false, migrate.Unavailable, migrate.Later, busyPause},
		{"OVERQUOTA", "Account exceeded command or bandwidth limits. (Failure)", true, migrate.Limit, migrate.AsKind, 0},
		{"", "Account exceeded bandwidth limits", false, migrate.Limit, migrate.AsKind, 0},
		{"OVERQUOTA", "Mailbox is full", false, none, 0, 0},
		{"IN-USE", "Do you have another POP session running?", true, migrate.Unavailable, migrate.Later, lockedPause},
		{"", "Maildrop already locked", true, migrate.Unavailable, migrate.Later, lockedPause},
		{"", "message is locked", false, none, 0, 0},
		{"LOGIN-DELAY", "minimum time between mail checks violation", true, migrate.Unavailable, migrate.Later, loginPause},
		{"", "Exceeded the login limit for a 15 minute period. Reduce the frequency of requests to the POP3 server.", true, migrate.Unavailable, migrate.Later, quotaOfLogins},
		{"SYS/TEMP", "try later", false, migrate.Unavailable, migrate.Later, shortPause},
		{"SYS/PERM", "no such mailbox", true, none, 0, 0},
		{"AUTHENTICATIONFAILED", "Temporary authentication failure", true, none, 0, 0},
		{"", "Temporary authentication failure", true, migrate.Unavailable, migrate.Later, shortPause},
		{"", "Temporary trouble with this message", false, none, 0, 0},
		{"SERVERBUG", "Internal error occurred", false, none, 0, 0},
		{"SERVERBUG", "Internal error occurred", true, migrate.Unavailable, migrate.Later, shortPause},
		{"", "Invalid credentials (Failure)", true, none, 0, 0},
	} {
		plea, ok := PleaOf(test.code, test.text, test.login)
		if test.kind == none {
			if ok {
				t.Errorf("[%s] %s (log-in %v) is taken for %+v", test.code, test.text, test.login, plea)
			}
			continue
		}
		if !ok || plea.Kind != test.kind || plea.Advice != test.advice || plea.RetryAfter != test.pause {
			t.Errorf("[%s] %s (log-in %v): %+v, %v", test.code, test.text, test.login, plea, ok)
		}
		err := plea.Error(errors.New("x"))
		if migrate.KindOf(err) != test.kind || migrate.IsTemporary(err) != (test.kind == migrate.Unavailable) {
			t.Errorf("[%s] %s: %#v", test.code, test.text, err)
		}
	}
}

func TestOnlyWhatMayPassIsTriedAgain(t *testing.T) {
	for _, test := range []struct {
		name string
		err  error
		want bool
	}{
		{"unknown name", &net.DNSError{Err: "no such host", Name: "mail.example.org", IsNotFound: true}, false},
		{"no answer from the resolver", &net.DNSError{Err: "server misbehaving", Name: "mail.example.org", IsTemporary: true}, true},
		{"resolver too slow", &net.DNSError{Err: "i/o timeout", Name: "mail.example.org", IsTimeout: true}, true},
		{"refused", &net.OpError{Op: "dial", Err: syscall.ECONNREFUSED}, true},
	} {
		if err := unreachable(test.err); migrate.KindOf(err) != migrate.Unavailable || migrate.IsTemporary(err) != test.want {
			t.Errorf("%s: kind %d, worth another try: %v", test.name, migrate.KindOf(err), migrate.IsTemporary(err))
		}
	}
}
