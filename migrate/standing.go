package migrate

import (
	"context"
	"time"
)

// standingKeeps is how long it counts where a mailbox stood.
const standingKeeps = time.Minute

// A standing is how a mailbox of the source stands to what earlier runs have seen of it.
type standing struct {
	at        time.Time // zero: not known
	known     int64     // messages that had arrived, and were there when they were last listed
	unchanged bool      // nothing has to be listed
	changes   *Status   // listing these is enough: what happened since then; nil for all
	recounts  bool      // see recount
}

// stand learns where the mailbox stands, and how much of it has to be listed. Where nothing has moved since it was last
// dealt with, nothing has to be.
func (s *survey) stand(ctx context.Context, source Source) (err error) {
	s.standing = standing{}
	if s.Ledger == nil {
		return nil
	}
	if statuser, ok := source.(Statuser); ok {
		if s.before, err = statuser.Status(ctx, s.mbox.Path); err != nil {
			return atEnd(s.Source, err)
		}
	}
	now := standing{at: time.Now()}
	if now.known, err = s.Ledger.Count(ctx, s.mbox.Path); err != nil {
		return err
	}
	seen, ok, err := s.Ledger.Seen(ctx, s.mbox.Path)
	if err != nil {
		return err
	}
	_, tells := source.(Changer)
	switch {
	case !ok || seen.UIDValidity != s.before.UIDValidity:
	case s.before.UIDNext != 0 && s.before.UIDNext < seen.UIDNext:
		now.recounts = true
	case s.Options.Filter.ofMessages() || seen.Messages != now.known:
	case seen == s.before && seen.HighestModSeq != 0:
		now.unchanged = true
	case tells:
		now.changes = &seen
	}
	s.standing = now
	return nil
}
