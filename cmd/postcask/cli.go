package main

import (
	"context"
	"time"
)

// A cli is what the commands share.
type cli struct {
	term       *terminal
	interrupts *interrupts
	configFile string
	profileDir string
	profile    *profile // nil where none is asked for
	// ask prompts for a password; a seam for tests.
	ask func(ctx context.Context, prompt string) (string, error)
}

// setup makes ready what the global flags ask for.
func (c *cli) setup() (err error) {
	if err := c.term.setup(); err != nil {
		return err
	}
	if c.profileDir != "" {
		c.profile, err = startProfile(c.profileDir)
	}
	return err
}

// close ends what setup has begun.
func (c *cli) close() {
	if c.profile == nil {
		return
	}
	if err := c.profile.stop(); err != nil {
		c.term.warn("profile: " + err.Error())
	}
}

// endpoint reads an argument.
func (c *cli) endpoint(text string, allowPlaintext bool) (*endpoint, error) {
	parser := endpoints{allowPlaintext: allowPlaintext, account: func(name string) (*account, error) { return findAccount(c.configFile, name) }}
	return parser.parse(text)
}

// ends reads the two arguments of a run, after seeing that its flags go together.
func (c *cli) ends(args []string, o *runOptions) (from, to *endpoint, err error) {
	if err := o.check(); err != nil {
		return nil, nil, err
	}
	if from, err = c.endpoint(args[0], o.allowPlaintext); err != nil {
		return nil, nil, err
	}
	to, err = c.endpoint(args[1], o.allowPlaintext)
	return from, to, err
}

// server gets a server ready to be opened, and finds its password first: who is asked for one shall not be asked
// again in the middle of the night.
func (c *cli) server(ctx context.Context, role string, e *endpoint, flags passwordFlags, timeout time.Duration) (*server, error) {
	if err := flags.check(role); err != nil {
		return nil, err
	}
	secret := &secret{role: role, end: e, flags: flags, term: c.term, ask: c.ask}
	s := newServer(e, timeout, secret.get, c.term.log)
	if _, err := secret.get(ctx); err != nil {
		return nil, err
	}
	if plainTLS(e) {
		c.term.note("%s: without TLS, everyone on the way can read password and mail", e)
	}
	return s, nil
}
