package ledger

import (
	"errors"
	"fmt"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"postcask/migrate"
)

func put(t testing.TB, db *DB, path migrate.Path) {
	t.Helper()
	must(t, db.PutMailbox(t.Context(), Mailbox{Mailbox: migrate.Mailbox{Path: path}, File: string(path) + ".mbox"}))
}

func TestMailboxes(t *testing.T) {
	db := openNew(t)
	_, known, err := db.MailboxOf(t.Context(), "INBOX")
	must(t, err)
	same(t, "known before", known, false)
	for _, m := range []Mailbox{
		{Mailbox: migrate.Mailbox{Path: "Work/2020"}, File: "Work/2020.mbox"},
		{Mailbox: migrate.Mailbox{Path: "Work", NoSelect: true}},
		{Mailbox: migrate.Mailbox{Path: "Sent", Role: migrate.RoleSent, Subscribed: true}, File: "Sent.mbox", End: 12},
		{Mailbox: migrate.Mailbox{Path: "a\x00\xff"}, File: "a%00%FF", Messages: 77, Octets: 88},
	} {
		must(t, db.PutMailbox(t.Context(), m))
	}
	msgs := []Message{{Identity: identity("one")}, {Identity: identity("three")}}
	must(t, db.AddMessages(t.Context(), "Sent", msgs, 400))
	must(t, db.PutMailbox(t.Context(), Mailbox{Mailbox: migrate.Mailbox{Path: "Sent", Role: migrate.RoleArchive}, End: 3}))
	must(t, db.PutMailbox(t.Context(), Mailbox{Mailbox: migrate.Mailbox{Path: "Work", Subscribed: true}, File: "Work.mbox"}))

	sent := Mailbox{Mailbox: migrate.Mailbox{Path: "Sent", Role: migrate.RoleArchive}, File: "Sent.mbox", End: 400, Messages: 2, Octets: 8}
	got, err := db.Mailboxes(t.Context())
	must(t, err)
	same(t, "mailboxes", got, []Mailbox{
		sent,
		{Mailbox: migrate.Mailbox{Path: "Work", Subscribed: true}, File: "Work.mbox"},
		{Mailbox: migrate.Mailbox{Path: "Work/2020"}, File: "Work/2020.mbox"},
		{Mailbox: migrate.Mailbox{Path: "a\x00\xff"}, File: "a%00%FF"},
	})
	one, known, err := db.MailboxOf(t.Context(), "Sent")
	must(t, err)
	same(t, "one mailbox", one, sent)
	same(t, "known", known, true)
	count, octets, err := db.Totals(t.Context(), "Sent")
	must(t, err)
	same(t, "totals", [2]int64{count, octets}, [2]int64{2, 8})
	count, octets, err = db.Totals(t.Context(), "Nowhere")
	must(t, err)
	same(t, "totals of what is not there", [2]int64{count, octets}, [2]int64{0, 0})
}

func TestMessagesComeBackAsTheyWereAdded(t *testing.T) {
	path := filepath.Join(t.TempDir(), "index.db")
	db, err := Open(t.Context(), path, Options{Create: true})
	must(t, err)
	db.now = func() time.Time { return clock.Add(999 * time.Millisecond) }
	put(t, db, "INBOX")
	put(t, db, "Sent")
	msgs := []Message{
		{Base: "1614834367.M1P2.host,S=10,W=12", Offset: 1 << 40, Length: 10, Raw: true, NoFinalNewline: true,
			InternalDate: time.Date(2004, 2, 29, 23, 59, 59, 0, time.FixedZone("", -(9*3600+30*60))),
			Flags:        migrate.NewFlags(`\seen`, "$Junk", "gmail [x] y"), Identity: identity("a"), MessageID: "<a\xff@example.org>"},
		{Flags: migrate.Flags{}, InternalDate: time.Date(1, 1, 1, 0, 0, 1, 0, time.UTC), Added: time.Date(1999, 1, 1, 0, 0, 0, 0, time.UTC)},
		{Flags: migrate.Flags{}, InternalDate: time.Date(2038, 1, 19, 3, 14, 8, 0, time.FixedZone("", 14*3600)), Identity: identity("a")},
	}
	must(t, db.AddMessages(t.Context(), "INBOX", msgs, -1))
	for i, m := range msgs {
		if m.ID == 0 || m.Mailbox != "INBOX" || m.Added.IsZero() {
			t.Errorf("message %d not filled in: %+v", i, m)
		}
	}
	same(t, "time of coming", []time.Time{msgs[0].Added, msgs[1].Added}, []time.Time{clock, time.Date(1999, 1, 1, 0, 0, 0, 0, time.UTC)})
	other := []Message{{Flags: migrate.Flags{}, Identity: identity("a")}}
	must(t, db.AddMessages(t.Context(), "Sent", other, 9))
	must(t, db.Close())

	db = openAt(t, path)
	got := all(t, db.Messages(t.Context(), "INBOX"))
	same(t, "messages", got, msgs)
	for i, m := range got {
		_, have := m.InternalDate.Zone()
		_, want := msgs[i].InternalDate.Zone()
		same(t, "zone", have, want)
	}
	if m, _, _ := db.MailboxOf(t.Context(), "INBOX"); m.End != 0 {
		t.Errorf("End is %d although none was given", m.End)
	}
	found, err := db.ByID(t.Context(), []int64{other[0].ID, 4711, msgs[0].ID, msgs[0].ID})
	must(t, err)
	same(t, "by ID", found, []Message{other[0], msgs[0], msgs[0]})
	twins, err := db.ByIdentity(t.Context(), "INBOX", identity("a").Trimmed)
	must(t, err)
	same(t, "by identity", twins, []Message{msgs[0], msgs[2]})
	none, err := db.ByIdentity(t.Context(), "INBOX", migrate.Digest{})
	must(t, err)
	same(t, "a digest that is not known finds nothing", len(none), 0)
	must(t, db.Check(t.Context()))
}

