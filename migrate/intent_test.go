package migrate_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"iter"
	"slices"
	"strings"
	"sync"
	"testing"

	"postcask/migrate"
	"postcask/migrate/memory"
)

// mail gives a store with messages of a mailbox, some without a Message-ID, one of them twice.
func mail(withID bool) *memory.Store {
	s := memory.New()
	for i := range 7 {
		octets := fmt.Sprintf("Subject: m\xe4il %d\r\n\r\nbody %s\x00\r\n", i/2, strings.Repeat("x", i/2))
		if withID {
			octets = fmt.Sprintf("Message-ID:\r\n <%d@example.org>\r\n", i/2) + octets
		}
		s.Put("INBOX", migrate.Message{InternalDate: day, Flags: migrate.NewFlags(`\Seen`)}, []byte(octets))
	}
	return s
}

// changed are the ways in which servers change what they take, and whether the message can be told from others after it.
var changed = map[string]func([]byte) []byte{
	"NUL becomes 0x80": func(o []byte) []byte { return bytes.ReplaceAll(o, []byte{0}, []byte{0x80}) },
	"8-bit headers are encoded": func(o []byte) []byte {
		return bytes.ReplaceAll(o, []byte("m\xe4il"), []byte("=?iso-8859-1?q?m=e4il?="))
	},
	"a trace field is put on top": func(o []byte) []byte { return append([]byte("X-Trace: yes\r\n"), o...) },
	"the body is encoded anew too": func(o []byte) []byte {
		return []byte(strings.Replace(string(o), "body ", "body"+strings.Repeat("=\r\n", 300), 1))
	},
}

// TestALostAnswerFromAServerThatChangesMessages cuts the destination at step n, for every n, for the moment and for good:
// nothing is missing, nothing there twice, and what could only be guessed is told.
func TestALostAnswerFromAServerThatChangesMessages(t *testing.T) {
	for name, rewrite := range changed {
		for _, withID := range []bool{true, false} {
			for _, nameless := range []bool{true, false} {
				for _, failure := range []error{&migrate.Error{Kind: migrate.Unavailable, Err: io.ErrUnexpectedEOF}, errors.New("dead")} {
					t.Run(fmt.Sprintf("%s, Message-ID %v, UIDPLUS %v, %v", name, withID, !nameless, failure), func(t *testing.T) {
						for n := 1; cutAt(t, n, rewrite, withID, nameless, failure); n++ {
						}
					})
				}
			}
		}
	}
}

func cutAt(t *testing.T, n int, rewrite func([]byte) []byte, withID, nameless bool, failure error) bool {
	t.Helper()
	from, to, ledger := mail(withID), memory.New(), &memory.Ledger{}
	to.Rewrite, to.Nameless = rewrite, nameless
	to.Put("INBOX", migrate.Message{}, rewrite([]byte("Subject: m\xe4il 0\r\n\r\nbody \x00\r\n"))) // an older one, no copy
	step, broke := 0, ""
	to.Step = func(operation string) error {
		if step++; step == n {
			broke = operation
			return failure
		}
		return nil
	}
	var warned int64
	j := job(from, to, ledger)
	j.Options.Report = func(e migrate.Event) {
		if e.Type == migrate.EventWarning && strings.Contains(e.Err.Error(), "not the same to the octet") && !e.Message.Key.IsZero() {
			warned++
		}
	}
	first, err := migrate.Run(t.Context(), j)
	if broke == "" {
		if err != nil || n < 5 || first.Unsure != 0 {
			t.Fatalf("step %d: %+v, %v", n, first, err)
		}
		return false
	}
	second := mustRun(t, j)
	var want []string
	for _, m := range from.Messages("INBOX") {
		want = append(want, string(rewrite(m.Octets)))
	}
	var got []string
	for _, m := range to.Messages("INBOX")[1:] {
		got = append(got, string(m.Octets))
	}
	slices.Sort(got)
	slices.Sort(want)
	if !slices.Equal(got, want) {
		t.Fatalf("cut at step %d (%s): %d messages, want %d: %q", n, broke, len(got), len(want), got)
	}
	if unsure := first.Unsure + second.Unsure; unsure != warned || unsure != 0 && unsure != 7 || broke == "commit-done" && unsure != 7 {
		t.Fatalf("cut at step %d (%s): %d unsure, %d told", n, broke, unsure, warned)
	}
	if third := mustRun(t, j); third.Copied != 0 || third.Unsure != 0 || third.Present != 7 {
		t.Fatalf("cut at step %d (%s): the run after: %+v", n, broke, third)
	}
	return true
}

