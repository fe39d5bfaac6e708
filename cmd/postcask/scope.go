package main

import (
	"context"
	"fmt"
	"iter"

	"postcask/migrate"
)

// scope narrows a source to the mailbox at path and those below it; an empty path is the whole of it.
func scope(source migrate.Source, path migrate.Path) migrate.Source {
	if path == "" {
		return source
	}
	return &scoped{source, path}
}

// scoped is a Source that lists a part of another. It can whatever the other can.
type scoped struct {
	migrate.Source
	path migrate.Path
}

// Mailboxes lists those that are in scope. That there is none is an error: a name that was mistyped must not look like
// a mailbox that has been dealt with.
func (s *scoped) Mailboxes(ctx context.Context) ([]migrate.Mailbox, error) {
	all, err := s.Source.Mailboxes(ctx)
	if err != nil {
		return nil, err
	}
	var in []migrate.Mailbox
	for _, mbox := range all {
		if _, ok := mbox.Path.Below(s.path); ok {
			in = append(in, mbox)
		}
	}
	if len(in) == 0 {
		return nil, &migrate.Error{Mailbox: s.path, Err: fmt.Errorf("there is no such mailbox"),
			Hint: "postcask ls shows the mailboxes of an account"}
	}
	return in, nil
}

// Status tells the state of mbox where the source can.
func (s *scoped) Status(ctx context.Context, mbox migrate.Path) (migrate.Status, error) {
	if statuser, ok := s.Source.(migrate.Statuser); ok {
		return statuser.Status(ctx, mbox)
	}
	return migrate.Status{Messages: -1}, nil
}

// Headers yields header fields as the source does.
func (s *scoped) Headers(ctx context.Context, mbox migrate.Path, messages []migrate.Message) iter.Seq2[migrate.Header, error] {
	return s.Source.(migrate.HeaderReader).Headers(ctx, mbox, messages)
}

// Changes tells what has happened to a mailbox where the source can.
func (s *scoped) Changes(ctx context.Context, mbox migrate.Path, since migrate.Status) iter.Seq2[migrate.Change, error] {
	if changer, ok := s.Source.(migrate.Changer); ok {
		return changer.Changes(ctx, mbox, since)
	}
	return func(yield func(migrate.Change, error) bool) { yield(migrate.Change{}, migrate.ErrCannotTell) }
}
