package main

import (
	"github.com/spf13/cobra"

	"postcask/archive"
)

func (c *cli) backupCommand() *cobra.Command {
	var o struct {
		runOptions
		password passwordFlags
		format   string
		deletion deletionFlags
	}
	cmd := &cobra.Command{
		Use:   "backup SOURCE ARCHIVE",
		Short: "Pull mail from a server into an archive",
		Long: `Pull the mail of an IMAP or POP3 account into an archive, a folder on disk.

The server is only read: not even a \Seen flag changes there. Run it again, by hand or each night, and only what is
new is fetched. What has gone from the server stays in the archive. A run that was cut off is safe to run again.

With --delete-after the server is tidied up afterwards: a message goes from it once it has been in the archive for that
long, and only after its octets were read back from the disk just then and are the ones that came.`,
		Example: `  postcask backup imaps://me%40old.example@imap.old.example mail
  postcask backup pop3s://me@pop.old.example mail --format mbox
  postcask backup imaps://me@imap.old.example/Work mail --since 2y --exclude '\Trash' --exclude Spam
  postcask backup work: /srv/mail/work --quiet --no-input
  postcask backup pop3s://me@pop.old.example mail --delete-after 30d --max-delete 500`,
		Args: arguments("SOURCE", "ARCHIVE"),
		RunE: func(cmd *cobra.Command, args []string) error {
			ctx := cmd.Context()
			from, to, err := c.ends(args, &o.runOptions)
			if err != nil {
				return err
			}
			if err := o.deletion.check(); err != nil {
				return err
			}
			if err := wantServer(from, "source", "a backup is made from a server; to send an archive to a server there is postcask restore"); err != nil {
				return err
			}
			if err := wantArchive(to, "destination", "a backup goes to a folder; from server to server there is postcask migrate"); err != nil {
				return err
			}
			source, err := c.server(ctx, "source", from, o.password, o.timeout)
			if err != nil {
				return err
			}
			return c.withStore(ctx, source, to, o.format, &o.runOptions, func(store *archive.Archive) error {
				return c.pull(ctx, source, to, store, o.options(from), o.deletion.deletion(source, store))
			})
		},
	}
	o.bind(cmd)
	cmd.Flags().StringVar(&o.format, "format", "", "`FORMAT` of the archive, chosen at the first run: maildir (the default) or mbox")
	o.deletion.bind(cmd)
	o.password.bind(cmd, "source", true)
	return cmd
}
