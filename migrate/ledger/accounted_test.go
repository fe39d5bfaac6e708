package ledger

import (
	"testing"

	"postcask/migrate"
)

func TestNobodyAnswersForAMailboxOnceMessagesAreIntendedToGoThere(t *testing.T) {
	l := ledgerOf(t, openNew(t))
	accounted := func(what string, dest migrate.Path, want migrate.Key) {
		t.Helper()
		next, err := l.Accounted(t.Context(), dest)
		must(t, err)
		same(t, what, next, want)
	}
	accounted("before anything", "Sent", migrate.Key{})
	must(t, l.SetAccounted(t.Context(), map[migrate.Path]migrate.Key{"Sent": uid(5), "Work": uid(9)}))
	must(t, l.SetSeen(t.Context(), "Sent", migrate.Status{UIDValidity: 3, UIDNext: 4}))
	must(t, l.Record(t.Context(), "INBOX", []migrate.Entry{arrived(1, "Sent")}))
	must(t, l.Retire(t.Context(), "INBOX", []migrate.Key{uid(1)}))
	accounted("what was noted", "Sent", uid(5))
	must(t, l.Intend(t.Context(), "INBOX", []migrate.Entry{arrived(2, "Sent")}))
	accounted("after an intent", "Sent", migrate.Key{})
	accounted("beside it", "Work", uid(9))
	must(t, l.SetAccounted(t.Context(), map[migrate.Path]migrate.Key{"Work": {}}))
	accounted("taken back", "Work", migrate.Key{})
	seen, ok, err := l.Seen(t.Context(), "Sent")
	must(t, err)
	same(t, "the source's mailbox of the same name", ok && seen.UIDNext == 4, true)
}

func TestWhatLiesInAMailboxIsCounted(t *testing.T) {
	l := ledgerOf(t, openNew(t))
	count := func(what string, want int64, retired ...uint32) {
		t.Helper()
		lying, gone, err := l.Lying(t.Context(), "Sent")
		must(t, err)
		same(t, what, lying, want)
		var uids []uint32
		for _, e := range gone {
			uids = append(uids, e.Key.UID)
		}
		same(t, what, uids, retired)
	}
	count("nothing", 0)
	must(t, l.Record(t.Context(), "INBOX", []migrate.Entry{arrived(1, "Sent"), arrived(2, "Sent"), arrived(3, "Work")}))
	must(t, l.Record(t.Context(), "Drafts", []migrate.Entry{arrived(4, "Sent")}))
	must(t, l.Intend(t.Context(), "Drafts", []migrate.Entry{arrived(5, "Sent")}))
	count("two mailboxes", 3)
	must(t, l.Retire(t.Context(), "INBOX", []migrate.Key{uid(2), uid(3)}))
	count("one gone from the source", 2, 2)
}
