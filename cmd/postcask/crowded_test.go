package main

import (
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"postcask/migrate"
	"postcask/migrate/imap"
	"postcask/migrate/memory"
	"postcask/migrate/testserver"
)

// TestServerAllowsFewConnections refuses every log-in from the third on, in the words of servers that are known: the
// run goes on with what it has, and each message arrives once.
func TestServerAllowsFewConnections(t *testing.T) {
	mail := cutMail()
	for _, answer := range []string{
		"NO [UNAVAILABLE] Maximum number of connections from user+IP exceeded (mail_max_userip_connections=2)",
		"NO [LIMIT] Too many simultaneous connections",
		"NO [ALERT] Too many simultaneous connections. (Failure)",
	} {
		t.Run(answer, func(t *testing.T) {
			var logins atomic.Int64
			from := filledIMAP(t, testserver.IMAPOptions{}, mail)
			to := filledIMAP(t, testserver.IMAPOptions{RefuseLogin: func(string) string {
				if logins.Add(1) > 2 {
					return answer
				}
				return ""
			}}, nil)
			summary, err := migrate.Run(t.Context(), migrate.Job{
				Source: "source", Destination: "destination", Ledger: &memory.Ledger{}, Options: migrate.Options{Lanes: 4},
				OpenSource: imapSource(imap.New(plainConfig(t, from.IMAPAddr))), OpenSink: imapSink(imap.New(plainConfig(t, to.IMAPAddr))),
			})
			if err != nil || summary.Copied != 24 || summary.Retries != 0 {
				t.Errorf("%+v, %v", summary, err)
			}
			if diff := cmp.Diff(mail, heldByIMAP(t, to)); diff != "" {
				t.Errorf("-sent +arrived:\n%s", diff)
			}
		})
	}
}

// TestPasswordRefusedIsShownOnce counts the log-ins that a server sees when the password is wrong.
func TestPasswordRefusedIsShownOnce(t *testing.T) {
	from := filledIMAP(t, testserver.IMAPOptions{}, cutMail())
	var logins atomic.Int64
	to := filledIMAP(t, testserver.IMAPOptions{RefuseLogin: func(string) string {
		logins.Add(1)
		return "NO [AUTHENTICATIONFAILED] wrong"
	}}, nil)
	patient := func(int) time.Duration { t.Error("it waits, to try again"); return 0 }
	_, err := migrate.Run(t.Context(), migrate.Job{
		Source: "source", Destination: "destination", Ledger: &memory.Ledger{}, Options: migrate.Options{Lanes: 4, Backoff: patient},
		OpenSource: imapSource(imap.New(plainConfig(t, from.IMAPAddr))), OpenSink: imapSink(imap.New(plainConfig(t, to.IMAPAddr))),
	})
	if exitStatus(err) != exitAuth || logins.Load() != 1 {
		t.Errorf("%d log-ins: %v", logins.Load(), err)
	}
}
