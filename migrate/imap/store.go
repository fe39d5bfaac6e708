package imap

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"strconv"
	"strings"

	imap "github.com/emersion/go-imap/v2"
	"github.com/emersion/go-imap/v2/imapclient"

	"postcask/migrate"
)

// uidNext gives the UID that the next message in path gets at least, or 0 where that is not known.
func (s *Session) uidNext(path migrate.Path) uint32 {
	if s.view == nil || s.view.path != path {
		return 0
	}
	return s.view.next
}

// Next implements migrate.Numberer. The mailbox stays open for the APPEND that follows, so that asking costs nothing; a
// mailbox that does not open tells nothing.
func (s *Session) Next(ctx context.Context, mbox migrate.Path) (migrate.Key, error) {
	if s.readOnly {
		return migrate.Key{}, at(mbox, errReadOnly)
	}
	if s.shut == mbox {
		return migrate.Key{}, s.usable(ctx)
	}
	if err := s.enter(ctx, mbox); err != nil {
		if s.alive(err) {
			return migrate.Key{}, nil
		}
		return migrate.Key{}, err
	}
	return migrate.Key{Validity: s.view.validity, UID: s.view.next}, nil
}

// Limit implements migrate.Bounded by APPENDLIMIT (RFC 7889), where the server has one for all mailboxes.
func (s *Session) Limit() int64 {
	limit, err := strconv.ParseInt(s.caps["APPENDLIMIT"], 10, 64)
	if err != nil || limit < 0 {
		return 0
	}
	return limit
}

// findKeys looks for the UIDs of messages that a server without UIDPLUS has stored: the new ones since UIDNEXT was
// before, in order, if their sizes leave no doubt. Others keep a zero Key.
func (s *Session) findKeys(ctx context.Context, landed []*parcel, before uint32) error {
	var nameless []*upload
	stored := 0
	for _, p := range landed {
		for _, u := range p.uploads {
			if st := s.batch.stored[u.place]; st.Err == nil {
				stored++
				if st.Key.IsZero() {
					nameless = append(nameless, u)
				}
			}
		}
	}
	v := s.view
	if len(nameless) == 0 || len(nameless) < stored || before == 0 || s.uidNext(s.batch.path) == 0 {
		return nil
	}
	if _, err := s.exchange(ctx, "NOOP", nil); err != nil { // some servers show what is new only then
		return err
	}
	got := map[uint32]migrate.Message{}
	if _, err := s.fetchRows(ctx, fmt.Sprintf("UID FETCH %d:* (UID RFC822.SIZE)", before), got); err != nil {
		return err
	}
	var rows []migrate.Message
	for _, m := range got {
		if m.Key.UID >= before { // "n:*" always names the last message (RFC 9051, section 9)
			rows = append(rows, m)
			v.next = max(v.next, m.Key.UID+1)
		}
	}
	slices.SortFunc(rows, func(a, b migrate.Message) int { return cmp.Compare(a.Key.UID, b.Key.UID) })
	if len(rows) != len(nameless) {
		return nil // somebody else has stored messages meanwhile
	}
	for i, m := range rows {
		if m.Size != nameless[i].size {
			return nil
		}
	}
	for i, m := range rows {
		s.batch.stored[nameless[i].place].Key = migrate.Key{Validity: v.validity, UID: m.Key.UID}
	}
	return nil
}

// fetchRows runs one FETCH and merges what it tells into got, by sequence number.
func (s *Session) fetchRows(ctx context.Context, command string, got map[uint32]migrate.Message) (status, error) {
	return s.exchange(ctx, command, func(resp *response) error {
		if resp.word != "FETCH" {
			return nil
		}
		m, known := got[resp.number]
		if !known {
			if len(got) > 4*stretchSize {
				return fmt.Errorf("the server tells of messages that nobody asked for")
			}
			m.Size = -1
		}
		if err := readItems(s.in, &m); err != nil {
			return err
		}
		got[resp.number] = m
		return nil
	})
}

// SetFlags sets the flags of messages by UID STORE (RFC 9051, section 6.4.6), those together that get the same ones.
// Keywords that the mailbox cannot keep are left away. Messages of another UIDVALIDITY are not there any more.
func (s *Session) SetFlags(ctx context.Context, mbox migrate.Path, changes []migrate.FlagChange) error {
	if s.readOnly {
		return at(mbox, errReadOnly)
	}
	if len(changes) == 0 {
		return nil
	}
	newest := slices.MaxFunc(changes, func(a, b migrate.FlagChange) int { return a.Key.Compare(b.Key) })
	if err := s.verify(ctx, mbox, newest.Key.Validity, newest.Key.UID); err != nil {
		return err
	}
	groups := map[string][]uint32{}
	var order []string
	for _, change := range changes {
		if change.Key.UID == 0 || change.Key.Validity != s.view.validity {
			continue
		}
		kept, _ := s.view.keepable(change.Flags)
		flags := strings.Join(kept, " ")
		if groups[flags] == nil {
			order = append(order, flags)
		}
		groups[flags] = append(groups[flags], change.Key.UID)
	}
	for _, flags := range order {
		if err := s.storeFlags(ctx, mbox, strings.Fields(flags), groups[flags]); err != nil {
			return err
		}
	}
	return nil
}

// storeFlags gives all of uids the same flags, in commands of bounded length.
func (s *Session) storeFlags(ctx context.Context, mbox migrate.Path, flags []string, uids []uint32) error {
	slices.Sort(uids)
	uids = slices.Compact(uids)
	store := &imap.StoreFlags{Op: imap.StoreFlagsSet, Silent: true}
	for _, flag := range flags {
		store.Flags = append(store.Flags, imap.Flag(flag))
	}
	for len(uids) > 0 {
		var set uidSet
		var numbers imap.UIDSet
		n := 0
		for n < len(uids) && set.length() < commandLimit-1000 {
			set.add(uids[n])
			numbers.AddNum(imap.UID(uids[n]))
			n++
		}
		uids = uids[n:]
		st, err := s.converse(ctx, "", func(c *imapclient.Client) error { return c.Store(numbers, store, nil).Close() })
		if err != nil {
			return at(mbox, err)
		}
		if !st.ok() && st.code != "EXPUNGEISSUED" {
			return at(mbox, st.refusal("set flags"))
		}
	}
	return nil
}
