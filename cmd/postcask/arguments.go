package main

import (
	"github.com/spf13/cobra"

	"postcask/migrate/wire"
)

// arguments checks that each named argument is there, and nothing else. What is too much is not repeated: it may be a
// password.
func arguments(names ...string) cobra.PositionalArgs {
	return func(cmd *cobra.Command, args []string) error {
		hint := cmd.CommandPath() + " --help tells more"
		switch {
		case len(args) < len(names):
			return misuse(hint, "%s is missing", names[len(args)])
		case len(args) > len(names) && len(names) == 0:
			return misuse(hint, "%s takes no argument", cmd.CommandPath())
		case len(args) > len(names):
			return misuse(hint, "there is something behind %s", names[len(names)-1])
		}
		return nil
	}
}

func wantServer(e *endpoint, role, hint string) error {
	if !e.isServer() {
		return misuse(hint, "the %s %q is no server; one is written imaps://user@host", role, e.dir)
	}
	return nil
}

func wantArchive(e *endpoint, role, hint string) error {
	if e.isServer() {
		return misuse(hint, "the %s %s is no folder", role, e)
	}
	return nil
}

// wantIMAP refuses what mail cannot be sent to.
func wantIMAP(e *endpoint) error {
	if err := wantServer(e, "destination", "to pull mail into an archive there is postcask backup"); err != nil {
		return err
	}
	if e.protocol == pop3Server {
		return misuse("give the IMAP server of the same provider", "the destination %s is a POP3 server: mail can only be read there", e)
	}
	return nil
}

// plainTLS tells whether a connection goes out without TLS to another machine, for a warning.
func plainTLS(e *endpoint) bool { return e.isServer() && e.tls == wire.Plain && !isLoopback(e.host) }