func TestNewMailWithoutMessageIDThatCannotBeToldApartIsSentAgainAndTold(t *testing.T) {
	from, to, ledger := mail(false), memory.New(), &memory.Ledger{}
	to.Rewrite = changed["a trace field is put on top"]
	to.Step = func(operation string) error {
		if operation == "commit-done" {
			to.Put("INBOX", migrate.Message{}, []byte("Subject: somebody else's\r\n\r\n"))
			return errors.New("dead")
		}
		return nil
	}
	if _, err := migrate.Run(t.Context(), job(from, to, ledger)); err == nil {
		t.Fatal("no error")
	}
	to.Step = nil
	if summary := mustRun(t, job(from, to, ledger)); summary.Unsure != 7 || summary.Copied != 7 {
		t.Errorf("%+v", summary)
	}
	if again := mustRun(t, job(from, to, ledger)); again.Copied != 0 || again.Unsure != 0 {
		t.Errorf("the run after: %+v", again)
	}
}

// TestALostAnswerWhileTheDestinationCountsAnew has the destination renumber, or count down, between the append and the
// look for it: then any of its messages may be the one.
func TestALostAnswerWhileTheDestinationCountsAnew(t *testing.T) {
	for name, recount := range map[string]func(s *memory.Store){
		"UIDVALIDITY changed": func(s *memory.Store) { s.Renumber("INBOX") },
		"UIDNEXT went down":   func(s *memory.Store) { s.CountFrom("INBOX", 1) },
	} {
		t.Run(name, func(t *testing.T) {
			from, to, ledger := mail(true), memory.New(), &memory.Ledger{}
			for range 20 {
				to.Put("INBOX", migrate.Message{}, []byte("Subject: old\r\n\r\n"))
			}
			to.Rewrite = changed["8-bit headers are encoded"]
			to.Step = func(operation string) error {
				if operation == "commit-done" {
					return errors.New("dead")
				}
				return nil
			}
			if _, err := migrate.Run(t.Context(), job(from, to, ledger)); err == nil {
				t.Fatal("no error")
			}
			to.Remove("INBOX", keysOf(to, "INBOX")[:20]...)
			recount(to)
			to.Step = nil
			if summary := mustRun(t, job(from, to, ledger)); summary.Copied != 0 || summary.Unsure != 7 {
				t.Errorf("%+v", summary)
			}
			if got := len(to.Messages("INBOX")); got != 7 {
				t.Errorf("%d messages, want 7", got)
			}
		})
	}
}

func keysOf(s *memory.Store, path migrate.Path) []migrate.Key {
	var keys []migrate.Key
	for _, m := range s.Messages(path) {
		keys = append(keys, m.Key)
	}
	return keys
}

func TestAnIntentIsDurableBeforeAnythingIsSent(t *testing.T) {
	from, to, ledger := filled(), memory.New(), &memory.Ledger{}
	var mu sync.Mutex
	j := job(from, to, ledger)
	j.OpenSink = func(ctx context.Context) (migrate.Sink, error) {
		session, err := to.Open(ctx)
		return &watched{Session: session, t: t, ledger: ledger, mu: &mu}, err
	}
	if summary := mustRun(t, j); summary.Copied != 15 {
		t.Errorf("%+v", summary)
	}
}

// watched looks into the ledger at each append.
type watched struct {
	*memory.Session
	t      *testing.T
	ledger *memory.Ledger
	mu     *sync.Mutex
}

func (w *watched) Append(ctx context.Context, path migrate.Path, m migrate.Message, body migrate.Body) error {
	w.mu.Lock()
	defer w.mu.Unlock()
	entries, err := w.ledger.Lookup(ctx, path, []migrate.Key{m.Key})
	next, nextErr := w.Next(ctx, path)
	if err != nil || nextErr != nil || entries[0].State != migrate.Intended || entries[0].Mailbox != path || entries[0].Place != next || entries[0].Identity.Size != m.Size {
		w.t.Errorf("append of %s to %q, next %+v: %+v, %v, %v", m.Key, path, next, entries[0], err, nextErr)
	}
	return w.Session.Append(ctx, path, m, body)
}

