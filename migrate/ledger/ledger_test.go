package ledger

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"postcask/migrate"
)

func TestWhatIsRecordedIsFoundAlsoAfterReopening(t *testing.T) {
	path := filepath.Join(t.TempDir(), "an odd? name#with%20 marks.db")
	db, err := Open(t.Context(), path, Options{Create: true})
	must(t, err)
	odd := "Büro/\x00\xff%2F \n'\""
	entries := []migrate.Entry{
		arrived(1, "INBOX"),
		{Key: uid(2), State: migrate.SetAside, Identity: identity("x"), Flags: migrate.Flags{},
			Attempt: migrate.Attempt{Reason: "NO [TOOBIG] \xff\x00 too big", Time: time.Unix(1<<31, 0).UTC(), Program: "1.0", Limit: 1 << 40}},
		{Key: migrate.Key{Name: odd}, State: migrate.Arrived, Mailbox: migrate.Path(odd), Place: migrate.Key{Name: odd}, Flags: migrate.NewFlags("a b", "a%20b", "%", "\xff", "]")},
		{Key: migrate.Key{Validity: 1<<32 - 1, UID: 1<<32 - 1}, State: migrate.Arrived, Mailbox: "Sent", Flags: migrate.Flags{}},
		{Key: uid(3), State: migrate.Arrived, Mailbox: "INBOX", Flags: migrate.Flags{}, Listed: migrate.Listed{Size: 1 << 40, Date: time.Unix(-7, 0).UTC()}},
		{Key: migrate.Key{Validity: 8, UID: 1}, State: migrate.Arrived, Retired: true, Mailbox: "Sent", Place: uid(1), Identity: migrate.Identity{Size: 1 << 40}, Flags: migrate.Flags{}},
	}
	mbox := migrate.Path(odd)
	must(t, ledgerOf(t, db).Record(t.Context(), mbox, entries))
	var keys []migrate.Key
	for _, e := range entries {
		keys = append(keys, e.Key)
	}
	keys = append([]migrate.Key{uid(99), {}}, keys...)
	want := append([]migrate.Entry{{Key: uid(99)}, {}}, entries...)
	same(t, "before closing", lookup(t, ledgerOf(t, db), mbox, keys...), want)
	must(t, db.Close())

	again := openAt(t, path)
	same(t, "after reopening", lookup(t, ledgerOf(t, again), mbox, keys...), want)
	slices.SortFunc(entries, func(a, b migrate.Entry) int { return a.Key.Compare(b.Key) })
	same(t, "in the order of keys", all(t, ledgerOf(t, again).Entries(t.Context(), mbox)), entries)
	must(t, again.Check(t.Context()))
}

func TestFlagsAreNormalised(t *testing.T) {
	l := ledgerOf(t, openNew(t))
	must(t, l.Record(t.Context(), "INBOX", []migrate.Entry{{Key: uid(1), State: migrate.Arrived, Flags: migrate.Flags{"b", `\seen`, "a", `\Recent`, "b"}}}))
	same(t, "flags", lookup(t, l, "INBOX", uid(1))[0].Flags, migrate.Flags{`\Seen`, "a", "b"})
}

func TestPairsAndMailboxesAreKeptApart(t *testing.T) {
	db := openNew(t)
	l := ledgerOf(t, db)
	turned, err := db.Ledger(t.Context(), l.destination, l.source)
	must(t, err)
	itself, err := db.Ledger(t.Context(), l.source, l.source)
	must(t, err)
	must(t, l.Record(t.Context(), "INBOX", []migrate.Entry{arrived(1, "INBOX")}))
	must(t, itself.Record(t.Context(), "INBOX", []migrate.Entry{arrived(2, "INBOX")}))
	same(t, "other pair", lookup(t, turned, "INBOX", uid(1)), []migrate.Entry{{Key: uid(1)}})
	same(t, "other mailbox", lookup(t, l, "Sent", uid(1)), []migrate.Entry{{Key: uid(1)}})
	same(t, "claims", all(t, l.Claims(t.Context(), "INBOX")), []migrate.Entry{arrived(1, "INBOX")})
	same(t, "claims of an end that is both", all(t, itself.Claims(t.Context(), "INBOX")), []migrate.Entry{arrived(2, "INBOX")})
	same(t, "claims of the other", len(all(t, turned.Claims(t.Context(), "INBOX"))), 0)
	same(t, "claims of the source's name", len(all(t, l.Claims(t.Context(), "Sent"))), 0)
}

