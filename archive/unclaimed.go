package archive

import (
	"context"
	"iter"

	"postcask/migrate"
	"postcask/migrate/ledger"
)

// A ledgerInside is the ledger of one source, in the index of the archive that its mail goes to.
type ledgerInside struct{ *ledger.Ledger }

// Unclaimed implements migrate.Unclaimer.
func (l ledgerInside) Unclaimed(ctx context.Context, mbox migrate.Path) iter.Seq2[migrate.Message, error] {
	return func(yield func(migrate.Message, error) bool) {
		for row, err := range l.Ledger.Unclaimed(ctx, mbox) {
			if !yield(messageOf(row), err) {
				return
			}
		}
	}
}
