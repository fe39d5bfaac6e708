package main

import (
	"github.com/spf13/cobra"

	"postcask/archive"
)

func (c *cli) restoreCommand() *cobra.Command {
	var o struct {
		runOptions
		password passwordFlags
		ledger   string
	}
	cmd := &cobra.Command{
		Use:   "restore ARCHIVE DESTINATION",
		Short: "Replay an archive into an IMAP account",
		Long: `Send what an archive holds to an IMAP account: folders, messages to the octet, dates, flags and keywords.

It is safe to repeat: what has arrived, in this run, an earlier one or before the first, is not sent again. Nothing
there is deleted. Messages that the archive has as well get the archive's flags when they are first met.`,
		Example: `  postcask restore mail imaps://me@imap.new.example
  postcask restore mail imaps://me@imap.new.example --dry-run
  postcask restore mail imaps://me@imap.new.example --map Spam=Junk --map 'Sent Items=Sent'
  postcask restore mail imaps://me@imap.new.example --under Old --folder INBOX --folder 'Work*'`,
		Args: arguments("ARCHIVE", "DESTINATION"),
		RunE: func(cmd *cobra.Command, args []string) error {
			ctx := cmd.Context()
			from, to, err := c.ends(args, &o.runOptions)
			if err != nil {
				return err
			}
			if err := wantArchive(from, "source", "an archive is a folder; from server to server there is postcask migrate"); err != nil {
				return err
			}
			if err := wantIMAP(to); err != nil {
				return err
			}
			store, err := archive.Open(ctx, from.dir, archive.Options{ReadOnly: true})
			if err != nil {
				return err
			}
			destination, err := c.server(ctx, "destination", to, o.password, o.timeout)
			if err == nil {
				options := o.options(to)
				options.Mapping.Under = to.mailbox.Join(o.mapping.Under)
				err = c.replay(ctx, from, store, "", destination, o.ledger, o.lockWait, options)
			}
			return c.keep(err, store.Close())
		},
	}
	o.bind(cmd)
	bindLedger(cmd.Flags(), &o.ledger)
	o.password.bind(cmd, "destination", true)
	return cmd
}
