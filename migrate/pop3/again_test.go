package pop3

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"postcask/migrate"
	"postcask/migrate/memory"
	"postcask/migrate/testserver"
)

// TestBackupsOfMaildropsThatForgetNames runs three backups of a maildrop that gives its messages new names between
// them, or none, or one name to several: each message is kept once, and what size and header settle is not downloaded.
func TestBackupsOfMaildropsThatForgetNames(t *testing.T) {
	octets := make([][]byte, 12)
	for i := range octets {
		octets[i] = fmt.Appendf(nil, "Date: x\r\nMessage-ID: <%d@example.org>\r\n\r\nbody\r\n", i)
	}
	octets = append(octets, octets[3]) // a twin
	for _, test := range []struct {
		name   string
		opts   testserver.POP3Options
		anew   bool // delivered again between the runs, and so under new names
		bodies int  // that a later run reads
	}{
		{name: "new names each time", anew: true, bodies: 2}, // the twins
		{name: "lasting names"},
		{name: "no names", opts: testserver.POP3Options{Without: []string{"UIDL"}}, bodies: 13},
		{name: "some names given twice", bodies: 6, opts: testserver.POP3Options{UIDL: func(_ string, n int, _ []byte) string { return fmt.Sprint(max(n, 6)) }}},
		{name: "sizes that are not true", anew: true, bodies: 13, opts: testserver.POP3Options{Size: func(octets []byte) int { return len(octets) + 2 }}},
		{name: "no TOP", anew: true, bodies: 13, opts: testserver.POP3Options{Without: []string{"TOP"}}},
	} {
		t.Run(test.name, func(t *testing.T) {
			server, account, _ := memoryDrop(t, 0, test.opts)
			deliver := func() {
				for _, m := range server.Messages("me") {
					server.Remove("me", m.UIDL)
				}
				for _, o := range octets {
					server.Deliver("me", o)
				}
			}
			deliver()
			to, ledger := memory.New(), &memory.Ledger{}
			for run := range 3 {
				before := len(server.Commands())
				summary, err := migrate.Run(t.Context(), migrate.Job{
					Source: "source", Destination: "destination", Ledger: ledger,
					OpenSource: func(ctx context.Context) (migrate.Source, error) { return New(account).Open(ctx) },
					OpenSink:   func(context.Context) (migrate.Sink, error) { return to.OpenKnowing(), nil },
					Options:    migrate.Options{Backoff: func(int) time.Duration { return 0 }},
				})
				if err != nil {
					t.Fatal(err)
				}
				bodies := 0
				for _, line := range server.Commands()[before:] {
					if strings.Contains(line, "RETR") {
						bodies++
					}
				}
				if run == 0 && summary.Copied != 13 || run > 0 && (summary.Present != 13 || bodies != test.bodies) {
					t.Errorf("run %d: %+v, %d bodies", run, summary, bodies)
				}
				var got []string
				for _, m := range to.Messages("INBOX") {
					got = append(got, string(m.Octets))
				}
				var want []string
				for _, o := range octets {
					want = append(want, string(o))
				}
				slices.Sort(got)
				slices.Sort(want)
				if !slices.Equal(got, want) {
					t.Fatalf("run %d: %d messages, want %d", run, len(got), len(want))
				}
				if test.anew {
					deliver()
				}
			}
		})
	}
}
