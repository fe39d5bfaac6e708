package imap

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"

	"postcask/migrate"
)

// Remove deletes messages: \Deleted is set on exactly their UIDs, and exactly these are expunged by UID EXPUNGE
// (RFC 4315, section 2.1), so that what others have flagged stays. A server without UIDPLUS only gets the flag. What
// is Gone or Marked was seen to be so by listing it afterwards. Messages of another UIDVALIDITY are Kept.
func (s *Session) Remove(ctx context.Context, mbox migrate.Path, doomed []migrate.Doomed) (migrate.Removal, error) {
	if s.readOnly {
		return migrate.Removal{}, at(mbox, errReadOnly)
	}
	if err := s.open(ctx, mbox); err != nil { // anew: some servers show what has changed only then
		return migrate.Removal{}, err
	}
	removal := migrate.Removal{Removed: make([]migrate.Removed, len(doomed))}
	fates := map[uint32]*migrate.Removed{}
	meant := map[uint32]migrate.Doomed{}
	var uids []uint32
	for i, m := range doomed {
		r := &removal.Removed[i]
		r.Key = m.Key
		switch {
		case m.Key.UID == 0 || m.Key.Name != "" || s.view.validity == 0:
			r.Fate, r.Err = migrate.Kept, errors.New("the server has no lasting name for it")
		case m.Key.Validity != s.view.validity:
			r.Fate, r.Err = migrate.Kept, errRenumbered
		default:
			fates[m.Key.UID], meant[m.Key.UID] = r, m
			uids = append(uids, m.Key.UID)
		}
	}
	slices.Sort(uids)
	for uids = slices.Compact(uids); len(uids) > 0; {
		var set uidSet
		n := 0
		for n < len(uids) && set.length() < commandLimit-1000 {
			set.add(uids[n])
			n++
		}
		if err := s.removeSet(ctx, mbox, uids[:n], meant, fates); err != nil {
			return migrate.Removal{}, at(mbox, err)
		}
		uids = uids[n:]
	}
	return removal, nil
}

// removeSet deletes a few messages of the open mailbox, given by UID in ascending order.
func (s *Session) removeSet(ctx context.Context, mbox migrate.Path, uids []uint32, meant map[uint32]migrate.Doomed, fates map[uint32]*migrate.Removed) error {
	there, err := s.rowsOf(ctx, uids)
	if err != nil {
		return err
	}
	var sure []uint32
	var unsure []migrate.Message
	for _, uid := range uids {
		m, ok := there[uid]
		switch {
		case !ok:
			fates[uid].Fate = migrate.Vanished
		case m.Size == meant[uid].Identity.Size && !meant[uid].Unread:
			sure = append(sure, uid)
		default: // never read before, or a server that announces wrong sizes: the octets decide
			unsure = append(unsure, migrate.Message{Key: meant[uid].Key})
		}
	}
	if err := s.readThrough(ctx, mbox, unsure, meant, fates, &sure); err != nil {
		return err
	}
	if len(sure) == 0 {
		return nil
	}
	slices.Sort(sure)
	return s.expunge(ctx, sure, fates)
}

// readThrough reads messages to learn which are what they should be, and adds those to sure.
func (s *Session) readThrough(ctx context.Context, mbox migrate.Path, unsure []migrate.Message, meant map[uint32]migrate.Doomed, fates map[uint32]*migrate.Removed, sure *[]uint32) error {
	if len(unsure) == 0 {
		return nil
	}
	for _, m := range unsure {
		fates[m.Key.UID].Fate = migrate.Vanished // unless it comes
	}
	for f, err := range s.Fetch(ctx, mbox, unsure) {
		if err != nil {
			return err
		}
		r := fates[f.Message.Key.UID]
		if f.Err != nil {
			r.Fate, r.Err = migrate.Kept, f.Err
			continue
		}
		hasher := migrate.NewHasher()
		if _, err := io.Copy(hasher, f.Body); err != nil {
			return err
		}
		if !hasher.Identity().Same(meant[f.Message.Key.UID].Identity) {
			r.Fate, r.Err = migrate.Kept, errors.New("the server has another message under its UID now")
			continue
		}
		*sure = append(*sure, f.Message.Key.UID)
	}
	return nil
}

// expunge flags and expunges exactly these messages, and looks what is left of them.
func (s *Session) expunge(ctx context.Context, uids []uint32, fates map[uint32]*migrate.Removed) error {
	text := setOf(uids)
	said, err := s.exchange(ctx, fmt.Sprintf(`UID STORE %s +FLAGS.SILENT (\Deleted)`, text), nil)
	if err != nil {
		return err
	}
	what := "flag as deleted"
	single := s.has("UIDPLUS")
	if single && (said.ok() || said.code == "EXPUNGEISSUED") {
		what = "expunge"
		if said, err = s.exchange(ctx, "UID EXPUNGE "+text, nil); err != nil {
			return err
		}
	}
	left, err := s.rowsOf(ctx, uids)
	if err != nil {
		return err
	}
	for _, uid := range uids {
		r := fates[uid]
		m, there := left[uid]
		switch {
		case !there && single:
			r.Fate = migrate.Gone
		case !there: // we have expunged nothing, so somebody else has
			r.Fate = migrate.Vanished
		case !said.ok():
			r.Fate, r.Err = migrate.Kept, said.refusal(what)
		case !single && m.Flags.Has(`\Deleted`):
			r.Fate = migrate.Marked
		default:
			r.Fate, r.Err = migrate.Kept, fmt.Errorf("%s: the server says %s, but has it as before", what, said)
		}
	}
	return nil
}

// rowsOf lists messages of the open mailbox by UID. Each response is taken by the UID in it: the numbers of messages
// may move between two responses, since this is a UID command (RFC 9051, section 7.5.1).
func (s *Session) rowsOf(ctx context.Context, uids []uint32) (map[uint32]migrate.Message, error) {
	rows := make(map[uint32]migrate.Message, len(uids))
	st, err := s.exchange(ctx, "UID FETCH "+setOf(uids)+" (UID FLAGS RFC822.SIZE)", func(resp *response) error {
		if resp.word != "FETCH" {
			return nil
		}
		m := migrate.Message{Size: -1}
		if err := readItems(s.in, &m); err != nil {
			return err
		}
		if _, asked := slices.BinarySearch(uids, m.Key.UID); asked && (m.Size >= 0 || rows[m.Key.UID].Key.UID == 0) {
			rows[m.Key.UID] = m
		}
		return nil
	})
	if err == nil && !st.ok() {
		err = st.refusal("list messages")
	}
	return rows, err
}

func setOf(uids []uint32) string {
	var set uidSet
	for _, uid := range uids {
		set.add(uid)
	}
	return set.String()
}

var _ migrate.Remover = (*Session)(nil)
