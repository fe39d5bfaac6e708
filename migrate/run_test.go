package migrate_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"postcask/migrate"
	"postcask/migrate/memory"
)

// job makes a Job between two stores.
func job(from, to *memory.Store, ledger migrate.Ledger) migrate.Job {
	return migrate.Job{
		Source: "source", Destination: "destination", Ledger: ledger,
		OpenSource: func(ctx context.Context) (migrate.Source, error) { return from.Open(ctx) },
		OpenSink:   func(ctx context.Context) (migrate.Sink, error) { return to.Open(ctx) },
		Options:    migrate.Options{Backoff: func(int) time.Duration { return 0 }},
	}
}

func mustRun(t *testing.T, job migrate.Job) migrate.Summary {
	t.Helper()
	summary, err := migrate.Run(t.Context(), job)
	if err != nil {
		t.Fatal(err)
	}
	if sum := summary.Copied + summary.Present + summary.Filtered + summary.Quarantined + summary.Failed; sum != summary.Messages {
		t.Errorf("the counts don't close: %+v", summary)
	}
	return summary
}

var day = time.Date(2019, 3, 1, 12, 0, 0, 0, time.FixedZone("", 3600))

// filled gives a store with a few mailboxes, twins among the messages.
func filled() *memory.Store {
	s := memory.New()
	s.Make(migrate.Mailbox{Path: "Work", NoSelect: true})
	s.Make(migrate.Mailbox{Path: "Sent", Role: migrate.RoleSent, Subscribed: true})
	s.Make(migrate.Mailbox{Path: "Empty"})
	for i := range 5 {
		for _, path := range []migrate.Path{"INBOX", "Work/2020", "Sent"} {
			s.Put(path, migrate.Message{InternalDate: day.Add(time.Duration(i) * time.Hour), Flags: migrate.NewFlags(`\Seen`, "$Label"+fmt.Sprint(i%2))},
				fmt.Appendf(nil, "Subject: %d\r\n\r\nbody in %s\r\n", i/2, path)) // each octets twice but the last
		}
	}
	return s
}

// contents gives what a store holds in a comparable form, without keys.
func contents(s *memory.Store) map[migrate.Path][]string {
	all := map[migrate.Path][]string{}
	for _, mbox := range s.Mailboxes() {
		list := []string{}
		for _, m := range s.Messages(mbox.Path) {
			list = append(list, fmt.Sprintf("%s %v %q", m.InternalDate.Format(time.RFC3339), m.Flags, m.Octets))
		}
		slices.Sort(list)
		all[mbox.Path] = list
	}
	return all
}

func same(t *testing.T, got, want *memory.Store) {
	t.Helper()
	if diff := cmp.Diff(contents(want), contents(got)); diff != "" {
		t.Errorf("the destination is not as the source (-source +destination):\n%s", diff)
	}
}

func TestRunTwice(t *testing.T) {
	for _, lanes := range []int{1, 3} {
		from, to, ledger := filled(), memory.New(), &memory.Ledger{}
		j := job(from, to, ledger)
		j.Options.Lanes = lanes
		first := mustRun(t, j)
		if first.Copied != 15 || first.Messages != 15 || first.Mailboxes != 5 {
			t.Errorf("first run: %+v", first)
		}
		same(t, to, from)
		second := mustRun(t, j)
		if second.Copied != 0 || second.Present != 15 {
			t.Errorf("second run: %+v", second)
		}
		same(t, to, from)
	}
}

func TestRunTakesUpWhatIsNew(t *testing.T) {
	from, to, ledger := filled(), memory.New(), &memory.Ledger{}
	mustRun(t, job(from, to, ledger))
	from.Put("INBOX", migrate.Message{}, []byte("Subject: new\r\n\r\n"))
	from.SetFlags("Sent", from.Messages("Sent")[0].Key, migrate.NewFlags(`\Answered`))
	summary := mustRun(t, job(from, to, ledger))
	if summary.Copied != 1 || summary.FlagsUpdated != 1 || summary.Present != 15 {
		t.Errorf("%+v", summary)
	}
	same(t, to, from)
}

func TestRunKeepsWhatTheSourceLost(t *testing.T) {
	from, to, ledger := filled(), memory.New(), &memory.Ledger{}
	mustRun(t, job(from, to, ledger))
	before := contents(to)
	from.Remove("INBOX", from.Messages("INBOX")[1].Key, from.Messages("INBOX")[2].Key)
	summary := mustRun(t, job(from, to, ledger))
	if summary.Copied != 0 || summary.Present != 13 {
		t.Errorf("%+v", summary)
	}
	if diff := cmp.Diff(before, contents(to)); diff != "" {
		t.Error(diff)
	}
}

