package migrate

import (
	"context"
	"slices"
	"sync"
)

// surveysAhead is how many mailboxes are looked at together, so that they need not wait a round trip for each other.
const surveysAhead = 16

// mailboxes surveys mailboxes one after the other.
func (r *run) mailboxes(ctx context.Context, selected []Mailbox) error {
	for _, mbox := range selected {
		r.destination(r.Options.Mapping.Destination(mbox.Path)).users.Add(1)
	}
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

// foresee tells the source which mailboxes will be listed, opens lanes for what is likely to be found there, and makes
// what the destination lacks. Whatever goes wrong shows in its turn.
func (r *run) foresee(ctx context.Context, surveys []*survey) {
	if r.isHalted() {
		return
	}
	var making sync.WaitGroup
	defer making.Wait()
	making.Go(func() {
		defer r.rescue()
		r.makeAhead(ctx, surveys)
	})
	source, ok := r.control.source.(Foreseer)
	if !ok || r.Ledger == nil {
		return
	}
	var next []Listing
	var likely int64
	for _, s := range surveys {
		if s.mbox.NoSelect || s.stand(ctx, r.control.source) != nil || s.unchanged {
			continue
		}
		next = append(next, Listing{Mailbox: s.mbox.Path, Now: s.before, Since: s.changes})
		if fresh := s.before.Messages - s.known; fresh > 0 {
			likely += groupWorth + messageWorth*fresh
		}
	}
	for ; likely >= worthALane && !r.onlyControl() && !r.Options.Filter.ofMessages(); likely -= worthALane {
		r.startLane(ctx)
	}
	if len(next) > 1 {
		source.ListAhead(ctx, next)
	}
}

// makeAhead makes the mailboxes that the destination lacks.
func (r *run) makeAhead(ctx context.Context, surveys []*survey) {
	maker, ok := r.control.sink.(Maker)
	if !ok || r.Options.DryRun {
		return
	}
	var lacking []Mailbox
	for _, s := range surveys {
		there := s.mbox
		there.Path = s.dest
		if s.create && !slices.ContainsFunc(lacking, func(m Mailbox) bool { return m.Path == there.Path }) {
			lacking = append(lacking, there)
		}
	}
	if len(lacking) == 0 {
		return
	}
	r.creating.Lock()
	errs := maker.CreateAll(ctx, lacking)
	r.creating.Unlock()
	for i, err := range errs {
		if err == nil {
			r.destination(lacking[i].Path).setMade()
		}
	}
}

// foresee tells the source what will be fetched for the groups that the lane has before it, as far as it is certain that
// all of it is wanted. Of what has to be tried again it is told nothing.
func (l *lane) foresee(ctx context.Context) {
	groups := l.before
	l.before = nil
	source, ok := l.source.(Foreseer)
	if !ok || l.Options.DryRun {
		return
	}
	for _, g := range groups {
		if part := l.portion(g.messages); len(part) > 0 {
			if !l.wantsAll(ctx, g.work, part) {
				return
			}
			source.FetchAhead(ctx, g.mbox.Path, part)
			if len(part) < len(g.messages) {
				return // the rest of them comes next
			}
		}
	}
}

// wantsAll tells whether all of messages will be fetched, since none of them can be at the destination already.
func (l *lane) wantsAll(ctx context.Context, w *work, messages []Message) bool {
	d := l.destination(w.dest)
	d.lookInBooks(ctx, l)
	d.mu.Lock()
	known, empty := d.listed, !d.doubted && l.existed != nil && l.existed[d.path] == nil
	wanted := d.shut == nil && (known || empty) && len(d.open) == 0
	d.mu.Unlock()
	return wanted && !slices.ContainsFunc(messages, func(m Message) bool {
		_, suspect := l.suspected(w, m.Key)
		may, err := d.mayHold(m)
		return suspect || may || err != nil
	})
}
