package main

import (
	"context"
	"iter"

	"postcask/migrate"
)

// noLedger is the ledger of a first run that is only tried: it knows nothing, and nothing is written to it.
type noLedger struct{}

func (noLedger) Lookup(_ context.Context, _ migrate.Path, keys []migrate.Key) ([]migrate.Entry, error) {
	entries := make([]migrate.Entry, len(keys))
	for i, key := range keys {
		entries[i].Key = key
	}
	return entries, nil
}

func (noLedger) Record(context.Context, migrate.Path, []migrate.Entry) error { return errDryLedger }
func (noLedger) Intend(context.Context, migrate.Path, []migrate.Entry) error { return errDryLedger }
func (noLedger) Retire(context.Context, migrate.Path, []migrate.Key) error   { return errDryLedger }
func (noLedger) SetSeen(context.Context, migrate.Path, migrate.Status) error { return errDryLedger }

func (noLedger) Entries(context.Context, migrate.Path) iter.Seq2[migrate.Entry, error] {
	return func(func(migrate.Entry, error) bool) {}
}

func (noLedger) Claims(context.Context, migrate.Path) iter.Seq2[migrate.Entry, error] {
	return func(func(migrate.Entry, error) bool) {}
}

func (noLedger) Count(context.Context, migrate.Path) (int64, error) { return 0, nil }

func (noLedger) Seen(context.Context, migrate.Path) (migrate.Status, bool, error) {
	return migrate.Status{}, false, nil
}

// errDryLedger tells of a write in a dry run, which would be a fault of the engine.
var errDryLedger = migrate.Errorf(migrate.Unsafe, "a dry run was about to write")
