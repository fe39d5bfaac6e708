package main

import (
	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
)

const (
	groupMove  = "move"
	groupLook  = "look"
	groupOther = "other"
)

// rootCommand is the command tree. started is called once what the user typed has been understood.
func (c *cli) rootCommand(started func()) *cobra.Command {
	root := &cobra.Command{
		Use:   "postcask",
		Short: "Move mail to safety",
		Long: `postcask moves mail to safety: it pulls IMAP and POP3 accounts into archives that any mail reader can open, replays
archives into IMAP accounts, and migrates from server to server. Run again, it goes on where it was and doubles nothing.

A server is written imaps://user@host[:port][/Mailbox], or with imap, pop3s, pop3; an @ in the user is %40. An account of
the config file is written name: or name:Mailbox. Anything else is the path of an archive.`,
		Example: `  postcask backup imaps://me%40old.example@imap.old.example mail
  postcask verify mail --against imaps://me%40old.example@imap.old.example
  postcask restore mail imaps://me@imap.new.example`,
		SilenceErrors: true,
		SilenceUsage:  true,

		SuggestionsMinimumDistance: 2,
		// With a RunE an unknown command comes here, where an URL with a password in it is not repeated.
		RunE: func(cmd *cobra.Command, args []string) error { return cmd.Help() },
		Args: unknownCommand,
		PersistentPreRunE: func(*cobra.Command, []string) error {
			return c.setup()
		},
	}
	c.bindGlobal(root.PersistentFlags())
	root.SetFlagErrorFunc(func(cmd *cobra.Command, err error) error {
		return misuse(cmd.CommandPath()+" --help tells what there is", "%w", err)
	})
	root.SetOut(c.term.stdout)
	root.SetErr(c.term.stderr)
	root.AddGroup(&cobra.Group{ID: groupMove, Title: "Move mail:"}, &cobra.Group{ID: groupLook, Title: "Look at mail:"}, &cobra.Group{ID: groupOther, Title: "Everything else:"})
	for _, entry := range []struct {
		group   string
		command *cobra.Command
	}{
		{groupMove, c.backupCommand()},
		{groupMove, c.restoreCommand()},
		{groupMove, c.migrateCommand()},
		{groupLook, c.verifyCommand()},
		{groupLook, c.lsCommand()},
		{groupOther, c.doctorCommand()},
		{groupOther, c.versionCommand()},
	} {
		entry.command.GroupID = entry.group
		entry.command.DisableFlagsInUseLine = true
		entry.command.Use += " [flags]"
		run := entry.command.RunE
		entry.command.RunE = func(cmd *cobra.Command, args []string) error {
			started()
			return run(cmd, args)
		}
		root.AddCommand(entry.command)
	}
	root.SetHelpCommandGroupID(groupOther)
	root.SetCompletionCommandGroupID(groupOther)
	return root
}

func (c *cli) bindGlobal(flags *pflag.FlagSet) {
	flags.SortFlags = false
	flags.BoolVarP(&c.term.quiet, "quiet", "q", false, "say nothing unless something is wrong")
	flags.CountVarP(&c.term.verbose, "verbose", "v", "tell of each message (-v); the dialogue with the servers too (-vv)")
	flags.BoolVar(&c.term.json, "json", false, "print results as JSON")
	flags.BoolVar(&c.term.noInput, "no-input", false, "never ask for anything")
	flags.StringVar(&c.term.color, "color", "auto", "colour the labels on standard error: `WHEN` is auto, always or never")
	flags.StringVar(&c.term.logFile, "log-file", "", "append the dialogue with the servers to this `FILE`")
	flags.StringVar(&c.profileDir, "profile", "", "write cpu.pprof, heap.pprof and trace.out to this `DIR`")
	flags.Lookup("profile").Hidden = true // of use to who knows the code only
	flags.StringVar(&c.configFile, "config", "", "read accounts from this `FILE` (default: postcask/config.toml in the config folder of the user)")
}

func unknownCommand(cmd *cobra.Command, args []string) error {
	if len(args) == 0 {
		return nil
	}
	hint := "postcask --help lists the commands"
	if schemeForm.MatchString(args[0]) {
		return misuse(hint, "a command is missing before the server")
	}
	if near := cmd.SuggestionsFor(args[0]); len(near) > 0 {
		hint = "did you mean " + near[0] + "? " + hint
	}
	return misuse(hint, "%q is no command", args[0])
}
