package main

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"strings"

	"github.com/pelletier/go-toml/v2"
)

// An account is a server that the config file gives a name, and where its secret is.
type account struct {
	URL                string `toml:"url"`
	PasswordCommand    string `toml:"password_command"`    // run by sh -c; what it prints is the password
	PasswordFile       string `toml:"password_file"`       // relative to the config file
	PasswordEnv        string `toml:"password_env"`        // name of an environment variable
	PasswordCredential string `toml:"password_credential"` // name of a systemd credential
	Password           string `toml:"password"`            // only where nobody else can read the config file

	name string
}

// A config is what the config file says.
type config struct {
	Accounts map[string]*account `toml:"accounts"`

	file string
}

// configPath gives the place of the config file where --config does not.
func configPath() (string, error) {
	dir := os.Getenv("XDG_CONFIG_HOME")
	if !filepath.IsAbs(dir) {
		home, err := os.UserHomeDir()
		if err != nil {
			return "", misuse("set XDG_CONFIG_HOME or give --config FILE", "config file: %w", err)
		}
		dir = filepath.Join(home, ".config")
	}
	return filepath.Join(dir, "postcask", "config.toml"), nil
}

// readConfig reads the config file. Errors are of kind Misuse and show no line of the file, since it may hold a secret.
func readConfig(file string) (*config, error) {
	text, err := os.ReadFile(file)
	if err != nil {
		return nil, misuse("", "config file: %w", err)
	}
	cfg := &config{file: file}
	if err := toml.NewDecoder(bytes.NewReader(text)).DisallowUnknownFields().Decode(cfg); err != nil {
		return nil, configError(file, err)
	}
	info, err := os.Stat(file)
	if err != nil {
		return nil, misuse("", "config file: %w", err)
	}
	for name, acct := range cfg.Accounts {
		if acct == nil {
			return nil, misuse("", "%s: account %q is empty", file, name)
		}
		acct.name = name
		if err := acct.check(filepath.Dir(file), info.Mode()); err != nil {
			return nil, misuse("", "%s: account %q: %w", file, name, err)
		}
	}
	return cfg, nil
}

// configError names line and key, and not the text of the line.
func configError(file string, err error) error {
	var unknown *toml.StrictMissingError
	if errors.As(err, &unknown) && len(unknown.Errors) > 0 {
		first := &unknown.Errors[0]
		line, _ := first.Position()
		return misuse("an account has url and one of password_command, password_file, password_env, password_credential, password",
			"%s, line %d: the key %q is not known", file, line, strings.Join(first.Key(), "."))
	}
	var decode *toml.DecodeError
	if errors.As(err, &decode) {
		line, column := decode.Position()
		if key := strings.Join(decode.Key(), "."); key != "" {
			return misuse("", "%s, line %d, column %d: %q does not have the value it should", file, line, column, key)
		}
		return misuse("", "%s, line %d, column %d: not as TOML has it", file, line, column)
	}
	return misuse("", "%s: not as TOML has it", file)
}

var accountName = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9_.-]+$`)

// check refuses what would surprise later, and makes paths whole.
func (a *account) check(dir string, mode fs.FileMode) error {
	switch a.name {
	case "maildir", "mbox", "eml":
		return fmt.Errorf("the name stands for a kind of mail on disk")
	}
	if !accountName.MatchString(a.name) {
		return fmt.Errorf("a name has two letters or more, of A-Z a-z 0-9 _ . -")
	}
	if a.URL == "" || !schemeForm.MatchString(a.URL) {
		return fmt.Errorf("url is missing or not the URL of a server")
	}
	given := 0
	for _, reference := range []string{a.PasswordCommand, a.PasswordFile, a.PasswordEnv, a.PasswordCredential, a.Password} {
		if reference != "" {
			given++
		}
	}
	if given > 1 {
		return fmt.Errorf("there is more than one password")
	}
	if a.Password != "" && mode.Perm()&0o077 != 0 {
		return fmt.Errorf("there is a password in a file that others can read; chmod 600 it, or use password_command or password_file")
	}
	if a.PasswordFile != "" {
		if rest, ok := strings.CutPrefix(a.PasswordFile, "~/"); ok {
			home, err := os.UserHomeDir()
			if err != nil {
				return err
			}
			a.PasswordFile = filepath.Join(home, rest)
		} else if !filepath.IsAbs(a.PasswordFile) {
			a.PasswordFile = filepath.Join(dir, a.PasswordFile)
		}
	}
	if a.PasswordCredential != "" && filepath.Base(a.PasswordCredential) != a.PasswordCredential {
		return fmt.Errorf("password_credential is the name of a credential, not a path")
	}
	return nil
}

// findAccount gives the named account of the config file that file names, or of the one in the usual place.
func findAccount(file, name string) (*account, error) {
	if file == "" {
		var err error
		if file, err = configPath(); err != nil {
			return nil, err
		}
		if _, err := os.Stat(file); errors.Is(err, fs.ErrNotExist) {
			return nil, misuse("a server is written imaps://user@host; for a folder of that name write ./"+name+":…",
				"there is no account %q, since there is no config file %s", name, file)
		}
	}
	cfg, err := readConfig(file)
	if err != nil {
		return nil, err
	}
	acct, ok := cfg.Accounts[name]
	if !ok {
		return nil, misuse("a server is written imaps://user@host; for a folder of that name write ./"+name+":…", "there is no account %q in %s", name, file)
	}
	return acct, nil
}