func TestRunAfterRenumbering(t *testing.T) {
	from, to, ledger := filled(), memory.New(), &memory.Ledger{}
	mustRun(t, job(from, to, ledger))
	from.Renumber("INBOX")
	from.Put("INBOX", migrate.Message{InternalDate: day, Flags: migrate.NewFlags(`\Seen`)}, from.Messages("INBOX")[0].Octets) // a third twin
	summary := mustRun(t, job(from, to, ledger))
	if summary.Copied != 1 || summary.Present != 15 {
		t.Errorf("%+v", summary)
	}
	same(t, to, from)
	if again := mustRun(t, job(from, to, ledger)); again.Copied != 0 || again.FlagsUpdated != 0 {
		t.Errorf("the run after: %+v", again)
	}
}

func TestRunIntoAMailboxThatHoldsSome(t *testing.T) {
	from, to := filled(), memory.New()
	to.Put("INBOX", migrate.Message{InternalDate: day, Flags: migrate.NewFlags(`\Seen`, "$Label0")}, from.Messages("INBOX")[0].Octets)
	to.Put("INBOX", migrate.Message{}, []byte("Subject: own\r\n\r\nof the destination\r\n"))
	to.Put("INBOX", migrate.Message{}, []byte("Subject: 9\r\n\r\nbody in INBOX\r\n")) // same size, other octets
	summary := mustRun(t, job(from, to, &memory.Ledger{}))
	if summary.Copied != 14 || summary.Present != 1 || summary.Messages != 15 {
		t.Errorf("%+v", summary)
	}
	if got := len(to.Messages("INBOX")); got != 7 {
		t.Errorf("%d messages in INBOX, want 5 and the 2 that were there", got)
	}
	if again := mustRun(t, job(from, to, &memory.Ledger{})); again.Copied != 0 { // as if the ledger were lost
		t.Errorf("without its ledger: %+v", again)
	}
}

func TestRunKeepsTwinsApartWithoutItsLedger(t *testing.T) {
	from, to := memory.New(), memory.New()
	for i, flag := range []string{`\Draft`, `\Seen`, `\Flagged`} {
		from.Put("INBOX", migrate.Message{InternalDate: day.Add(time.Duration(i) * time.Hour), Flags: migrate.NewFlags(flag)}, []byte("twin\r\n"))
	}
	mustRun(t, job(from, to, &memory.Ledger{}))
	to.Renumber("INBOX")
	reversed := to.Messages("INBOX")
	to.Remove("INBOX", reversed[0].Key)
	to.Put("INBOX", reversed[0].Message, reversed[0].Octets) // now the last
	if summary := mustRun(t, job(from, to, &memory.Ledger{})); summary.Copied != 0 {
		t.Errorf("%+v", summary)
	}
	same(t, to, from)
}

func TestRunSubscribesToWhatIsThereAlready(t *testing.T) {
	from, to := memory.New(), memory.New()
	from.Make(migrate.Mailbox{Path: "INBOX", Subscribed: true})
	mustRun(t, job(from, to, &memory.Ledger{}))
	if got := to.Mailboxes()[0]; !got.Subscribed {
		t.Errorf("%+v", got)
	}
}

func TestRunFindsTheSameMessageWithoutItsLastLineEnd(t *testing.T) {
	from, to := memory.New(), memory.New()
	from.Sizeless = true
	from.Put("INBOX", migrate.Message{}, []byte("Subject: x\r\n\r\nno end\r\n")) // as POP3 gives it
	to.Put("INBOX", migrate.Message{}, []byte("Subject: x\r\n\r\nno end"))       // as IMAP had it
	if summary := mustRun(t, job(from, to, &memory.Ledger{})); summary.Present != 1 {
		t.Errorf("%+v", summary)
	}
}

func TestRunWithoutKeysFromTheDestination(t *testing.T) {
	from, to, ledger := filled(), memory.New(), &memory.Ledger{}
	to.Nameless = true
	mustRun(t, job(from, to, ledger))
	from.Put("INBOX", migrate.Message{InternalDate: day, Flags: migrate.NewFlags(`\Seen`, "$Label0")}, from.Messages("INBOX")[0].Octets) // another twin
	if summary := mustRun(t, job(from, to, ledger)); summary.Copied != 1 {
		t.Errorf("a twin was taken for its brother: %+v", summary)
	}
	if got, want := len(to.Messages("INBOX")), len(from.Messages("INBOX")); got != want {
		t.Errorf("%d messages, want %d", got, want)
	}
}

