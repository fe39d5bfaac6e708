package main

import (
	"context"
	"iter"
	"testing"

	"postcask/migrate"
	"postcask/migrate/memory"
)

// besideMail is a ledger that lies beside the mail of an archive.
type besideMail struct{ *memory.Ledger }

func (besideMail) Unclaimed(context.Context, migrate.Path) iter.Seq2[migrate.Message, error] {
	return func(func(migrate.Message, error) bool) {}
}

func TestTimingTakesNothingFromALedger(t *testing.T) {
	for _, known := range []migrate.Ledger{&memory.Ledger{}, besideMail{&memory.Ledger{}}} {
		timed := new(timing).ledger(known)
		_, before := known.(migrate.Unclaimer)
		if _, after := timed.(migrate.Unclaimer); after != before {
			t.Errorf("%T: tells what nobody claims: %v, timed: %v", known, before, after)
		}
		if _, answers := timed.(migrate.Accountant); !answers && !before {
			t.Errorf("%T: timed, it answers for nothing", known)
		}
	}
}
