package migrate_test

import (
	"context"
	"errors"
	"slices"
	"strings"
	"testing"
	"testing/synctest"

	"postcask/migrate"
	"postcask/migrate/memory"
)

// prudish is a session that fails to set the flags of some messages.
type prudish struct {
	*memory.Session
	fails func(flags migrate.Flags) error
	dead  error
}

func (p *prudish) SetFlags(ctx context.Context, path migrate.Path, changes []migrate.FlagChange) error {
	if p.dead != nil {
		return p.dead
	}
	for _, change := range changes {
		if err := p.fails(change.Flags); err != nil {
			if migrate.IsTemporary(err) {
				p.dead = err
			}
			return &migrate.Error{Mailbox: path, Err: err}
		}
	}
	return p.Session.SetFlags(ctx, path, changes)
}

// TestAFlagThatCannotBeSet has messages whose flags the destination refuses, or that break each connection: the others
// get theirs, those are told of, and are met again by the next run.
func TestAFlagThatCannotBeSet(t *testing.T) {
	refused := &migrate.Error{Kind: migrate.Refused, Err: errors.New("set flags: NO [NOPERM] not these")}
	for name, test := range map[string]struct {
		err     error
		bad     int // of 20
		failed  int64
		retries int64
		dead    bool
	}{
		"one is refused":                {refused, 1, 1, 0, false},
		"one breaks each connection":    {broken, 1, 1, 4, false},
		"two break each connection":     {broken, 2, 2, 6, false},
		"all are refused":               {refused, 20, 20, 0, false},
		"all break each connection":     {broken, 20, 3, 10, true},
		"the server is busy for a time": {nil, 0, 0, 0, false},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				from, to, ledger := letters(20), memory.New(), &memory.Ledger{}
				mustRun(t, job(from, to, ledger))
				for i, key := range keysOf(from, "INBOX") {
					flags := migrate.NewFlags(`\Answered`)
					if i < test.bad {
						flags = migrate.NewFlags(`\Answered`, "Bad")
					}
					from.SetFlags("INBOX", key, flags)
				}
				before := contents(from)
				j := job(from, to, ledger)
				j.Options.Backoff = nil
				var told []string
				j.Options.Report = func(e migrate.Event) {
					if e.Type == migrate.EventWarning {
						told = append(told, e.Err.Error())
					}
				}
				cured, busyFor := false, 2
				j.OpenSink = func(ctx context.Context) (migrate.Sink, error) {
					session, err := to.Open(ctx)
					return &prudish{Session: session, fails: func(flags migrate.Flags) error {
						if busyFor--; test.err == nil && busyFor > 0 {
							return busy(0)
						}
						if flags.Has("Bad") && !cured {
							return test.err
						}
						return nil
					}}, err
				}
				summary, err := migrate.Run(t.Context(), j)
				if (err != nil) != test.dead || summary.FlagsFailed != test.failed || test.err != nil && summary.Retries != test.retries {
					t.Errorf("%+v, %v", summary, err)
				}
				if !test.dead && summary.FlagsUpdated != 20-test.failed {
					t.Errorf("%d were set: %+v", summary.FlagsUpdated, summary)
				}
				if len(told) == 0 && test.failed > 0 || test.failed == 1 && (len(told) != 1 || !strings.HasPrefix(told[0], `destination: "INBOX", UID 1: its flags could not be set: `)) {
					t.Errorf("told: %q", told)
				}
				cured = true
				if summary := mustRun(t, j); summary.FlagsFailed != 0 {
					t.Errorf("the next run: %+v", summary)
				}
				same(t, to, from)
				if !slices.Equal(before["INBOX"], contents(from)["INBOX"]) {
					t.Error("the source was changed")
				}
			})
		})
	}
}