// TestLostAnswersOfSeveralGroupsAtOnce has three lanes lose the answers for their groups, from a server that changes
// messages: each is found by its Message-ID, though all are of one size.
func TestLostAnswersOfSeveralGroupsAtOnce(t *testing.T) {
	from, to, ledger := letters(1500), memory.New(), &memory.Ledger{}
	to.Rewrite = func(octets []byte) []byte { return bytes.ReplaceAll(octets, []byte("body"), []byte("BODY")) }
	var mu sync.Mutex
	lost := 0
	to.Step = func(operation string) error {
		mu.Lock()
		defer mu.Unlock()
		if operation == "commit-done" {
			if lost++; lost > 1 {
				return errors.New("dead")
			}
		}
		return nil
	}
	j := job(from, to, ledger)
	j.Options.Lanes = 3
	before, err := migrate.Run(t.Context(), j)
	if err == nil {
		t.Fatal("no error")
	}
	to.Step = nil
	stored := len(to.Messages("INBOX"))
	summary := mustRun(t, j)
	if got := len(to.Messages("INBOX")); got != 1500 || stored < 1000 {
		t.Errorf("%d messages after %d, want 1500: %+v", got, stored, summary)
	}
	if summary.Unsure != int64(stored)-before.Copied {
		t.Errorf("%d stored before, %+v", stored, summary)
	}
}

// TestALostAnswerIsNotTakenForAnotherOfTheSameMessageID has two messages of one Message-ID in two groups: the answer for
// the second is lost, the first never left. Neither is missing afterwards.
func TestALostAnswerIsNotTakenForAnotherOfTheSameMessageID(t *testing.T) {
	for _, id := range []string{"Message-ID: <one@example.org>\r\n", ""} {
		from, to, ledger := memory.New(), memory.New(), &memory.Ledger{}
		first := from.Put("INBOX", migrate.Message{}, []byte(id+"Subject: to a list\r\n\r\nbody\r\n"))
		second := from.Put("INBOX", migrate.Message{}, []byte(id+"Subject: the same, from the list\r\n\r\nbody\r\n"))
		var intents []migrate.Entry
		for _, key := range []migrate.Key{first, second} {
			m := from.Messages("INBOX")[key.UID-1]
			intents = append(intents, migrate.Entry{Key: key, Mailbox: "INBOX", Place: migrate.Key{Validity: 1000, UID: 1}, Identity: migrate.Identity{Size: m.Size}})
		}
		if err := ledger.Intend(t.Context(), "INBOX", intents); err != nil {
			t.Fatal(err)
		}
		to.Put("INBOX", migrate.Message{}, from.Messages("INBOX")[1].Octets)
		j := job(from, to, ledger)
		j.Options.Filter = migrate.Filter{MaxSize: from.Messages("INBOX")[0].Size}
		mustRun(t, j) // the first alone
		j.Options.Filter = migrate.Filter{}
		mustRun(t, j)
		same(t, to, from)
	}
}

// TestALostAnswerWhileAnotherLaneDecidesOnItsOwn has another lane send its part of what was lost anew, just between two
// looks at what is open: ours is found by its Message-ID all the same.
func TestALostAnswerWhileAnotherLaneDecidesOnItsOwn(t *testing.T) {
	from, to, ledger := letters(2), memory.New(), &memory.Ledger{}
	messages := from.Messages("INBOX")
	intent := func(m memory.Stored, next uint32) migrate.Entry {
		return migrate.Entry{Key: m.Key, Mailbox: "INBOX", Place: migrate.Key{Validity: 1000, UID: next}, Identity: migrate.Identity{Size: m.Size}}
	}
	if err := ledger.Intend(t.Context(), "INBOX", []migrate.Entry{intent(messages[0], 1), intent(messages[1], 1)}); err != nil {
		t.Fatal(err)
	}
	to.Put("INBOX", migrate.Message{}, bytes.ReplaceAll(messages[0].Octets, []byte("body"), []byte("BODY")))
	from.Remove("INBOX", messages[1].Key) // in the other lane's hand
	other := &besideLedger{Ledger: ledger, before: func() error { return ledger.Intend(t.Context(), "INBOX", []migrate.Entry{intent(messages[1], 2)}) }}
	summary := mustRun(t, job(from, to, other))
	if got := len(to.Messages("INBOX")); got != 1 || summary.Unsure != 1 || summary.Present != 1 || other.called == 0 {
		t.Errorf("%d messages, want 1: %+v", got, summary)
	}
}

// A besideLedger does something before the entries of a mailbox are given.
type besideLedger struct {
	*memory.Ledger
	before func() error
	called int
}

func (m *besideLedger) Entries(ctx context.Context, mbox migrate.Path) iter.Seq2[migrate.Entry, error] {
	m.called++
	if err := m.before(); err != nil {
		return func(yield func(migrate.Entry, error) bool) { yield(migrate.Entry{}, err) }
	}
	return m.Ledger.Entries(ctx, mbox)
}
