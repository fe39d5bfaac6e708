package pop3

import (
	"bytes"
	"context"
	"fmt"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"postcask/migrate"
	"postcask/migrate/memory"
	"postcask/migrate/testserver"
)

// A unique id that is given to another message is noticed by the size in LIST: the new message is kept beside the old
// one, and that is told. A server whose sizes merely change costs a look at the headers, or reading the mail where it
// has no TOP, and nothing is stored twice.
func TestAUniqueIDThatIsGivenToAnotherMessage(t *testing.T) {
	letter := func(id, body string) []byte {
		return fmt.Appendf(nil, "Date: x\r\nMessage-ID: <%s@example.org>\r\n\r\n%s\r\n", id, body)
	}
	first, second := letter("1", "body"), letter("2", "body")
	for name, test := range map[string]struct {
		again   []byte // what the first message's unique id names afterwards
		without []string
		slack   int // by how many octets LIST differs in each session
		bodies  int // that the second run reads
		kept    int64
	}{
		"nothing has changed":                 {again: first},
		"another message":                     {again: letter("3", "a body that is longer"), bodies: 2, kept: 1},
		"another message, no TOP":             {again: letter("3", "a body that is longer"), without: []string{"TOP"}, bodies: 2, kept: 1},
		"sizes that change":                   {again: first, slack: 1},
		"sizes that change, no TOP":           {again: first, slack: 1, without: []string{"TOP"}, bodies: 2},
		"put together anew, with more blanks": {again: bytes.Replace(first, []byte("Date: x"), []byte("Date:   x"), 1)},
	} {
		t.Run(name, func(t *testing.T) {
			var session atomic.Int64
			server, cfg, _ := memoryDrop(t, 0, testserver.POP3Options{
				Without: test.without,
				UIDL:    func(_ string, n int, _ []byte) string { return fmt.Sprint("id-", n) },
				Size:    func(octets []byte) int { return len(octets) + test.slack*int(session.Load()) },
			})
			deliver := func(octets ...[]byte) {
				for _, m := range server.Messages("me") {
					server.Remove("me", m.UIDL)
				}
				for _, o := range octets {
					server.Deliver("me", o)
				}
			}
			deliver(first, second)
			to, ledger := memory.New(), &memory.Ledger{}
			run := func() (summary migrate.Summary, bodies int, told []string) {
				session.Add(1)
				before := len(server.Commands())
				summary, err := migrate.Run(t.Context(), migrate.Job{
					Source: "source", Destination: "destination", Ledger: ledger,
					OpenSource: func(ctx context.Context) (migrate.Source, error) { return New(cfg).Open(ctx) },
					OpenSink:   func(context.Context) (migrate.Sink, error) { return to.OpenKnowing(), nil },
					Options: migrate.Options{Backoff: func(int) time.Duration { return 0 }, Report: func(e migrate.Event) {
						if e.Type == migrate.EventWarning {
							told = append(told, e.Err.Error())
						}
					}},
				})
				if err != nil {
					t.Fatal(err)
				}
				for _, line := range server.Commands()[before:] {
					if strings.HasPrefix(line, "RETR") {
						bodies++
					}
				}
				return summary, bodies, told
			}
			if summary, _, _ := run(); summary.Copied != 2 {
				t.Fatalf("first run: %+v", summary)
			}
			deliver(test.again, second)
			summary, bodies, told := run()
			if summary.Copied != test.kept || summary.Present != 2-test.kept || bodies != test.bodies || int64(len(told)) != test.kept {
				t.Errorf("%+v, %d bodies, told %q", summary, bodies, told)
			}
			if test.kept > 0 && !strings.Contains(told[0], `"id-1": the server gives another message`) {
				t.Errorf("told %q", told)
			}
			if summary, _, told := run(); summary.Copied != 0 || summary.Present != 2 || len(told) > 0 {
				t.Errorf("the run after: %+v, told %q", summary, told)
			}
			if got := int64(len(to.Messages("INBOX"))); got != 2+test.kept {
				t.Errorf("%d messages at the destination", got)
			}
		})
	}
}