func TestNothingIsWrittenBeforeTheFirstRecord(t *testing.T) {
	db := openNew(t)
	l := ledgerOf(t, db)
	lookup(t, l, "INBOX", uid(1))
	must(t, l.Retire(t.Context(), "INBOX", []migrate.Key{uid(1)}))
	must(t, l.Record(t.Context(), "INBOX", nil))
	all(t, l.Entries(t.Context(), "INBOX"))
	all(t, l.Claims(t.Context(), "INBOX"))
	_, known, err := l.Seen(t.Context(), "INBOX")
	must(t, err)
	n, err := l.Count(t.Context(), "INBOX")
	must(t, err)
	if known || n != 0 {
		t.Errorf("seen %v, count %d in an empty ledger", known, n)
	}
	for _, table := range []string{"accounts", "pairs", "boxes", "entries"} {
		must(t, db.read.QueryRowContext(t.Context(), "SELECT count(*) FROM "+table).Scan(&n))
		if n != 0 {
			t.Errorf("%d rows in %s", n, table)
		}
	}
	must(t, l.Record(t.Context(), "INBOX", []migrate.Entry{arrived(1, "INBOX")}))
	same(t, "a ledger opened before the first record", lookup(t, l, "INBOX", uid(1)), []migrate.Entry{arrived(1, "INBOX")})
}