func TestRunLeavesARefusedMessageBehind(t *testing.T) {
	from, to, ledger := filled(), memory.New(), &memory.Ledger{}
	to.Refuse = func(m migrate.Message, octets []byte) error {
		if strings.Contains(string(octets), "Subject: 1") {
			return errors.New("NO not this one")
		}
		return nil
	}
	var told []string
	j := job(from, to, ledger)
	j.Options.Report = func(e migrate.Event) {
		if e.Outcome == migrate.Left {
			told = append(told, e.Err.Error())
		}
	}
	summary := mustRun(t, j)
	if summary.Failed != 6 || summary.Copied != 9 || len(told) != 6 {
		t.Errorf("%+v\n%s", summary, told)
	}
	if !slices.Contains(told, `destination: "INBOX", UID 3: NO not this one`) { // what became of it is the Outcome's to say
		t.Errorf("told: %s", told)
	}
	to.Refuse = nil
	if summary := mustRun(t, job(from, to, ledger)); summary.Copied != 6 {
		t.Errorf("when it is refused no more: %+v", summary)
	}
	same(t, to, from)
}

func TestRunStopsWhenTheDestinationIsFull(t *testing.T) {
	from, to, ledger := filled(), memory.New(), &memory.Ledger{}
	count := 0
	to.Refuse = func(migrate.Message, []byte) error {
		if count++; count > 4 {
			return migrate.Errorf(migrate.Refused, "NO [OVERQUOTA] full")
		}
		return nil
	}
	summary, err := migrate.Run(t.Context(), job(from, to, ledger))
	if migrate.KindOf(err) != migrate.Refused || migrate.HintOf(err) == "" || summary.Copied != 4 {
		t.Errorf("%+v, %v", summary, err)
	}
	to.Refuse = nil
	if summary := mustRun(t, job(from, to, ledger)); summary.Copied != 11 {
		t.Errorf("when there is room: %+v", summary)
	}
	same(t, to, from)
}

func TestRunFilters(t *testing.T) {
	from, to := filled(), memory.New()
	j := job(from, to, &memory.Ledger{})
	j.Options.Filter = migrate.Filter{Rules: []migrate.Rule{migrate.NewRule("Work", false), migrate.NewRule("INBOX", false)}, Since: day.Add(2 * time.Hour)}
	summary := mustRun(t, j)
	if summary.Copied != 6 || summary.Filtered != 4 || summary.Mailboxes != 3 {
		t.Errorf("%+v", summary)
	}
}

func TestRunMaps(t *testing.T) {
	from, to := filled(), memory.New()
	to.Make(migrate.Mailbox{Path: "Sent Items", Role: migrate.RoleSent})
	mustRun(t, job(from, to, &memory.Ledger{}))
	if len(to.Messages("Sent Items")) != 5 || to.Messages("Sent") != nil {
		t.Errorf("sent mail is not where the destination keeps it: %v", contents(to))
	}
	under := memory.New()
	j := job(from, under, &memory.Ledger{})
	j.Options.Mapping = migrate.Mapping{Under: "Old", Moves: []migrate.Move{{From: "Work", To: "Job"}}}
	mustRun(t, j)
	for _, path := range []migrate.Path{"Old/INBOX", "Old/Job/2020", "Old/Sent"} {
		if len(under.Messages(path)) != 5 {
			t.Errorf("%q holds %d", path, len(under.Messages(path)))
		}
	}
}

func TestDryRunWritesNothing(t *testing.T) {
	from, to, ledger := filled(), memory.New(), &memory.Ledger{}
	to.Put("INBOX", migrate.Message{}, from.Messages("INBOX")[0].Octets)
	before := contents(to)
	j := job(from, to, ledger)
	j.Options.DryRun = true
	summary := mustRun(t, j)
	if summary.Copied != 14 || summary.Present != 1 || summary.Messages != 15 {
		t.Errorf("%+v", summary)
	}
	if diff := cmp.Diff(before, contents(to)); diff != "" {
		t.Error(diff)
	}
	j.OpenSink, j.Ledger = nil, nil
	if summary := mustRun(t, j); summary.Copied != 15 || summary.Messages != 15 {
		t.Errorf("into nothing: %+v", summary)
	}
}

