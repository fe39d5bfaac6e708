package main

import (
	"time"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"postcask/migrate"
)

// runOptions are the flags of everything that moves mail.
type runOptions struct {
	dryRun         bool
	filter         filterOptions
	mapping        migrate.Mapping
	connections    int
	limitRate      sizeValue
	maxBytes       sizeValue
	maxDuration    time.Duration
	maxRetries     int
	timeout        time.Duration
	lockWait       time.Duration
	allowPlaintext bool
}

// filterOptions are the flags that say which mail takes part.
type filterOptions struct {
	rules         []migrate.Rule
	since, before dateValue
	maxSize       sizeValue
}

const (
	defaultConnections = 4
	defaultTimeout     = 2 * time.Minute
)

// bind adds the flags to a command.
func (o *runOptions) bind(cmd *cobra.Command) {
	flags := cmd.Flags()
	flags.SortFlags = false
	flags.BoolVarP(&o.dryRun, "dry-run", "n", false, "go the same way, but stop before the first write")
	o.filter.bind(flags)
	bindMapping(flags, &o.mapping)
	flags.IntVar(&o.connections, "connections", defaultConnections, "`N` connections to each IMAP server; POP3 has one")
	flags.Var(&o.limitRate, "limit-rate", "octets a second at most, as in 2M")
	flags.Var(&o.maxBytes, "max-bytes", "stop after about so many octets (exit 8); run again to go on")
	flags.DurationVar(&o.maxDuration, "max-duration", 0, "stop after this `TIME`, as in 2h30m (exit 8); run again to go on")
	bindRetries(flags, &o.maxRetries)
	bindLockWait(flags, &o.lockWait)
	bindServer(flags, &o.timeout, &o.allowPlaintext)
}

func (o *filterOptions) bind(flags *pflag.FlagSet) {
	o.since.now, o.before.now = time.Now, time.Now
	bindRules(flags, &o.rules)
	flags.Var(&o.since, "since", "only mail that arrived at this date or later: 2020-12-31, RFC 3339, or 30d 12w 6m 2y ago")
	flags.Var(&o.before, "before", "only mail that arrived before this date")
	flags.Var(&o.maxSize, "max-size", "only mail of at most so many octets, as in 25M")
}

// bindRules adds the two flags that choose mailboxes.
func bindRules(flags *pflag.FlagSet, rules *[]migrate.Rule) {
	flags.Var(&ruleValue{rules, false}, "folder", `folders that match (with * ?; or \Trash, a role) and those below; repeatable, the last wins`)
	flags.Var(&ruleValue{rules, true}, "exclude", "not the folders that match; one list with --folder, repeatable")
}

// bindMapping adds the two flags that say which mailbox goes where.
func bindMapping(flags *pflag.FlagSet, mapping *migrate.Mapping) {
	flags.Var(&moveValue{&mapping.Moves}, "map", "put folder A and all below it at B; repeatable, the first that fits counts")
	flags.Var(&pathValue{&mapping.Under}, "under", "put everything below this folder")
}

// bindRetries adds the flag of a command that goes on over lost connections.
func bindRetries(flags *pflag.FlagSet, retries *int) {
	flags.IntVar(retries, "max-retries", migrate.DefaultRetries, "`N` tries in a row to come back while nothing arrives (exit 5); 0 for none")
}

// engineRetries puts the flag's number as the engine has it, where zero is the default.
func engineRetries(flag int) int {
	if flag == 0 {
		return -1
	}
	return flag
}

// bindServer adds the flags of a command that talks to a server.
func bindServer(flags *pflag.FlagSet, timeout *time.Duration, allowPlaintext *bool) {
	flags.DurationVar(timeout, "timeout", defaultTimeout, "how long a server may be silent while it owes an answer, a `TIME` as in 90s")
	flags.BoolVar(allowPlaintext, "allow-plaintext", false, "let tls=none pass for servers beyond this machine")
}

// check refuses what does not go together.
func (o *runOptions) check() error {
	switch {
	case o.connections < 1 || o.connections > maxConnections:
		return misuse("", "--connections %d is not between 1 and %d", o.connections, maxConnections)
	case o.maxDuration < 0:
		return misuse("", "--max-duration %v is in the past", o.maxDuration)
	}
	if err := o.filter.check(); err != nil {
		return err
	}
	if err := checkRetries(o.maxRetries); err != nil {
		return err
	}
	if err := checkLockWait(o.lockWait); err != nil {
		return err
	}
	return checkTimeout(o.timeout)
}

func checkRetries(retries int) error {
	if retries < 0 {
		return misuse("0 means to give up at the first trouble", "--max-retries %d is less than none", retries)
	}
	return nil
}

func (o *filterOptions) check() error {
	if !o.since.IsZero() && !o.before.IsZero() && !o.since.Before(o.before.Time) {
		return misuse("", "--since is not before --before, so no mail would take part")
	}
	return nil
}

func checkTimeout(timeout time.Duration) error {
	if timeout <= 0 {
		return misuse("", "--timeout %v is no time", timeout)
	}
	return nil
}

// narrows tells whether any of the flags was given.
func (o *filterOptions) narrows() bool {
	return len(o.rules) > 0 || !o.since.IsZero() || !o.before.IsZero() || o.maxSize != 0
}

func (o *filterOptions) filter() migrate.Filter {
	return migrate.Filter{Rules: o.rules, Since: o.since.Time, Before: o.before.Time, MaxSize: int64(o.maxSize)}
}

// connectionsTo tells how many connections a server may get. What its URL says is closer to it than the flag.
func (o *runOptions) connectionsTo(e *endpoint) int {
	switch {
	case e.protocol == pop3Server:
		return 1 // a maildrop is locked by its one session (RFC 1939, section 4)
	case e.connections > 0:
		return e.connections
	}
	return o.connections
}

// lanes tells how many lanes move messages between the ends, each with one connection to each server.
func (o *runOptions) lanes(ends ...*endpoint) int {
	least := maxConnections
	for _, e := range ends {
		if e.isServer() {
			least = min(least, o.connectionsTo(e))
		}
	}
	return least
}

// options gives what the engine needs to know.
func (o *runOptions) options(ends ...*endpoint) migrate.Options {
	return migrate.Options{
		DryRun:      o.dryRun,
		Filter:      o.filter.filter(),
		Mapping:     o.mapping,
		Lanes:       o.lanes(ends...),
		LimitRate:   int64(o.limitRate),
		MaxOctets:   int64(o.maxBytes),
		MaxDuration: o.maxDuration,
		MaxRetries:  engineRetries(o.maxRetries),
	}
}
