package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"postcask/archive"
	"postcask/migrate"
)

// migrateOptions are the flags of migrate.
type migrateOptions struct {
	runOptions
	source, destination passwordFlags
	ledger, via, format string
}

func (c *cli) migrateCommand() *cobra.Command {
	var o migrateOptions
	cmd := &cobra.Command{
		Use:   "migrate SOURCE DESTINATION",
		Short: "Copy mail from server to server",
		Long: `Copy the mail of an IMAP or POP3 account to an IMAP account: folders, messages to the octet, dates, flags and keywords.

The source is only read. Run it again before the switch, and once more after it: only what is new is moved, and what
was moved is never doubled. With --via the mail is backed up into an archive on the way, which stays.`,
		Example: `  postcask migrate imaps://me@imap.old.example imaps://me@imap.new.example
  postcask migrate imaps://me@imap.old.example imaps://me@imap.new.example --via mail
  postcask migrate pop3s://me@pop.old.example imaps://me@imap.new.example/Old
  postcask migrate 'imaps://admin@imap.old.example?authzid=me' imaps://me@imap.new.example --max-bytes 2G`,
		Args: arguments("SOURCE", "DESTINATION"),
		RunE: func(cmd *cobra.Command, args []string) error {
			from, to, err := c.ends(args, &o.runOptions)
			if err != nil {
				return err
			}
			return c.migrate(cmd.Context(), from, to, &o)
		},
	}
	o.bind(cmd)
	cmd.Flags().StringVar(&o.via, "via", "", "keep a copy in this `ARCHIVE`: a backup, then a restore of it, in one run")
	cmd.Flags().StringVar(&o.format, "format", "", "`FORMAT` of a new archive of --via: maildir (the default) or mbox")
	bindLedger(cmd.Flags(), &o.ledger)
	o.source.bind(cmd, "source", false)
	o.destination.bind(cmd, "destination", false)
	return cmd
}

func bindLedger(flags *pflag.FlagSet, file *string) {
	flags.StringVar(file, "ledger", "", "`FILE` that remembers what has arrived (default: in the state folder of the user)")
}

func (c *cli) migrate(ctx context.Context, from, to *endpoint, o *migrateOptions) error {
	if err := wantServer(from, "source", "to send an archive to a server there is postcask restore"); err != nil {
		return err
	}
	if err := wantIMAP(to); err != nil {
		return err
	}
	if o.format != "" && o.via == "" {
		return misuse("", "--format is about the archive of --via")
	}
	if from.sameAccount(to) {
		return &migrate.Error{Kind: migrate.Unsafe, Err: fmt.Errorf("source and destination are the same account, %s", to),
			Hint: "every message would be there twice; give another destination"}
	}
	if o.via != "" {
		return c.migrateVia(ctx, from, to, o)
	}
	source, err := c.server(ctx, "source", from, o.source, o.timeout)
	if err != nil {
		return err
	}
	destination, err := c.server(ctx, "destination", to, o.destination, o.timeout)
	if err != nil {
		return err
	}
	defer source.sources.leave()
	defer destination.sinks.leave()
	locked := func() {
		source.sources.begin(ctx)
		destination.sinks.begin(ctx)
	}
	var known migrate.Ledger
	var release func() error
	err = c.awaitLock(ctx, o.lockWait, func() (err error) {
		known, release, err = openLedger(ctx, o.ledger, from.String(), to.String(), o.dryRun, locked)
		return err
	})
	if err != nil {
		return err
	}
	options := o.options(from, to)
	options.Mapping.Under = to.mailbox.Join(o.mapping.Under)
	err = c.run(ctx, leg{command: "migrate", source: from, destination: to,
		openSource: source.source, openSink: destination.sink, ledger: known, options: options, renamed: destination.renamed,
		aside: asideByLedger(o.ledger, from.String(), to.String())})
	return c.keep(err, release())
}

// migrateVia is a backup and a restore of what it brought, with one archive open all the while. What the backup had to
// leave behind does not keep the rest from its way.
func (c *cli) migrateVia(ctx context.Context, from, to *endpoint, o *migrateOptions) error {
	via, err := c.endpoint(o.via, o.allowPlaintext)
	if err != nil {
		return err
	}
	if err := wantArchive(via, "archive of --via", "--via names a folder"); err != nil {
		return err
	}
	source, err := c.server(ctx, "source", from, o.source, o.timeout)
	if err != nil {
		return err
	}
	destination, err := c.server(ctx, "destination", to, o.destination, o.timeout)
	if err != nil {
		return err
	}
	return c.withStore(ctx, source, via, o.format, &o.runOptions, func(store *archive.Archive) error {
		return c.pullAndReplay(ctx, source, via, store, destination, o)
	})
}

// pullAndReplay is the two legs of --via. In a dry run there may be no archive, and then no second leg to speak of.
func (c *cli) pullAndReplay(ctx context.Context, from *server, via *endpoint, store *archive.Archive, to *server, o *migrateOptions) error {
	began := time.Now()
	options := o.options(from.end)
	options.Mapping = migrate.Mapping{} // the archive keeps the source's folders; they are mapped on the way out
	first := c.pull(ctx, from, via, store, options, nil)
	if first != nil && !errors.As(first, new(verdict)) || store == nil {
		return first
	}
	options = o.options(to.end)
	options.Mapping.Under = to.end.mailbox.Join(o.mapping.Under)
	if o.maxDuration > 0 {
		if options.MaxDuration = o.maxDuration - time.Since(began); options.MaxDuration <= 0 {
			return migrate.Errorf(migrate.Limit, "stopped after %v as asked", o.maxDuration)
		}
	}
	return cmp.Or(c.replay(ctx, via, store, from.end.mailbox, to, o.ledger, o.lockWait, options), first)
}
