package main

import (
	"context"
	"fmt"
	"io"
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

// Headers yields header fields where the source can give them alone, else by reading the start of each message.
func (s *scoped) Headers(ctx context.Context, mbox migrate.Path, messages []migrate.Message) iter.Seq2[migrate.Header, error] {
	return headers(ctx, s.Source, mbox, messages)
}

// headers yields the header fields of messages of any source.
func headers(ctx context.Context, source migrate.Source, mbox migrate.Path, messages []migrate.Message) iter.Seq2[migrate.Header, error] {
	if reader, ok := source.(migrate.HeaderReader); ok {
		return reader.Headers(ctx, mbox, messages)
	}
	return headersOf(source.Fetch(ctx, mbox, messages))
}

// headerLimit bounds what is read of one header.
const headerLimit = 256 << 10

// headersOf keeps the start of what is fetched.
func headersOf(fetched iter.Seq2[migrate.Fetched, error]) iter.Seq2[migrate.Header, error] {
	return func(yield func(migrate.Header, error) bool) {
		for got, err := range fetched {
			if err != nil {
				yield(migrate.Header{}, err)
				return
			}
			header := migrate.Header{Message: got.Message, Err: got.Err}
			if got.Err == nil {
				header.Octets, header.Err = io.ReadAll(io.LimitReader(got.Body, headerLimit))
			}
			if !yield(header, nil) {
				return
			}
		}
	}
}