func TestADateNotToldStaysZero(t *testing.T) {
	db := openNew(t)
	put(t, db, "INBOX")
	must(t, db.AddMessages(t.Context(), "INBOX", make([]Message, 1), 0))
	if got := all(t, db.Messages(t.Context(), "INBOX"))[0].InternalDate; !got.IsZero() {
		t.Errorf("got %v", got)
	}
}

func TestMessagesStreamWhileOthersCome(t *testing.T) {
	db := openNew(t)
	put(t, db, "INBOX")
	put(t, db, "Sent")
	for range 3 { // the mailboxes' messages lie in turns
		must(t, db.AddMessages(t.Context(), "INBOX", make([]Message, pageRows), 0))
		must(t, db.AddMessages(t.Context(), "Sent", make([]Message, 7), 0))
	}
	var last, count int64
	for m, err := range db.Messages(t.Context(), "INBOX") {
		must(t, err)
		if m.ID <= last || m.Mailbox != "INBOX" {
			t.Fatalf("%d of %q after %d", m.ID, m.Mailbox, last)
		}
		last = m.ID
		if count++; count == 10 {
			must(t, db.AddMessages(t.Context(), "INBOX", make([]Message, 1), 0))
		}
	}
	same(t, "messages", count, int64(3*pageRows+1))
}

func TestAnIDIsNeverUsedAgain(t *testing.T) {
	db := openNew(t)
	put(t, db, "INBOX")
	first, second := make([]Message, 2), make([]Message, 1)
	must(t, db.AddMessages(t.Context(), "INBOX", first, 0))
	_, err := db.write.ExecContext(t.Context(), `DELETE FROM messages`)
	must(t, err)
	must(t, db.AddMessages(t.Context(), "INBOX", second, 0))
	if second[0].ID <= first[1].ID {
		t.Errorf("ID %d after %d", second[0].ID, first[1].ID)
	}
}

func TestAddingIsWhollyOrNotAtAll(t *testing.T) {
	db := openNew(t)
	msgs := make([]Message, 2)
	if err := db.AddMessages(t.Context(), "INBOX", msgs, 5); err == nil {
		t.Fatal("added to a mailbox that was never put")
	}
	put(t, db, "INBOX")
	_, err := db.write.ExecContext(t.Context(), `CREATE TRIGGER no BEFORE INSERT ON messages WHEN new.base = 'no' BEGIN SELECT raise(ABORT, 'no'); END`)
	must(t, err)
	msgs[1].Base = "no"
	if err := db.AddMessages(t.Context(), "INBOX", msgs, 5); err == nil {
		t.Fatal("added what the database refuses")
	}
	if msgs[0].ID != 0 || !msgs[0].Added.IsZero() {
		t.Error("filled in though nothing was added")
	}
	m, _, err := db.MailboxOf(t.Context(), "INBOX")
	must(t, err)
	same(t, "mailbox", [3]int64{m.Messages, m.Octets, m.End}, [3]int64{})
	same(t, "messages", len(all(t, db.Messages(t.Context(), "INBOX"))), 0)
	must(t, db.AddMessages(t.Context(), "INBOX", nil, 33)) // the end alone may move, too
	m, _, err = db.MailboxOf(t.Context(), "INBOX")
	must(t, err)
	same(t, "end", m.End, int64(33))
}

