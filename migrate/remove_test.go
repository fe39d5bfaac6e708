package migrate_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"postcask/migrate"
	"postcask/migrate/memory"
)

// deleting makes a job that deletes at the source what has arrived.
func deleting(from, to *memory.Store, ledger migrate.Ledger) (migrate.Job, *memory.Keeper) {
	j := job(from, to, ledger)
	keeper := &memory.Keeper{Store: to}
	j.Deletion = &migrate.Deletion{Most: -1, Keeper: keeper, Open: j.OpenSource}
	return j, keeper
}

// subjects gives what is in a store as mailbox and first line.
func subjects(s *memory.Store) map[migrate.Path][]string {
	found := map[migrate.Path][]string{}
	for _, mbox := range s.Mailboxes() {
		for _, m := range s.Messages(mbox.Path) {
			line, _, _ := strings.Cut(string(m.Octets), "\r\n")
			found[mbox.Path] = append(found[mbox.Path], line)
		}
	}
	return found
}

func TestDeletesWhatHasBeenKeptLongEnoughAndNothingElse(t *testing.T) {
	from, to := memory.New(), memory.New()
	keys := map[migrate.Key]int{}
	for i := range 10 {
		keys[from.Put("INBOX", migrate.Message{}, fmt.Appendf(nil, "Subject: %d\r\n\r\nx\r\n", i))] = i
	}
	j, keeper := deleting(from, to, &memory.Ledger{})
	now := time.Date(2031, 5, 1, 0, 0, 0, 0, time.UTC)
	j.Deletion.Now = func() time.Time { return now }
	j.Deletion.Age = 30 * 24 * time.Hour
	keeper.AddedAt = func(key migrate.Key) time.Time { return now.AddDate(0, 0, -int(key.UID)*6) } // UIDs 5 to 10 are old enough
	summary := mustRun(t, j)
	if summary.Copied != 10 || summary.Deleted != 6 {
		t.Errorf("%d copied and %d deleted, want 10 and 6", summary.Copied, summary.Deleted)
	}
	want := map[migrate.Path][]string{"INBOX": {"Subject: 0", "Subject: 1", "Subject: 2", "Subject: 3"}}
	if diff := cmp.Diff(want, subjects(from)); diff != "" {
		t.Errorf("left at the source, -want +got:\n%s", diff)
	}
	if n := len(to.Messages("INBOX")); n != 10 || len(keeper.Noted["INBOX"]) != 6 {
		t.Errorf("%d kept and %d noted, want 10 and 6", n, len(keeper.Noted["INBOX"]))
	}
	if summary := mustRun(t, j); summary.Deleted != 0 || summary.Present != 4 {
		t.Errorf("the second run deleted %d with %d present, want 0 and 4", summary.Deleted, summary.Present)
	}
}

// A message that was recognised by size and header alone, since its mailbox was renumbered, is read before it goes.
func TestWhatWasNeverReadIsReadBeforeItIsDeleted(t *testing.T) {
	const header = "Message-ID: <1@example.org>\r\nSubject: one\r\n\r\n"
	from, to, known := memory.New(), memory.New(), &memory.Ledger{}
	from.Put("INBOX", migrate.Message{}, []byte(header+"the body\r\n"))
	from.Put("INBOX", migrate.Message{}, []byte("Message-ID: <2@example.org>\r\nSubject: two\r\n\r\nbody\r\n"))
	mustRun(t, job(from, to, known))
	from.Renumber("INBOX")
	from.Replace("INBOX", from.Messages("INBOX")[0].Key, migrate.Message{}, []byte(header+"xyz body\r\n"))
	j, _ := deleting(from, to, known)
	j.OpenSink = func(context.Context) (migrate.Sink, error) { return to.OpenKnowing(), nil }
	summary := mustRun(t, j)
	if summary.Present != 2 || summary.Deleted != 1 || summary.NotDeleted != 1 {
		t.Errorf("%+v", summary)
	}
	if diff := cmp.Diff(map[migrate.Path][]string{"INBOX": {"Message-ID: <1@example.org>"}}, subjects(from)); diff != "" {
		t.Errorf("left at the source, -want +got:\n%s", diff)
	}
}

