package imap

import (
	"bytes"
	"context"
	"fmt"
	"net"
	"slices"
	"strconv"
	"sync/atomic"
	"testing"
	"time"

	"postcask/migrate"
	"postcask/migrate/memory"
	"postcask/migrate/testserver"
	"postcask/migrate/wire"
)

const lostPerBox = 40 // messages in each mailbox, and every second answer is lost

// TestAThousandLostAnswersToAppend migrates two thousand messages, every seventh twice, to a server that stores each
// and closes the connection in place of every second answer: afterwards each is there exactly once, in the octets that
// the server makes of them.
func TestAThousandLostAnswersToAppend(t *testing.T) {
	for _, test := range []struct {
		name    string
		boxes   int
		without []string
		rewrite func([]byte) []byte
		sure    bool
	}{
		{"with UIDPLUS", 50, nil, nil, true},
		{"without UIDPLUS", 50, []string{"UIDPLUS"}, nil, true},
		{"without UIDPLUS and LITERAL+", 5, []string{"UIDPLUS", "LITERAL+"}, nil, true},
		{"a server that changes messages", 50, nil, encoded, false},
		{"a server that changes messages, without UIDPLUS", 5, []string{"UIDPLUS"}, encoded, false},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			var lost atomic.Int64
			server := testserver.StartIMAP(t, testserver.IMAPOptions{Without: test.without, Rewrite: test.rewrite,
				LoseAppendReply: func(n int) bool {
					if n%2 == 0 {
						lost.Add(1)
					}
					return n%2 == 0
				}})
			server.Users(t, "me")
			from, want := memory.New(), map[string][]string{}
			for i := range test.boxes * lostPerBox {
				box := fmt.Sprintf("Box %d", i/lostPerBox)
				octets := fmt.Appendf(nil, "Message-ID: <%d@example.org>\r\nSubject: caf\xe9\r\n\r\nbody\r\n", i-i%7/6)
				from.Put(migrate.Path(box), migrate.Message{InternalDate: time.Unix(1e9, 0), Flags: migrate.NewFlags(`\Seen`)}, octets)
				if test.rewrite != nil {
					octets = test.rewrite(octets)
				}
				want[box] = append(want[box], string(octets))
			}
			summary, err := migrate.Run(t.Context(), migrate.Job{
				Source: "source", Destination: "destination", Ledger: &memory.Ledger{},
				OpenSource: func(ctx context.Context) (migrate.Source, error) { return from.Open(ctx) },
				OpenSink: func(ctx context.Context) (migrate.Sink, error) {
					return New(account(t, &server.Server)).Open(ctx, false)
				},
				Options: migrate.Options{Backoff: func(int) time.Duration { return 0 }},
			})
			if err != nil {
				t.Fatal(err)
			}
			least := int64(test.boxes * lostPerBox / 2)
			if lost.Load() < least || summary.Retries < least || summary.Messages != int64(test.boxes*lostPerBox) || summary.Failed != 0 {
				t.Errorf("%d answers lost, %+v", lost.Load(), summary)
			}
			if test.sure != (summary.Unsure == 0) {
				t.Errorf("unsure of %d messages", summary.Unsure)
			}
			for box, want := range want {
				mail, err := server.Messages("me", box)
				if err != nil {
					t.Fatal(err)
				}
				var got []string
				for _, m := range mail {
					got = append(got, string(m.Octets))
				}
				slices.Sort(got)
				slices.Sort(want)
				if !slices.Equal(got, want) {
					t.Errorf("%s: %d messages, want %d", box, len(got), len(want))
				}
			}
		})
	}
}

// encoded is what a server makes of a header with raw 8-bit octets.
func encoded(octets []byte) []byte {
	return bytes.ReplaceAll(octets, []byte("caf\xe9"), []byte("=?iso-8859-1?q?caf=e9?="))
}

// account gives the settings for me's account on a server in memory.
func account(t *testing.T, s *testserver.Server) wire.Config {
	t.Helper()
	host, port := splitAddress(t, s.IMAPAddr)
	return wire.Config{Host: host, Port: port, TLS: wire.Plain, User: "me", Timeout: 10 * time.Second,
		Password: func(context.Context) (string, error) { return testserver.Password, nil }}
}

func splitAddress(t *testing.T, address string) (string, int) {
	t.Helper()
	host, text, err := net.SplitHostPort(address)
	if err != nil {
		t.Fatal(err)
	}
	port, err := strconv.Atoi(text)
	if err != nil {
		t.Fatal(err)
	}
	return host, port
}