func TestRetiredEntries(t *testing.T) {
	retired := func(e migrate.Entry) migrate.Entry { e.Retired = true; return e }
	at := func(e migrate.Entry, place uint32) migrate.Entry { e.Place.UID = place; return e }
	nowhere := func(e migrate.Entry) migrate.Entry { e.Place = migrate.Key{}; return e }
	tests := []struct {
		name    string
		before  []migrate.Entry
		retire  []uint32
		record  []migrate.Entry
		entries []migrate.Entry
		count   int64
	}{
		{"stays", []migrate.Entry{arrived(1, "A"), arrived(2, "A")}, []uint32{1}, nil,
			[]migrate.Entry{retired(arrived(1, "A")), arrived(2, "A")}, 1},
		{"comes back", []migrate.Entry{arrived(1, "A")}, []uint32{1, 5}, []migrate.Entry{arrived(1, "A")},
			[]migrate.Entry{arrived(1, "A")}, 1},
		{"its place taken over", []migrate.Entry{arrived(1, "A")}, []uint32{1}, []migrate.Entry{at(arrived(2, "A"), 1)},
			[]migrate.Entry{at(arrived(2, "A"), 1)}, 1},
		{"same place in another mailbox", []migrate.Entry{arrived(1, "A")}, []uint32{1}, []migrate.Entry{at(arrived(2, "B"), 1)},
			[]migrate.Entry{retired(arrived(1, "A")), at(arrived(2, "B"), 1)}, 1},
		{"one that is not retired keeps its place", []migrate.Entry{arrived(1, "A")}, nil, []migrate.Entry{at(arrived(2, "A"), 1)},
			[]migrate.Entry{arrived(1, "A"), at(arrived(2, "A"), 1)}, 2},
		{"places not known are not the same", []migrate.Entry{nowhere(arrived(1, "A"))}, []uint32{1}, []migrate.Entry{nowhere(arrived(2, "A"))},
			[]migrate.Entry{retired(nowhere(arrived(1, "A"))), nowhere(arrived(2, "A"))}, 1},
		{"recorded as retired", nil, nil, []migrate.Entry{retired(arrived(1, "A"))}, []migrate.Entry{retired(arrived(1, "A"))}, 0},
		{"retired after its heir in one group", nil, nil, []migrate.Entry{at(arrived(2, "A"), 1), retired(arrived(1, "A"))},
			[]migrate.Entry{at(arrived(2, "A"), 1)}, 1},
		{"retired before its heir in one group", nil, nil, []migrate.Entry{retired(arrived(1, "A")), at(arrived(2, "A"), 1)},
			[]migrate.Entry{at(arrived(2, "A"), 1)}, 1},
		{"two retired at one place in one group", nil, nil, []migrate.Entry{retired(arrived(1, "A")), retired(at(arrived(2, "A"), 1))},
			[]migrate.Entry{retired(at(arrived(2, "A"), 1))}, 0},
		{"the last of one key counts", nil, nil, []migrate.Entry{arrived(1, "A"), arrived(1, "B")}, []migrate.Entry{arrived(1, "B")}, 1},
		{"set aside is not arrived", nil, nil, []migrate.Entry{{Key: uid(1), State: migrate.SetAside, Flags: migrate.Flags{}}},
			[]migrate.Entry{{Key: uid(1), State: migrate.SetAside, Flags: migrate.Flags{}}}, 0},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			l := ledgerOf(t, openNew(t))
			must(t, l.Record(t.Context(), "INBOX", test.before))
			var keys []migrate.Key
			for _, n := range test.retire {
				keys = append(keys, uid(n))
			}
			must(t, l.Retire(t.Context(), "INBOX", keys))
			must(t, l.Record(t.Context(), "INBOX", test.record))
			same(t, "entries", all(t, l.Entries(t.Context(), "INBOX")), test.entries)
			n, err := l.Count(t.Context(), "INBOX")
			must(t, err)
			same(t, "count", n, test.count)
		})
	}
}

func TestClaimsComeFromEveryMailboxInPages(t *testing.T) {
	l := ledgerOf(t, openNew(t))
	entries, _ := many(2*pageRows+3, "All")
	for i := range entries {
		entries[i].Place = uid(1) // all at one place, so that pages are cut between equals
	}
	entries[5].State, entries[6].Mailbox = migrate.SetAside, "Other"
	must(t, l.Record(t.Context(), "INBOX", entries))
	must(t, l.Record(t.Context(), "Sent", entries))
	must(t, l.Retire(t.Context(), "Sent", []migrate.Key{entries[7].Key}))
	seen := map[migrate.Key]int{}
	for _, e := range all(t, l.Claims(t.Context(), "All")) {
		seen[e.Key]++
	}
	for i, e := range entries {
		want := 2
		switch i {
		case 5, 6:
			want = 0
		case 7:
			want = 1
		}
		if seen[e.Key] != want {
			t.Errorf("%v came %d times, want %d", e.Key, seen[e.Key], want)
		}
	}
}

func TestEntriesStreamAndLeaveTheDatabaseFree(t *testing.T) {
	l := ledgerOf(t, openNew(t))
	for _, count := range []int{pageRows - 1, pageRows, pageRows + 1} {
		mbox := migrate.Path(fmt.Sprint("of ", count))
		entries, _ := many(count, "A")
		must(t, l.Record(t.Context(), mbox, entries))
		same(t, string(mbox), all(t, l.Entries(t.Context(), mbox)), entries)
		for e, err := range l.Entries(t.Context(), mbox) {
			must(t, err)
			if err := l.Retire(t.Context(), mbox, []migrate.Key{e.Key}); err != nil {
				t.Fatal("a change inside the loop:", err)
			}
			if e.Key.UID > 20 {
				break
			}
		}
	}
}

