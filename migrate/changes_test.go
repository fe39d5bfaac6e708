package migrate_test

import (
	"context"
	"fmt"
	"iter"
	"math"
	"slices"
	"testing"

	"postcask/migrate"
	"postcask/migrate/memory"
)

// A changing session remembers what changed, as a server with CONDSTORE does.
type changing struct {
	*memory.Session
	store         *memory.Store
	log           *changes
	listed, asked *int
	cannotTell    bool
	twist         func(migrate.Change) []migrate.Change // what it tells instead; nil for the truth
}

type changes struct {
	seq     uint64
	changed map[migrate.Key]uint64
	gone    []migrate.Key
}

func (c *changing) Status(ctx context.Context, path migrate.Path) (migrate.Status, error) {
	status, err := c.Session.Status(ctx, path)
	status.HighestModSeq = c.log.seq
	return status, err
}

func (c *changing) Messages(ctx context.Context, path migrate.Path) iter.Seq2[migrate.Message, error] {
	*c.listed++
	return c.Session.Messages(ctx, path)
}

func (c *changing) Changes(ctx context.Context, path migrate.Path, since migrate.Status) iter.Seq2[migrate.Change, error] {
	*c.asked++
	return func(yield func(migrate.Change, error) bool) {
		if c.cannotTell {
			yield(migrate.Change{}, migrate.ErrCannotTell)
			return
		}
		tell := func(change migrate.Change) bool {
			told := []migrate.Change{change}
			if c.twist != nil {
				told = c.twist(change)
			}
			return !slices.ContainsFunc(told, func(change migrate.Change) bool { return !yield(change, nil) })
		}
		for _, key := range c.log.gone {
			if !tell(migrate.Change{First: key.UID, Last: key.UID}) {
				return
			}
		}
		count := int64(0)
		for m, err := range c.Session.Messages(ctx, path) {
			if err != nil {
				yield(migrate.Change{}, err)
				return
			}
			if count++; (m.Key.UID >= since.UIDNext || c.log.changed[m.Key] > since.HighestModSeq) && !tell(migrate.Change{Message: m}) {
				return
			}
		}
		tell(migrate.Change{Messages: count})
	}
}

// What a source tells of changes counts only where it adds up with what the ledger knows: that too much is said to be gone,
// or too little, or nothing about how many are left, takes no message for gone that is there.
func TestAMistakenTaleOfWhatIsGoneTakesNothingAway(t *testing.T) {
	for name, test := range map[string]struct {
		twist  func(migrate.Change) []migrate.Change
		listed int
	}{
		"true": {nil, 1},
		"what never was is gone as well": {func(c migrate.Change) []migrate.Change {
			if c.First != 0 {
				return []migrate.Change{c, {First: 1000, Last: math.MaxUint32}, c}
			}
			return []migrate.Change{c}
		}, 1},
		"one that is there": {func(c migrate.Change) []migrate.Change {
			if c.First != 0 {
				c.Last++
			}
			return []migrate.Change{c}
		}, 2},
		"all": {func(c migrate.Change) []migrate.Change {
			if c.First != 0 {
				c.First, c.Last = 1, math.MaxUint32
			}
			return []migrate.Change{c}
		}, 2},
		"another one": {func(c migrate.Change) []migrate.Change {
			if c.First != 0 {
				return nil
			}
			return []migrate.Change{c}
		}, 2},
		"not how many are left": {func(c migrate.Change) []migrate.Change {
			if c.First == 0 && c.Message.Key.IsZero() {
				return nil
			}
			return []migrate.Change{c}
		}, 2},
		"one that nobody knows, told of like one that is known": {func(c migrate.Change) []migrate.Change {
			if c.First == 0 && !c.Message.Key.IsZero() {
				c.Message = migrate.Message{Key: c.Message.Key, Size: -1}
			}
			return []migrate.Change{c}
		}, 2},
	} {
		t.Run(name, func(t *testing.T) {
			from, to, ledger := memory.New(), memory.New(), &memory.Ledger{}
			for i := range 9 {
				from.Put("INBOX", migrate.Message{InternalDate: day}, fmt.Appendf(nil, "Subject: %d\r\n\r\nbody\r\n", i))
			}
			log := &changes{seq: 5}
			listed, asked := 0, 0
			j := job(from, to, ledger)
			j.OpenSource = func(ctx context.Context) (migrate.Source, error) {
				session, err := from.Open(ctx)
				return &changing{Session: session, store: from, log: log, listed: &listed, asked: &asked, twist: test.twist}, err
			}
			mustRun(t, j)
			gone := from.Messages("INBOX")[4].Key
			from.Put("INBOX", migrate.Message{InternalDate: day}, []byte("Subject: new\r\n\r\nbody\r\n"))
			from.Remove("INBOX", gone)
			log.seq, log.gone = 8, []migrate.Key{gone}
			summary := mustRun(t, j)
			if summary.Messages != 9 || summary.Copied != 1 || summary.Present != 8 || listed != test.listed || asked != 1 {
				t.Errorf("listed %d times, asked %d times, %+v", listed, asked, summary)
			}
			for entry, err := range ledger.Entries(t.Context(), "INBOX") {
				if err != nil || entry.Retired != (entry.Key == gone) {
					t.Errorf("%v: retired %v, %v", entry.Key, entry.Retired, err)
				}
			}
		})
	}
}