func TestSetFlags(t *testing.T) {
	db := openNew(t)
	put(t, db, "INBOX")
	put(t, db, "Sent")
	msgs := []Message{{Flags: migrate.NewFlags("old")}, {Flags: migrate.NewFlags("old")}}
	must(t, db.AddMessages(t.Context(), "INBOX", msgs, 0))
	must(t, db.SetFlags(t.Context(), "INBOX", []FlagUpdate{{msgs[0].ID, migrate.Flags{"b", "a", `\SEEN`}}, {4711, nil}}))
	must(t, db.SetFlags(t.Context(), "Sent", []FlagUpdate{{msgs[1].ID, migrate.NewFlags("elsewhere")}}))
	got := all(t, db.Messages(t.Context(), "INBOX"))
	same(t, "set", got[0].Flags, migrate.Flags{`\Seen`, "a", "b"})
	same(t, "of another mailbox", got[1].Flags, migrate.Flags{"old"})
	must(t, db.SetFlags(t.Context(), "INBOX", []FlagUpdate{{msgs[0].ID, nil}}))
	same(t, "cleared", all(t, db.Messages(t.Context(), "INBOX"))[0].Flags, migrate.Flags{})
}

func TestMetaRunsAndEvents(t *testing.T) {
	db := openNew(t)
	db.now = func() time.Time { return clock }
	for _, want := range []string{"", "one", "two\x00\xff"} {
		if want != "" {
			must(t, db.SetMeta(t.Context(), "id", want))
		}
		got, err := db.Meta(t.Context(), "id")
		must(t, err)
		same(t, "meta", got, want)
	}

	first, err := db.StartRun(t.Context(), Run{Command: "backup", Source: "imaps://me@example.org", Destination: "mail"})
	must(t, err)
	second, err := db.StartRun(t.Context(), Run{Command: "verify", Started: clock.Add(-time.Hour)})
	must(t, err)
	db.now = func() time.Time { return clock.Add(time.Minute) }
	must(t, db.EndRun(t.Context(), first, 3, `{"exit":3}`))
	done := Run{ID: first, Command: "backup", Source: "imaps://me@example.org", Destination: "mail",
		Started: clock, Ended: clock.Add(time.Minute), Exit: 3, Summary: `{"exit":3}`}
	runs, err := db.Runs(t.Context(), 10)
	must(t, err)
	same(t, "runs", runs, []Run{{ID: second, Command: "verify", Started: clock.Add(-time.Hour)}, done})
	runs, err = db.Runs(t.Context(), 1)
	must(t, err)
	same(t, "the last run", len(runs), 1)

	var events []Event
	for i := range pageRows + 2 {
		e := Event{ID: int64(i + 1), Time: clock.Add(time.Minute), Kind: "quarantined", Mailbox: "INBOX", Key: uid(uint32(i)), Text: fmt.Sprint("\xff no ", i)}
		must(t, db.AddEvent(t.Context(), e.Kind, e.Mailbox, e.Key, e.Text))
		events = append(events, e)
	}
	same(t, "events", all(t, db.Events(t.Context(), 0)), events)
	same(t, "later events", all(t, db.Events(t.Context(), pageRows)), events[pageRows:])
}

// What a plan of a query must not hold: a sort or a scan would make each page cost as much as the whole.
func TestPagesAreReadByIndex(t *testing.T) {
	db := openNew(t)
	for _, test := range []struct {
		name, query string
		args        int
	}{
		{"lookup", lookupQuery(3), 10},
		{"entries", entriesQuery, 5},
		{"claims", claimsQuery, 11},
		{"messages", messagesQuery, 3},
		{"twins", twinsQuery, 2},
		{"forget", forgetRetired, 8},
		{"overtaken", forgetOvertaken, 4},
	} {
		rows, err := db.read.QueryContext(t.Context(), "EXPLAIN QUERY PLAN "+test.query, make([]any, test.args)...)
		must(t, err)
		steps := 0
		for ; rows.Next(); steps++ {
			var id, parent, unused int
			var detail string
			must(t, rows.Scan(&id, &parent, &unused, &detail))
			t.Log(test.name, detail)
			if strings.HasPrefix(detail, "SCAN") && !strings.Contains(detail, "CONSTANT") && detail != "SCAN k" || strings.Contains(detail, "TEMP B-TREE") {
				t.Errorf("%s: %s", test.name, detail)
			}
		}
		must(t, errors.Join(rows.Err(), rows.Close()))
		if steps == 0 {
			t.Errorf("%s: no plan", test.name)
		}
	}
}
