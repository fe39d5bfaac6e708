package migrate

import (
	"context"
	"slices"
)

// surveysAhead is how many mailboxes are looked at together, so that they need not wait a round trip for each other.
const surveysAhead = 16

// mailboxes surveys mailboxes one after the other.
func (r *run) mailboxes(ctx context.Context, selected []Mailbox) error {
	for part := range slices.Chunk(selected, surveysAhead) {
		surveys := make([]*survey, len(part))
		for i, mbox := range part {
			surveys[i] = r.newSurvey(mbox)
		}
		r.foresee(ctx, surveys)
		for _, s := range surveys {
			if r.isHalted() {
				return nil
			}
			if err := s.do(ctx); err != nil {
				return err
			}
		}
	}
	return nil
}

// foresee tells the source which mailboxes will be listed. Whatever goes wrong shows when they are.
func (r *run) foresee(ctx context.Context, surveys []*survey) {
	source, ok := r.control.source.(Foreseer)
	if !ok || r.isHalted() || r.Ledger == nil {
		return
	}
	var next []Listing
	for _, s := range surveys {
		if s.mbox.NoSelect || s.stand(ctx, r.control.source) != nil || s.unchanged {
			continue
		}
		next = append(next, Listing{Mailbox: s.mbox.Path, Now: s.before, Since: s.changes})
	}
	if len(next) > 1 {
		source.ListAhead(ctx, next)
	}
}
