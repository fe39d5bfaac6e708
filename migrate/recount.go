package migrate

import (
	"context"
	"errors"
)

var errRecounts = errors.New("the server gives UIDs anew that it gave before (UIDNEXT went down); its messages are recognised by what they are")

// recount forgets by which keys messages of the mailbox were known, where its UIDNEXT went down under one UIDVALIDITY, as
// it never may (RFC 9051, section 2.3.1.1): any UID may now name another message, of the same size and date too. All of
// them are met like those of a mailbox that was numbered anew: what the destination holds of them is found there.
func (s *survey) recount(ctx context.Context) error {
	s.known = 0
	s.report(Event{Type: EventWarning, Mailbox: s.mbox.Path, Destination: s.dest,
		Err: &Error{End: string(s.Source), Mailbox: s.mbox.Path, Err: errRecounts}})
	if s.Options.DryRun {
		return nil
	}
	var keys []Key
	dests := map[Path]Key{}
	for entry, err := range s.Ledger.Entries(ctx, s.mbox.Path) {
		if err != nil {
			return err
		}
		if !entry.Retired {
			keys = append(keys, entry.Key)
			dests[entry.Mailbox] = Key{}
		}
	}
	if err := s.disown(ctx, dests); err != nil {
		return err
	}
	return s.forsake(ctx, keys)
}
