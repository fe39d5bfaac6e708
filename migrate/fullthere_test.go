package migrate_test

import (
	"fmt"
	"testing"

	"postcask/migrate"
	"postcask/migrate/memory"
)

// A destination that another tool has filled with very many messages of one size is read once, and each message finds its
// own copy there: that of its date and flags, where there are several.
func TestAFullDestinationIsReadOnce(t *testing.T) {
	const count = 2300
	for name, text := range map[string]string{
		"all different": "Message-ID: <%05d@example.org>\r\n\r\n%05d\r\n",
		"twins":         "Message-ID: <%05[2]d@example.org>\r\n\r\n%05[2]d\r\n",
	} {
		t.Run(name, func(t *testing.T) {
			from, to := memory.New(), memory.New()
			put := func(s *memory.Store, i int) {
				flags := migrate.NewFlags(fmt.Sprintf("$Word%d", i))
				s.Put("INBOX", migrate.Message{InternalDate: day, Flags: flags}, fmt.Appendf(nil, text, i, i/2))
			}
			for i := range count {
				put(from, i)
				put(to, count-1-i)
			}
			did := map[string]int{}
			to.Step = func(operation string) error {
				did[operation]++
				return nil
			}
			ledger := &memory.Ledger{}
			summary := mustRun(t, job(from, to, ledger))
			if summary.Present != count || did["body"] != count || did["flags"] > 0 {
				t.Errorf("%+v; at the destination: %v", summary, did)
			}
			same(t, to, from)
			put(from, count)
			if summary := mustRun(t, job(from, to, ledger)); summary.Copied != 1 || summary.Present != count || did["body"] != count {
				t.Errorf("the next run: %+v; at the destination: %v", summary, did)
			}
		})
	}
}
