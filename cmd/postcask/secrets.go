package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"

	"github.com/spf13/cobra"

	"postcask/migrate"
)

// passwordFlags say where the password of one end comes from. There is no flag for the password itself: every user
// of the machine could read it.
type passwordFlags struct {
	file, command string
	only          bool // the command has one server, so the flags need not say which
}

// bind adds the flags for an end: with its name, "source" or "destination", or plain where it is the only server.
func (f *passwordFlags) bind(cmd *cobra.Command, role string, only bool) {
	add := func(prefix string, hidden bool) {
		file, command := prefix+"password-file", prefix+"password-command"
		cmd.Flags().StringVar(&f.file, file, "", "read the "+strings.TrimSuffix(prefix, "-")+" password from this `FILE`")
		cmd.Flags().StringVar(&f.command, command, "", "run this `COMMAND` by sh -c; what it prints is the "+strings.TrimSuffix(prefix, "-")+" password")
		for _, name := range []string{file, command} {
			flag := cmd.Flags().Lookup(name)
			flag.Usage = strings.Join(strings.Fields(flag.Usage), " ")
			flag.Hidden = hidden
		}
	}
	f.only = only
	add(role+"-", only)
	if only {
		add("", false)
	}
}

func (f *passwordFlags) check(role string) error {
	if f.file != "" && f.command != "" {
		return misuse("", "the %s password is to come from a file and from a command; give one of them", role)
	}
	return nil
}

// A secret finds the password of one end, once in a run.
type secret struct {
	role  string // "source" or "destination"
	end   *endpoint
	flags passwordFlags
	term  *terminal
	// ask prompts the user; it gives errNoTerminal where there is nobody to ask.
	ask func(ctx context.Context, prompt string) (string, error)

	mu    sync.Mutex
	value string
	known bool
}

// get gives the password. The first hit wins: the account's reference, the flags, the environment, the user.
// Errors are of kind Auth, and repeat no octet of it.
func (s *secret) get(ctx context.Context) (string, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.known {
		return s.value, nil
	}
	value, err := s.find(ctx)
	if ctx.Err() != nil {
		return "", context.Cause(ctx)
	}
	if err != nil {
		if !errors.As(err, new(*migrate.Error)) {
			err = &migrate.Error{Kind: migrate.Auth, Err: err}
		}
		return "", err
	}
	s.value, s.known = value, true
	return value, nil
}

func (s *secret) find(ctx context.Context) (string, error) {
	if acct := s.end.account; acct != nil {
		switch {
		case acct.PasswordCommand != "":
			return s.fromCommand(ctx, acct.PasswordCommand)
		case acct.PasswordFile != "":
			return s.fromFile(acct.PasswordFile)
		case acct.PasswordEnv != "":
			value := os.Getenv(acct.PasswordEnv)
			if value == "" {
				return "", fmt.Errorf("password of %s: %s is not set in the environment", s.end, acct.PasswordEnv)
			}
			return value, nil
		case acct.PasswordCredential != "":
			dir := os.Getenv("CREDENTIALS_DIRECTORY")
			if dir == "" {
				return "", fmt.Errorf("password of %s: there is no CREDENTIALS_DIRECTORY; systemd sets it for a unit with LoadCredential=", s.end)
			}
			return s.fromFile(filepath.Join(dir, acct.PasswordCredential))
		case acct.Password != "":
			return acct.Password, nil
		}
	}
	if s.flags.file != "" {
		return s.fromFile(s.flags.file)
	}
	if s.flags.command != "" {
		return s.fromCommand(ctx, s.flags.command)
	}
	own := "POSTCASK_" + strings.ToUpper(s.role) + "_PASSWORD"
	for _, name := range []string{own, "POSTCASK_PASSWORD"} {
		if value := os.Getenv(name); value != "" {
			return value, nil
		}
	}
	prefix := s.role + "-"
	if s.flags.only {
		prefix, own = "", "POSTCASK_PASSWORD"
	}
	hint := fmt.Sprintf("give --%spassword-file FILE or --%[1]spassword-command COMMAND, or set %s", prefix, own)
	if s.term.noInput {
		return "", &migrate.Error{Kind: migrate.Auth, Err: fmt.Errorf("there is no password for %s", s.end), Hint: hint}
	}
	value, err := s.ask(ctx, fmt.Sprintf("Password for %s: ", s.end))
	if err == errNoTerminal {
		return "", &migrate.Error{Kind: migrate.Auth, Err: fmt.Errorf("there is no password for %s, and no terminal to ask for it", s.end), Hint: hint}
	}
	if err == nil && value == "" {
		return "", fmt.Errorf("password of %s: nothing was typed", s.end)
	}
	return value, err
}

// passwordLimit is more than any password or token has.
const passwordLimit = 64 << 10

func (s *secret) fromFile(path string) (string, error) {
	file, err := os.Open(path)
	if err != nil {
		return "", fmt.Errorf("password of %s: %w", s.end, err)
	}
	defer file.Close()
	return s.read(file, path)
}

// trimNewline takes off one line end, which editors and echo leave behind.
func trimNewline(text []byte) []byte {
	if rest, ok := bytes.CutSuffix(text, []byte("\n")); ok {
		return bytes.TrimSuffix(rest, []byte("\r"))
	}
	return text
}
