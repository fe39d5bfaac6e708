package archive

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"syscall"
	"testing"

	"github.com/google/go-cmp/cmp"

	"postcask/migrate"
	"postcask/migrate/memory"
)

var troubles = []struct {
	errno syscall.Errno
	kind  migrate.Kind
}{
	{syscall.ENOSPC, migrate.Refused}, {syscall.EIO, migrate.Failed}, {syscall.EROFS, migrate.Refused}, {syscall.EMFILE, migrate.Failed}, {syscall.EDQUOT, migrate.Refused},
	{syscall.EACCES, migrate.Refused},
}

// A whole backup meets trouble at the n-th thing that it asks of the disk, for every third n, once or from then on: it
// stops with what the system said, and never says that it is done while mail is missing; the next run completes, each
// message once, and the source stays as it was. TestEveryFault has every n.
func TestEveryTroubleOfAWholeRun(t *testing.T) {
	for _, format := range formats {
		t.Run(string(format), func(t *testing.T) {
			from := memory.New()
			var want []string
			for _, step := range scenario {
				from.Put(step.mbox, migrate.Message{InternalDate: arrived, Flags: migrate.NewFlags("NonJunk", `\Seen`)}, []byte(step.text))
				want = append(want, string(step.mbox)+" "+step.text)
			}
			before := fmt.Sprint(from.Messages("INBOX"), from.Messages("Work/2020"))
			n := 1 + rand.IntN(3)
			empty := emptyArchive(t, format)
			for troubled(t, from, empty, n, want) {
				n += 3
			}
			if n < 20 {
				t.Errorf("only %d calls met trouble", n)
			}
			if now := fmt.Sprint(from.Messages("INBOX"), from.Messages("Work/2020")); now != before {
				t.Error("the source has changed")
			}
		})
	}
}

// troubled lets the n-th call fail; false tells that there are not so many, or that the test has failed.
func troubled(t *testing.T, from *memory.Store, empty string, n int, want []string) bool {
	trouble := troubles[n/3%len(troubles)]
	a := copyOf(t, empty)
	defer func() { a.Close() }()
	fault := newFault(a, n, trouble.errno, n%2 == 0)
	sum, err := backup(t, from, a)
	switch {
	case fault.forgiven() && (err != nil || sum.Copied != int64(len(want))):
		t.Errorf("fsync made all durable: %+v, %v", sum, err)
	case fault.forgiven():
	case !fault.struck():
		if err != nil || sum.Copied != int64(len(want)) {
			t.Errorf("without trouble: %+v, %v", sum, err)
		}
		return false
	case err == nil && sum.Failed+sum.Quarantined == 0:
		t.Errorf("call %d said %v, and the run that it is done: %+v", n, trouble.errno, sum)
	case err != nil && (!errors.Is(err, trouble.errno) || migrate.KindOf(err) != trouble.kind):
		t.Errorf("call %d said %v, and the run, of kind %d: %v", n, trouble.errno, migrate.KindOf(err), err)
	}
	a.soil() // as if the process had ended there
	a.disk.fault = nil
	a = reopen(t, a)
	if have := len(sorted(t, a)); int64(have) < sum.Copied {
		t.Errorf("call %d: %d messages were told to be safe and %d are", n, sum.Copied, have)
	}
	if sum, err := backup(t, from, a); err != nil || sum.Copied+sum.Present != int64(len(want)) {
		t.Errorf("the run after call %d: %+v, %v", n, sum, err)
	}
	if diff := cmp.Diff(counts(want), counts(sorted(t, a))); diff != "" {
		t.Errorf("after call %d: %.1000s", n, diff)
	}
	verifyClean(t, a)
	return !t.Failed()
}

func backup(t *testing.T, from *memory.Store, a *Archive) (migrate.Summary, error) {
	t.Helper()
	known, err := a.Ledger(t.Context(), "imaps://me@mail.example.org")
	if err != nil {
		t.Fatal(err)
	}
	return migrate.Run(t.Context(), migrate.Job{
		Source: "source", Destination: "archive", Ledger: known,
		OpenSource: func(ctx context.Context) (migrate.Source, error) { return from.Open(ctx) },
		OpenSink:   func(context.Context) (migrate.Sink, error) { return a.Sink(), nil },
	})
}

func sorted(t *testing.T, a *Archive) (all []string) {
	t.Helper()
	mailboxes, err := a.Source().Mailboxes(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	for _, mbox := range mailboxes {
		for _, text := range texts(t, a, mbox.Path) {
			all = append(all, string(mbox.Path)+" "+text)
		}
	}
	return all
}

func counts(texts []string) map[string]int {
	all := map[string]int{}
	for _, text := range texts {
		all[text]++
	}
	return all
}