func TestTwinsAreTwo(t *testing.T) {
	l := ledgerOf(t, openNew(t))
	one, two := arrived(1, "A"), arrived(2, "A")
	two.Identity = one.Identity
	must(t, l.Record(t.Context(), "INBOX", []migrate.Entry{one, two}))
	same(t, "entries", lookup(t, l, "INBOX", uid(1), uid(2), uid(1)), []migrate.Entry{one, two, one})
	same(t, "claims", all(t, l.Claims(t.Context(), "A")), []migrate.Entry{one, two})
}

func TestSeen(t *testing.T) {
	l := ledgerOf(t, openNew(t))
	must(t, l.Record(t.Context(), "INBOX", []migrate.Entry{arrived(1, "A")}))
	if _, ok, err := l.Seen(t.Context(), "INBOX"); ok || err != nil {
		t.Fatalf("seen before SetSeen: %v, %v", ok, err)
	}
	for _, want := range []migrate.Status{
		{Messages: -1}, {},
		{Messages: 5, UIDValidity: 1<<32 - 1, UIDNext: 1<<32 - 1, HighestModSeq: 1<<64 - 1},
	} {
		must(t, l.SetSeen(t.Context(), "INBOX", want))
		must(t, l.SetSeen(t.Context(), "Other", migrate.Status{Messages: 77}))
		got, ok, err := l.Seen(t.Context(), "INBOX")
		must(t, err)
		same(t, "seen", got, want)
		same(t, "known", ok, true)
	}
}

func TestAGroupIsRecordedWhollyOrNotAtAll(t *testing.T) {
	db := openNew(t)
	l := ledgerOf(t, db)
	_, err := db.write.ExecContext(t.Context(), `CREATE TRIGGER no BEFORE INSERT ON entries WHEN new.uid = 3 BEGIN SELECT raise(ABORT, 'no'); END`)
	must(t, err)
	entries, _ := many(5, "A")
	if err := l.Record(t.Context(), "INBOX", entries); err == nil {
		t.Fatal("recorded what the database refuses")
	}
	same(t, "entries left", len(all(t, l.Entries(t.Context(), "INBOX"))), 0)
	must(t, l.Record(t.Context(), "INBOX", entries[:2]))
	same(t, "entries after", len(all(t, l.Entries(t.Context(), "INBOX"))), 2)
}

