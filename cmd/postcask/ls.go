package main

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"postcask/archive"
	"postcask/migrate"
)

// listOptions are the flags of ls.
type listOptions struct {
	rules          []migrate.Rule
	messages       bool
	password       passwordFlags
	timeout        time.Duration
	allowPlaintext bool
}

func (c *cli) lsCommand() *cobra.Command {
	var o listOptions
	cmd := &cobra.Command{
		Use:   "ls ENDPOINT",
		Short: "List folders and messages of a server or an archive",
		Long: `List the folders of a server or an archive: role, subscription, messages, octets. With --messages list each message
too, read from its headers alone. Nothing is changed, not even a \Seen flag.

On a terminal the columns are aligned; elsewhere they are parted by tabs, for cut and awk. "-" stands for what is not known.`,
		Example: `  postcask ls imaps://me@imap.old.example
  postcask ls mail --messages --folder INBOX
  postcask ls mail --json`,
		Args: arguments("ENDPOINT"),
		RunE: func(cmd *cobra.Command, args []string) error {
			if err := checkTimeout(o.timeout); err != nil {
				return err
			}
			e, err := c.endpoint(args[0], o.allowPlaintext)
			if err != nil {
				return err
			}
			return c.ls(cmd.Context(), e, &o)
		},
	}
	flags := cmd.Flags()
	flags.SortFlags = false
	flags.BoolVar(&o.messages, "messages", false, "list messages too")
	bindRules(flags, &o.rules)
	bindServer(flags, &o.timeout, &o.allowPlaintext)
	o.password.bind(cmd, "source", true)
	return cmd
}

func (c *cli) ls(ctx context.Context, e *endpoint, o *listOptions) error {
	c.term.place("ls: " + e.String())
	if e.isServer() {
		from, err := c.server(ctx, "source", e, o.password, o.timeout)
		if err != nil {
			return err
		}
		source, err := from.source(ctx)
		if err != nil {
			return &migrate.Error{Kind: migrate.KindOf(err), End: string(e.end("server")), Err: err}
		}
		err = c.list(ctx, e, source, serverCounts(source), o)
		return c.keep(err, source.Close())
	}
	store, err := archive.Open(ctx, e.dir, archive.Options{ReadOnly: true})
	if err != nil {
		return err
	}
	source := store.Source()
	err = c.list(ctx, e, source, archiveCounts(store), o)
	err = c.keep(err, source.Close())
	return c.keep(err, store.Close())
}

// A counter tells how many messages and octets a mailbox has, -1 where that is not known.
type counter func(ctx context.Context, mbox migrate.Path) (messages, octets int64, err error)

func serverCounts(source migrate.Source) counter {
	return func(ctx context.Context, mbox migrate.Path) (int64, int64, error) {
		statuser, ok := source.(migrate.Statuser)
		if !ok {
			return -1, -1, nil
		}
		status, err := statuser.Status(ctx, mbox)
		return status.Messages, -1, err
	}
}

func archiveCounts(store *archive.Archive) counter {
	return func(ctx context.Context, mbox migrate.Path) (int64, int64, error) {
		return store.Index().Totals(ctx, mbox)
	}
}

// list goes through the mailboxes and shows them.
func (c *cli) list(ctx context.Context, e *endpoint, source migrate.Source, count counter, o *listOptions) (err error) {
	mailboxes, err := source.Mailboxes(ctx)
	if err != nil {
		return err
	}
	filter := migrate.Filter{Rules: o.rules}
	show := c.newListing(e, o.messages)
	defer func() { show.end(err) }()
	for _, mbox := range mailboxes {
		if !filter.Mailbox(mbox) {
			continue
		}
		row := mailboxRow{Mailbox: mbox.Path, Role: mbox.Role, Subscribed: mbox.Subscribed, NoSelect: mbox.NoSelect}
		if !mbox.NoSelect {
			messages, octets, err := count(ctx, mbox.Path)
			if err != nil {
				return inMailbox(mbox.Path, err)
			}
			row.Messages, row.Octets = known(messages), known(octets)
		}
		show.mailbox(row)
		if o.messages && !mbox.NoSelect {
			if err := listMessages(ctx, source, mbox.Path, show.message); err != nil {
				return inMailbox(mbox.Path, err)
			}
		}
	}
	return nil
}

func inMailbox(mbox migrate.Path, err error) error {
	if strings.Contains(err.Error(), fmt.Sprintf("%q", mbox)) {
		return err
	}
	return &migrate.Error{Kind: migrate.KindOf(err), Mailbox: mbox, Err: err}
}

func known(n int64) *int64 {
	if n < 0 {
		return nil
	}
	return &n
}
