package pop3

import (
	"context"
	"net"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"postcask/migrate"
	"postcask/migrate/memory"
	"postcask/migrate/testserver"
	"postcask/migrate/wire"
)

// A message that is sent without end is given up and left behind, with its name; those around it arrive. The server is
// asked for it once.
func TestMessageWithoutEnd(t *testing.T) {
	for _, pipelining := range []string{"PIPELINING", "X-SLOW"} {
		t.Run(pipelining, func(t *testing.T) {
			player := testserver.Play(t, strings.Join([]string{
				`ON: CAPA => +OK\r\nUIDL\r\nUSER\r\n` + pipelining + `\r\n.`, `ON: USER * => +OK`, `ON: PASS * => +OK`, `ON: QUIT => +OK`,
				`ON: STAT => +OK 3 9`, `ON: LIST => +OK\r\n1 3\r\n2 3\r\n3 3\r\n.`, `ON: UIDL => +OK\r\n1 one\r\n2 two\r\n3 three\r\n.`,
				`ON: RETR 1 => +OK\r\na\r\n.`, `ON: RETR 3 => +OK\r\nc\r\n.`,
				`S: +OK ready`, `C: RETR 2`, `S: +OK`, `FLOOD and so on`, `AGAIN`,
			}, "\n"))
			_, port, err := net.SplitHostPort(player.Addr)
			if err != nil {
				t.Fatal(err)
			}
			number, err := strconv.Atoi(port)
			if err != nil {
				t.Fatal(err)
			}
			account := New(wire.Config{Host: "127.0.0.1", Port: number, TLS: wire.Plain, Timeout: 5 * time.Second, User: "me", Auth: "user",
				Password: func(context.Context) (string, error) { return "secret", nil }})
			account.endless.most = 1 << 20
			to := memory.New()
			var left []string
			summary, err := migrate.Run(t.Context(), migrate.Job{
				Source: "source", Destination: "destination", Ledger: &memory.Ledger{},
				OpenSource: func(ctx context.Context) (migrate.Source, error) { return account.Open(ctx) },
				OpenSink:   func(ctx context.Context) (migrate.Sink, error) { return to.Open(ctx) },
				Options: migrate.Options{Backoff: func(int) time.Duration { return 0 }, Report: func(e migrate.Event) {
					if e.Outcome == migrate.Left {
						left = append(left, e.Err.Error())
					}
				}},
			})
			if err != nil || summary.Copied != 2 || summary.Failed != 1 {
				t.Errorf("%v, %+v", err, summary)
			}
			if len(left) != 1 || !strings.Contains(left[0], `"two"`) || !strings.Contains(left[0], "without an end") {
				t.Errorf("left behind: %q", left)
			}
			var got []string
			for _, m := range to.Messages("INBOX") {
				got = append(got, string(m.Octets))
			}
			if diff := cmp.Diff([]string{"a\r\n", "c\r\n"}, got); diff != "" {
				t.Errorf("-want +got:\n%s", diff)
			}
			if asked := strings.Count(string(player.Received()), "RETR 2"); asked != 1 {
				t.Errorf("it was asked for %d times", asked)
			}
		})
	}
}