// Where a source has no more than flags to tell of old messages, those that are not among them are gone.
func TestFlagsOfOldMessagesAreEnough(t *testing.T) {
	from, to, ledger := memory.New(), memory.New(), &memory.Ledger{}
	for i := range 9 {
		from.Put("INBOX", migrate.Message{InternalDate: day}, fmt.Appendf(nil, "Subject: %d\r\n\r\nbody\r\n", i))
	}
	listed, asked := 0, 0
	j := job(from, to, ledger)
	j.OpenSource = func(ctx context.Context) (migrate.Source, error) {
		session, err := from.Open(ctx)
		return &forgetful{&changing{Session: session, listed: &listed, asked: &asked}}, err
	}
	mustRun(t, j)
	if again := mustRun(t, j); again.Present != 9 || again.FlagsUpdated != 0 {
		t.Errorf("nothing new: %+v", again)
	}
	keys := from.Messages("INBOX")
	from.Put("INBOX", migrate.Message{InternalDate: day}, []byte("Subject: new\r\n\r\nbody\r\n"))
	from.SetFlags("INBOX", keys[2].Key, migrate.NewFlags(`\Flagged`))
	from.Remove("INBOX", keys[4].Key, keys[8].Key)
	summary := mustRun(t, j)
	if summary.Messages != 8 || summary.Copied != 1 || summary.Present != 7 || summary.FlagsUpdated != 1 || listed != 1 || asked != 2 {
		t.Errorf("listed %d times, asked %d times, %+v", listed, asked, summary)
	}
	if count, err := ledger.Count(t.Context(), "INBOX"); count != 8 || err != nil {
		t.Errorf("%d are known to be there, %v", count, err)
	}
	if got := to.Messages("INBOX"); len(got) != 10 || !got[2].Flags.Has(`\Flagged`) {
		t.Errorf("%d at the destination", len(got))
	}
}

// forgetful is a session that keeps no record of changes.
type forgetful struct{ *changing }

func (f *forgetful) Status(ctx context.Context, path migrate.Path) (migrate.Status, error) {
	return f.Session.Status(ctx, path)
}

func (f *forgetful) Changes(ctx context.Context, path migrate.Path, since migrate.Status) iter.Seq2[migrate.Change, error] {
	*f.asked++
	return func(yield func(migrate.Change, error) bool) {
		next, count := uint32(1), int64(0)
		for m, err := range f.Session.Messages(ctx, path) {
			if err != nil {
				yield(migrate.Change{}, err)
				return
			}
			if m.Key.UID > next && !yield(migrate.Change{First: next, Last: m.Key.UID - 1}, nil) {
				return
			}
			if m.Key.UID < since.UIDNext {
				m = migrate.Message{Key: m.Key, Size: -1, Flags: m.Flags}
			}
			if next = m.Key.UID + 1; !yield(migrate.Change{Message: m}, nil) {
				return
			}
			count++
		}
		if yield(migrate.Change{First: next, Last: math.MaxUint32}, nil) {
			yield(migrate.Change{Messages: count}, nil)
		}
	}
}

func TestOnlyWhatHasChangedIsListedWhereTheSourceCanTell(t *testing.T) {
	for _, cannotTell := range []bool{false, true} {
		t.Run(fmt.Sprintf("cannot tell %v", cannotTell), func(t *testing.T) {
			from, to := memory.New(), memory.New()
			for i := range 9 {
				from.Put("INBOX", migrate.Message{InternalDate: day}, fmt.Appendf(nil, "Subject: %d\r\n\r\nbody\r\n", i))
			}
			log := &changes{seq: 5, changed: map[migrate.Key]uint64{}}
			listed, asked := 0, 0
			j := job(from, to, &memory.Ledger{})
			j.OpenSource = func(ctx context.Context) (migrate.Source, error) {
				session, err := from.Open(ctx)
				return &changing{Session: session, store: from, log: log, listed: &listed, asked: &asked, cannotTell: cannotTell}, err
			}
			mustRun(t, j)
			if mustRun(t, j); listed != 1 || asked != 0 {
				t.Errorf("with nothing new: listed %d times, changes asked for %d times; want 1 and 0", listed, asked)
			}
			keys := from.Messages("INBOX")
			from.Put("INBOX", migrate.Message{InternalDate: day}, []byte("Subject: new\r\n\r\nbody\r\n"))
			from.SetFlags("INBOX", keys[2].Key, migrate.NewFlags(`\Flagged`))
			from.Remove("INBOX", keys[4].Key)
			log.seq, log.changed[keys[2].Key], log.gone = 8, 7, []migrate.Key{keys[4].Key}
			summary := mustRun(t, j)
			if summary.Messages != 9 || summary.Copied != 1 || summary.Present != 8 || summary.FlagsUpdated != 1 {
				t.Errorf("%+v", summary)
			}
			if wantListed := 1 + asked*map[bool]int{true: 1}[cannotTell]; asked != 1 || listed != wantListed {
				t.Errorf("listed %d times, changes asked for %d times", listed, asked)
			}
			if got := len(to.Messages("INBOX")); got != 10 { // with the one that the source lost
				t.Errorf("%d messages at the destination, want 10", got)
			}
			before := asked
			if again := mustRun(t, j); again.Present != 9 || asked != before {
				t.Errorf("the run after: %+v, changes asked for %d times more", again, asked-before)
			}
			// Flags alone have changed: as many messages as before, none has gone.
			log.seq, log.changed[keys[6].Key], log.gone = 9, 9, nil
			from.SetFlags("INBOX", keys[6].Key, migrate.NewFlags(`\Seen`))
			if again := mustRun(t, j); again.Present != 9 || again.FlagsUpdated != 1 {
				t.Errorf("after a change of flags: %+v", again)
			}
		})
	}
}