func TestACancelledContextEndsEveryMethod(t *testing.T) {
	db := openNew(t)
	l := ledgerOf(t, db)
	entries, keys := many(3, "A")
	must(t, l.Record(t.Context(), "INBOX", entries))
	must(t, db.PutMailbox(t.Context(), Mailbox{Mailbox: migrate.Mailbox{Path: "INBOX"}}))
	for name, call := range map[string]func(ctx context.Context) error{
		"Open":           func(ctx context.Context) error { _, err := Open(ctx, db.path, Options{}); return err },
		"Check":          db.Check,
		"Ledger":         func(ctx context.Context) error { _, err := db.Ledger(ctx, "a", "b"); return err },
		"Lookup":         func(ctx context.Context) error { _, err := l.Lookup(ctx, "INBOX", keys); return err },
		"Lookup of none": func(ctx context.Context) error { _, err := l.Lookup(ctx, "INBOX", nil); return err },
		"Record":         func(ctx context.Context) error { return l.Record(ctx, "INBOX", entries) },
		"Retire":         func(ctx context.Context) error { return l.Retire(ctx, "INBOX", keys) },
		"Count":          func(ctx context.Context) error { _, err := l.Count(ctx, "INBOX"); return err },
		"Seen":           func(ctx context.Context) error { _, _, err := l.Seen(ctx, "INBOX"); return err },
		"SetSeen":        func(ctx context.Context) error { return l.SetSeen(ctx, "INBOX", migrate.Status{}) },
		"Entries": func(ctx context.Context) error {
			for _, err := range l.Entries(ctx, "INBOX") {
				return err
			}
			return nil
		},
		"Claims": func(ctx context.Context) error {
			for _, err := range l.Claims(ctx, "A") {
				return err
			}
			return nil
		},
		"PutMailbox":  func(ctx context.Context) error { return db.PutMailbox(ctx, Mailbox{}) },
		"Mailboxes":   func(ctx context.Context) error { _, err := db.Mailboxes(ctx); return err },
		"AddMessages": func(ctx context.Context) error { return db.AddMessages(ctx, "INBOX", make([]Message, 1), 0) },
		"Messages": func(ctx context.Context) error {
			for _, err := range db.Messages(ctx, "INBOX") {
				return err
			}
			return nil
		},
		"ByID":       func(ctx context.Context) error { _, err := db.ByID(ctx, []int64{1}); return err },
		"ByIdentity": func(ctx context.Context) error { _, err := db.ByIdentity(ctx, "INBOX", migrate.Digest{}); return err },
		"SetFlags":   func(ctx context.Context) error { return db.SetFlags(ctx, "INBOX", make([]FlagUpdate, 1)) },
		"Totals":     func(ctx context.Context) error { _, _, err := db.Totals(ctx, "INBOX"); return err },
		"Meta":       func(ctx context.Context) error { _, err := db.Meta(ctx, "k"); return err },
		"SetMeta":    func(ctx context.Context) error { return db.SetMeta(ctx, "k", "v") },
		"StartRun":   func(ctx context.Context) error { _, err := db.StartRun(ctx, Run{}); return err },
		"EndRun":     func(ctx context.Context) error { return db.EndRun(ctx, 1, 0, "") },
		"AddEvent":   func(ctx context.Context) error { return db.AddEvent(ctx, "k", "", migrate.Key{}, "") },
	} {
		if err := call(cancelled(t)); !errors.Is(err, context.Canceled) {
			t.Errorf("%s: %v, want it cancelled", name, err)
		}
	}
	must(t, l.Record(t.Context(), "INBOX", entries)) // and the database is of use afterwards
	same(t, "entries", all(t, l.Entries(t.Context(), "INBOX")), entries)
}

func TestAnIntentIsKnownUntilItIsAnsweredFor(t *testing.T) {
	path := filepath.Join(t.TempDir(), "intents.db")
	db, err := Open(t.Context(), path, Options{Create: true})
	must(t, err)
	next := migrate.Key{Validity: 9, UID: 40}
	gone := arrived(7, "Sent")
	gone.Retired, gone.Place = true, next
	must(t, ledgerOf(t, db).Record(t.Context(), "INBOX", []migrate.Entry{gone}))
	intent := migrate.Entry{Key: uid(1), Mailbox: "Sent", Place: next, Identity: migrate.Identity{Size: 9}, Flags: migrate.NewFlags(`\Seen`)}
	must(t, ledgerOf(t, db).Intend(t.Context(), "INBOX", []migrate.Entry{intent}))
	must(t, db.Close())

	l := ledgerOf(t, openAt(t, path))
	intent.State = migrate.Intended
	same(t, "after reopening", lookup(t, l, "INBOX", uid(1), uid(7)), []migrate.Entry{intent, gone})
	same(t, "what may lie in the destination", all(t, l.Claims(t.Context(), "Sent")), []migrate.Entry{intent})
	must(t, l.Retire(t.Context(), "INBOX", []migrate.Key{uid(1)})) // the source loses it: it may have arrived all the same
	same(t, "though the source lost it", len(all(t, l.Claims(t.Context(), "Sent"))), 1)
	if n, err := l.Count(t.Context(), "INBOX"); n != 0 || err != nil {
		t.Errorf("%d arrived, %v", n, err)
	}
	done := arrived(1, "Sent")
	must(t, l.Record(t.Context(), "INBOX", []migrate.Entry{done}))
	same(t, "answered for", lookup(t, l, "INBOX", uid(1)), []migrate.Entry{done})
}