// Cut at each step in turn, by an end that is lost for good and by one that comes back: a message is never gone from the
// source without its octets at the destination, and the next run ends as if nothing had happened.
func TestNeverGoneWithoutACopy(t *testing.T) {
	want := contents(filled())
	for _, lost := range []struct {
		what  string
		err   error
		times int
	}{
		{"for good", migrate.Errorf(migrate.Failed, "broken"), 1 << 30},
		{"once", migrate.Errorf(migrate.Unavailable, "broken"), 1},
	} {
		t.Run(lost.what, func(t *testing.T) {
			n := 0
			defer func() { t.Logf("cut at %d steps", n-1) }()
			for more := true; more; {
				n++
				from, to, known := filled(), memory.New(), &memory.Ledger{}
				j, _ := deleting(from, to, known)
				steps, failed := 0, 0
				var both sync.Mutex // the ends are opened at once
				from.Step = func(string) error {
					both.Lock()
					defer both.Unlock()
					if steps++; steps >= n && failed < lost.times {
						failed++
						return lost.err
					}
					return nil
				}
				to.Step = from.Step
				summary, err := migrate.Run(t.Context(), j)
				more = failed > 0
				if err == nil && lost.times > 1 && more {
					t.Errorf("step %d: lost for good, and no error", n)
				}
				checkNoneLost(t, n, from, to)
				from.Step, to.Step = nil, nil
				again := mustRun(t, j)
				for mbox, left := range subjects(from) {
					t.Errorf("step %d: left at the source in %q: %v (first run %+v, second %+v)", n, mbox, left, summary, again)
				}
				if diff := cmp.Diff(want, contents(to)); diff != "" {
					t.Fatalf("step %d: kept, -want +got:\n%s", n, diff)
				}
				if t.Failed() {
					return
				}
			}
		})
	}
}

// checkNoneLost checks that of each octets at least as many copies are kept as have gone from the source.
func checkNoneLost(t *testing.T, step int, from, to *memory.Store) {
	t.Helper()
	count := func(s *memory.Store) map[string]int {
		counts := map[string]int{}
		for _, mbox := range s.Mailboxes() {
			for _, m := range s.Messages(mbox.Path) {
				counts[string(m.Octets)]++
			}
		}
		return counts
	}
	left, kept := count(from), count(to)
	for octets, n := range count(filled()) {
		if gone := n - left[octets]; gone > kept[octets] {
			t.Fatalf("step %d: %d of %d have gone, %d are kept of %q", step, gone, n, kept[octets], octets)
		}
	}
}

func TestDamagedCopyKeepsTheMessageAtTheSource(t *testing.T) {
	from, to, known := filled(), memory.New(), &memory.Ledger{}
	mustRun(t, job(from, to, known))
	victim := to.Messages("Sent")[2]
	to.Spoil("Sent", victim.Key)
	lost := to.Messages("INBOX")[0]
	to.Remove("INBOX", lost.Key)
	j, _ := deleting(from, to, known)
	var warnings []string
	j.Options.Report = func(e migrate.Event) {
		if e.Type == migrate.EventWarning {
			warnings = append(warnings, e.Err.Error())
		}
	}
	summary, err := migrate.Run(t.Context(), j)
	if migrate.KindOf(err) != migrate.Damaged {
		t.Errorf("got %v, want an error of kind Damaged", err)
	}
	if summary.Deleted != 13 || summary.NotDeleted != 2 || len(warnings) != 2 {
		t.Errorf("%d deleted, %d not, %q; want 13, 2 and two warnings", summary.Deleted, summary.NotDeleted, warnings)
	}
	want := map[migrate.Path][]string{"INBOX": {"Subject: 0"}, "Sent": {"Subject: 1"}}
	if diff := cmp.Diff(want, subjects(from)); diff != "" {
		t.Errorf("left at the source, -want +got:\n%s", diff)
	}
}

func TestMaxDelete(t *testing.T) {
	for _, test := range []struct {
		most    int64
		deleted int64
		kind    migrate.Kind
	}{{-1, 15, 0}, {15, 15, 0}, {14, 0, migrate.Unsafe}, {0, 0, migrate.Unsafe}} {
		t.Run(fmt.Sprint(test.most), func(t *testing.T) {
			from, to := filled(), memory.New()
			j, _ := deleting(from, to, &memory.Ledger{})
			j.Deletion.Most = test.most
			summary, err := migrate.Run(t.Context(), j)
			if (err != nil) != (test.kind != 0) || err != nil && migrate.KindOf(err) != test.kind {
				t.Errorf("got error %v, want kind %d", err, test.kind)
			}
			if summary.Copied != 15 || summary.Deleted != test.deleted {
				t.Errorf("%d copied and %d deleted, want 15 and %d", summary.Copied, summary.Deleted, test.deleted)
			}
			if left := len(from.Messages("INBOX")); (left == 0) != (test.deleted > 0) {
				t.Errorf("%d messages are left in INBOX", left)
			}
		})
	}
}