func TestRunStops(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		from, to, ledger := filled(), memory.New(), &memory.Ledger{}
		stop := make(chan struct{})
		var once sync.Once
		j := job(from, to, ledger)
		j.Options.Stop = stop
		j.Options.Report = func(e migrate.Event) {
			if e.Outcome == migrate.Copied {
				once.Do(func() { close(stop); time.Sleep(time.Second) }) // until the run has heard of it
			}
		}
		summary, err := migrate.Run(t.Context(), j)
		if !errors.Is(err, migrate.ErrStopped) || summary.Copied == 0 || summary.Copied == 15 {
			t.Errorf("%+v, %v", summary, err)
		}
		mustRun(t, job(from, to, ledger))
		same(t, to, from)
	})
}

func TestRunStopsAtALimit(t *testing.T) {
	from, to, ledger := filled(), memory.New(), &memory.Ledger{}
	j := job(from, to, ledger)
	j.Options.MaxOctets = 40
	summary, err := migrate.Run(t.Context(), j)
	if migrate.KindOf(err) != migrate.Limit || summary.Copied == 0 || summary.Copied == 15 {
		t.Errorf("%+v, %v", summary, err)
	}
}

func TestRunDatesMailThatHasNoInternalDate(t *testing.T) {
	from, to := memory.New(), memory.New()
	from.Put("INBOX", migrate.Message{}, []byte("Received: from a.example.org\r\n by b.example.org; Tue, 5 Mar 2019 10:00:00 +0200\r\nReceived: x; Mon, 4 Mar 2019 10:00:00 +0000\r\nDate: Sun, 3 Mar 2019 10:00:00 +0000\r\n\r\n"))
	from.Put("INBOX", migrate.Message{}, []byte("Date: Sun, 3 Mar 2019 10:00:00 +0000\r\n\r\n"))
	from.Put("INBOX", migrate.Message{}, []byte("Date: Sun, 3 Mar 2999 10:00:00 +0000\r\n\r\n"))
	mustRun(t, job(from, to, &memory.Ledger{}))
	var got []string
	for _, m := range to.Messages("INBOX") {
		got = append(got, m.InternalDate.Format(time.RFC3339))
	}
	want := []string{"2019-03-05T10:00:00+02:00", "2019-03-03T10:00:00Z", "0001-01-01T00:00:00Z"}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
}

// TestRunCutAnywhere breaks one end at step n, for every n: the run finishes by itself when the trouble passes, and
// another run finishes it when it does not. Each message is there exactly once at the end.
func TestRunCutAnywhere(t *testing.T) {
	network := &migrate.Error{Kind: migrate.Unavailable, Err: io.ErrUnexpectedEOF}
	for _, test := range []struct {
		name  string
		end   func(from, to *memory.Store) *memory.Store
		err   error
		lanes int
	}{
		{"source lost for a moment", func(from, _ *memory.Store) *memory.Store { return from }, network, 1},
		{"destination lost for a moment", func(_, to *memory.Store) *memory.Store { return to }, network, 1},
		{"source lost for a moment, three lanes", func(from, _ *memory.Store) *memory.Store { return from }, network, 3},
		{"destination lost for a moment, three lanes", func(_, to *memory.Store) *memory.Store { return to }, network, 3},
		{"source lost for good", func(from, _ *memory.Store) *memory.Store { return from }, errors.New("dead"), 1},
		{"destination lost for good", func(_, to *memory.Store) *memory.Store { return to }, errors.New("dead"), 1},
	} {
		t.Run(test.name, func(t *testing.T) {
			for n := 1; ; n++ {
				from, to, ledger := filled(), memory.New(), &memory.Ledger{}
				var mu sync.Mutex
				step, broke := 0, ""
				test.end(from, to).Step = func(operation string) error {
					mu.Lock()
					defer mu.Unlock()
					if step++; step == n {
						broke = operation
						return test.err
					}
					return nil
				}
				j := job(from, to, ledger)
				j.Options.Lanes = test.lanes
				summary, err := migrate.Run(t.Context(), j)
				if broke == "" {
					if err != nil || n < 10 {
						t.Fatalf("step %d: %v", n, err)
					}
					return // every step has been tried
				}
				if migrate.IsTemporary(test.err) && (err != nil || summary.Copied+summary.Present != 15) {
					t.Errorf("cut at step %d (%s): %+v, %v", n, broke, summary, err)
				}
				if !migrate.IsTemporary(test.err) && err == nil {
					t.Errorf("cut at step %d (%s): no error", n, broke)
				}
				mustRun(t, job(from, to, ledger))
				same(t, to, from)
				if t.Failed() {
					t.Fatalf("cut at step %d (%s)", n, broke)
				}
			}
		})
	}
}