func TestDryRunTellsHowManyWouldBeDeleted(t *testing.T) {
	from, to, known := filled(), memory.New(), &memory.Ledger{}
	mustRun(t, job(from, to, known))
	from.Put("INBOX", migrate.Message{}, []byte("Subject: new\r\n\r\n"))
	j, keeper := deleting(from, to, known)
	j.Options.DryRun = true
	from.Step = func(operation string) error {
		if strings.HasPrefix(operation, "remove") {
			t.Error("a dry run deletes")
		}
		return nil
	}
	if summary := mustRun(t, j); summary.Deleted != 15 || len(keeper.Noted) != 0 {
		t.Errorf("%d would be deleted, %d noted; want 15 and none", summary.Deleted, len(keeper.Noted))
	}
	if n := len(from.Messages("INBOX")); n != 6 {
		t.Errorf("%d messages are left in INBOX, want 6", n)
	}
}

func TestAClockThatJumpedDeletesNothing(t *testing.T) {
	now := time.Date(2031, 5, 1, 0, 0, 0, 0, time.UTC)
	for _, test := range []struct {
		name          string
		newest, added time.Time
		stops         bool
	}{
		{"in order", now.AddDate(0, 0, -1), now.AddDate(0, 0, -40), false},
		{"a second set back", now.Add(time.Second), now.AddDate(0, 0, -40), false},
		{"the archive was written tomorrow", now.AddDate(0, 0, 1), now.AddDate(0, 0, -40), true},
		{"a message was added in ten years", now.AddDate(0, 0, -1), now.AddDate(10, 0, 0), true},
	} {
		t.Run(test.name, func(t *testing.T) {
			from, to := filled(), memory.New()
			j, keeper := deleting(from, to, &memory.Ledger{})
			j.Deletion.Now, j.Deletion.Age = func() time.Time { return now }, 30*24*time.Hour
			keeper.Latest, keeper.AddedAt = test.newest, func(migrate.Key) time.Time { return test.added }
			summary, err := migrate.Run(t.Context(), j)
			if test.stops != (migrate.KindOf(err) == migrate.Unsafe) || test.stops != (summary.Deleted == 0) {
				t.Errorf("%d deleted, %v; want it to stop: %v", summary.Deleted, err, test.stops)
			}
			if summary.Copied != 15 {
				t.Errorf("%d copied, want 15: the backup itself goes on", summary.Copied)
			}
		})
	}
}

func TestTheFilterNarrowsDeletionToo(t *testing.T) {
	from, to, known := filled(), memory.New(), &memory.Ledger{}
	mustRun(t, job(from, to, known)) // all are safe
	j, _ := deleting(from, to, known)
	j.Options.Filter = migrate.Filter{Rules: []migrate.Rule{migrate.NewRule("Sent", false)}, Before: day.Add(2 * time.Hour)}
	if summary := mustRun(t, j); summary.Deleted != 2 {
		t.Errorf("%d deleted, want 2", summary.Deleted)
	}
	if inbox, sent := len(from.Messages("INBOX")), len(from.Messages("Sent")); inbox != 5 || sent != 3 {
		t.Errorf("%d left in INBOX and %d in Sent, want 5 and 3", inbox, sent)
	}
}

func TestAnotherClientDeletesAtTheSameTime(t *testing.T) {
	from, to := filled(), memory.New()
	j, keeper := deleting(from, to, &memory.Ledger{})
	once := true
	from.Step = func(operation string) error {
		if operation == "remove" && once {
			once = false
			for _, mbox := range from.Mailboxes() {
				if all := from.Messages(mbox.Path); len(all) > 1 {
					from.Remove(mbox.Path, all[1].Key)
				}
			}
		}
		return nil
	}
	summary := mustRun(t, j)
	noted := len(keeper.Noted["INBOX"]) + len(keeper.Noted["Sent"]) + len(keeper.Noted["Work/2020"])
	if summary.Deleted != 12 || noted != 12 || summary.NotDeleted != 0 {
		t.Errorf("%d deleted, %d noted, %d not; want 12, 12 and 0", summary.Deleted, noted, summary.NotDeleted)
	}
	if left := subjects(from); len(left) != 0 {
		t.Errorf("left at the source: %v", left)
	}
}