func TestRunLeavesAMessageThatBreaksTheConnection(t *testing.T) {
	from, to := filled(), memory.New()
	inner := job(from, to, &memory.Ledger{})
	j := inner
	j.OpenSink = func(ctx context.Context) (migrate.Sink, error) {
		session, err := to.Open(ctx)
		return &allergic{Session: session}, err
	}
	summary, err := migrate.Run(t.Context(), j)
	if err != nil || summary.Failed != 1 || summary.Copied != 14 {
		t.Errorf("%+v, %v", summary, err)
	}
}

// allergic dies of one message, each time.
type allergic struct {
	*memory.Session
	dead bool
}

func (a *allergic) Append(ctx context.Context, path migrate.Path, m migrate.Message, body migrate.Body) error {
	octets, err := io.ReadAll(body)
	if err != nil {
		return err
	}
	if a.dead = a.dead || strings.Contains(string(octets), "Subject: 2\r\n\r\nbody in Sent"); a.dead {
		return &migrate.Error{Kind: migrate.Unavailable, Err: io.ErrUnexpectedEOF}
	}
	return a.Session.Append(ctx, path, m, migrate.Body{Reader: strings.NewReader(string(octets)), Size: body.Size})
}

func TestRunPanicsWhereItsCallerCanRecover(t *testing.T) {
	for _, lanes := range []int{1, 3} {
		from, to := filled(), memory.New()
		to.Refuse = func(migrate.Message, []byte) error { panic("a bug") }
		j := job(from, to, &memory.Ledger{})
		j.Options.Lanes = lanes
		func() {
			defer func() {
				if got := fmt.Sprint(recover()); got != "a bug" {
					t.Errorf("%d lanes: recovered %s", lanes, got)
				}
			}()
			migrate.Run(t.Context(), j)
		}()
	}
}

func TestRunGivesUpOnADeadServer(t *testing.T) {
	from, to := filled(), memory.New()
	j := job(from, to, &memory.Ledger{})
	tries := 0
	j.OpenSink = func(context.Context) (migrate.Sink, error) {
		tries++
		return nil, &migrate.Error{Kind: migrate.Unavailable, Err: errors.New("connection refused")}
	}
	summary, err := migrate.Run(t.Context(), j)
	if migrate.KindOf(err) != migrate.Unavailable || tries != 11 || summary.Retries != 10 {
		t.Errorf("%d tries, %+v, %v", tries, summary, err)
	}
	if want := "destination: connection refused"; err == nil || err.Error() != want {
		t.Errorf("got %v, want %s", err, want)
	}
}

func TestWrongPasswordIsTriedOnce(t *testing.T) {
	from, to := filled(), memory.New()
	j := job(from, to, &memory.Ledger{})
	tries := 0
	j.OpenSource = func(context.Context) (migrate.Source, error) {
		tries++
		return nil, migrate.Errorf(migrate.Auth, "NO wrong password")
	}
	if _, err := migrate.Run(t.Context(), j); migrate.KindOf(err) != migrate.Auth || tries != 1 {
		t.Errorf("%d tries, %v", tries, err)
	}
}

func TestCompare(t *testing.T) {
	from, to, ledger := filled(), memory.New(), &memory.Ledger{}
	mustRun(t, job(from, to, ledger))
	compare := func(j migrate.Job, damaged func(migrate.Path, migrate.Key) bool) (migrate.Comparison, []string) {
		t.Helper()
		var missing []string
		result, err := migrate.Compare(t.Context(), j, damaged, func(m migrate.Missing) { missing = append(missing, string(m.Mailbox)+" "+m.Message.Key.String()) })
		if err != nil {
			t.Fatal(err)
		}
		return result, missing
	}
	if result, missing := compare(job(from, to, ledger), nil); result.Messages != 15 || result.Missing != 0 {
		t.Errorf("%+v %v", result, missing)
	}
	if result, missing := compare(job(from, to, &memory.Ledger{}), nil); result.Missing != 0 {
		t.Errorf("by octets alone: %+v %v", result, missing)
	}
	from.Put("INBOX", migrate.Message{}, []byte("new"))
	from.Put("INBOX", migrate.Message{}, from.Messages("INBOX")[0].Octets)
	bad := to.Messages("Sent")[2].Key
	to.Remove("Work/2020", to.Messages("Work/2020")[3].Key)
	_, missing := compare(job(from, to, ledger), func(path migrate.Path, key migrate.Key) bool { return path == "Sent" && key == bad })
	slices.Sort(missing)
	if diff := cmp.Diff([]string{"INBOX UID 6", "INBOX UID 7", "Sent UID 3", "Work/2020 UID 4"}, missing); diff != "" {
		t.Error(diff)
	}
}