// An answer that is lost is not believed: the messages are looked for again, and count once they are seen to be gone.
func TestLostAnswerToADeletion(t *testing.T) {
	from, to := filled(), memory.New()
	j, keeper := deleting(from, to, &memory.Ledger{})
	lost := 0
	from.Step = func(operation string) error {
		if operation == "remove-done" && lost < 3 {
			lost++
			if len(keeper.Noted) > 0 {
				t.Error("noted before it was confirmed")
			}
			return migrate.Errorf(migrate.Unavailable, "the answer is lost")
		}
		return nil
	}
	summary := mustRun(t, j)
	if left := subjects(from); summary.Deleted != 15 || len(left) != 0 {
		t.Errorf("%d deleted, left: %v; want 15 and nothing", summary.Deleted, left)
	}
}

// Where the server can only flag a message, the flag is ours and does not come back into the archive.
func TestMarkedMessagesAreNotMarkedInTheArchive(t *testing.T) {
	from, to, known := filled(), memory.New(), &memory.Ledger{}
	from.MarkOnly = true
	j, _ := deleting(from, to, known)
	var warnings []string
	j.Options.Report = func(e migrate.Event) {
		if e.Type == migrate.EventWarning {
			warnings = append(warnings, e.Err.Error())
		}
	}
	if summary := mustRun(t, j); summary.Marked != 15 || summary.Deleted != 0 || len(warnings) != 1 {
		t.Errorf("%d marked, %d deleted, %q; want 15, 0 and one line", summary.Marked, summary.Deleted, warnings)
	}
	if summary := mustRun(t, j); summary.Marked != 0 || summary.FlagsUpdated != 0 || len(warnings) != 1 {
		t.Errorf("second run: %d marked, %d with new flags, %q; want none of it again", summary.Marked, summary.FlagsUpdated, warnings)
	}
	for _, m := range to.Messages("INBOX") {
		if m.Flags.Has(`\Deleted`) {
			t.Errorf("%s is flagged %v in the archive", m.Key, m.Flags)
		}
	}
	if !from.Messages("INBOX")[0].Flags.Has(`\Deleted`) {
		t.Error("nothing is flagged at the source")
	}
}

func TestAnInterruptStopsDeletingInGoodOrder(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		from, to := filled(), memory.New()
		j, keeper := deleting(from, to, &memory.Ledger{})
		stop := make(chan struct{})
		j.Options.Stop = stop
		began := false
		from.Step = func(operation string) error {
			if operation == "remove" && !began {
				began = true
				close(stop)
				time.Sleep(time.Second) // until the run has heard of it
			}
			return nil
		}
		summary, err := migrate.Run(context.WithoutCancel(t.Context()), j)
		if !errors.Is(err, migrate.ErrStopped) {
			t.Errorf("got %v, want ErrStopped", err)
		}
		noted := len(keeper.Noted["INBOX"]) + len(keeper.Noted["Sent"]) + len(keeper.Noted["Work/2020"])
		if summary.Deleted != 3 || noted != 3 {
			t.Errorf("%d deleted and %d noted, want the 3 in hand", summary.Deleted, noted)
		}
	})
}

func TestHeaderHasher(t *testing.T) {
	digest := func(parts ...string) migrate.Digest {
		h := migrate.NewHeaderHasher()
		for _, part := range parts {
			h.Write([]byte(part))
		}
		return h.Digest()
	}
	const head = "A: b\r\nC: d\r\r\n\r\n"
	for _, same := range [][]string{{head, "body"}, {"A: b\r\nC: d\r", "\r", "\n", "\r\n", "\r\n\r\nx"}, {head + "x\r\n\r\n"}} {
		if digest(same...) != digest(head) {
			t.Errorf("%q is not told as the header %q", same, head)
		}
	}
	for _, other := range []string{"", "\r\n", "A: b\r\nC: d\r\r\n\r", "A: b\r\n\r\n"} {
		if digest(other) == digest(head) {
			t.Errorf("%q is told as the header %q", other, head)
		}
	}
	if digest("\r\nbody") != digest("\r\n") {
		t.Error("a message without fields has a header of one empty line")
	}
}
