package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"postcask/migrate"
)

func TestConfig(t *testing.T) {
	const one = "[accounts.one]\nurl = \"imaps://me@imap.example.org\"\n"
	for name, test := range map[string]struct {
		text string
		mode os.FileMode
		says string // "" where it is taken
	}{
		"empty":               {"", 0o644, ""},
		"account":             {one, 0o644, ""},
		"command":             {one + "password_command = 'pass mail'\n", 0o644, ""},
		"own password":        {one + "password = 'c4n4ry'\n", 0o600, ""},
		"strict mode":         {one + "password = 'c4n4ry'\n", 0o400, ""},
		"group may read":      {one + "password = 'c4n4ry'\n", 0o640, "others can read"},
		"others may read":     {one + "password = 'c4n4ry'\n", 0o604, "others can read"},
		"two passwords":       {one + "password_env = 'X'\npassword_file = 'y'\n", 0o600, "more than one password"},
		"unknown key":         {one + "pasword = 'c4n4ry'\n", 0o600, `line 3: the key "accounts.one.pasword"`},
		"unknown table":       {one + "[jobs.x]\na = 1\n", 0o600, `line 3: the key "jobs`},
		"wrong type":          {one + "password_file = ['c4n4ry']\n", 0o600, "line 3"},
		"no TOML":             {one + "password = c4n4ry\n", 0o600, "line 3"},
		"twice":               {one + one, 0o600, "line 3"},
		"no url":              {"[accounts.one]\n", 0o600, "url is missing"},
		"url of no server":    {"[accounts.one]\nurl = \"mail\"\n", 0o600, "url is missing"},
		"one letter":          {"[accounts.C]\nurl = \"imaps://me@imap.example.org\"\n", 0o600, "two letters"},
		"odd name":            {"[accounts.\"a b\"]\nurl = \"imaps://me@imap.example.org\"\n", 0o600, "two letters"},
		"name of a kind":      {"[accounts.mbox]\nurl = \"imaps://me@imap.example.org\"\n", 0o600, "kind of mail"},
		"credential's escape": {one + "password_credential = '../x'\n", 0o600, "not a path"},
	} {
		t.Run(name, func(t *testing.T) {
			file := filepath.Join(t.TempDir(), "config.toml")
			if err := os.WriteFile(file, []byte(test.text), test.mode); err != nil {
				t.Fatal(err)
			}
			if err := os.Chmod(file, test.mode); err != nil {
				t.Fatal(err)
			}
			_, err := readConfig(file)
			if test.says == "" {
				if err != nil {
					t.Error(err)
				}
				return
			}
			if err == nil || migrate.KindOf(err) != migrate.Misuse || !strings.Contains(err.Error(), test.says) {
				t.Errorf("%v, want %q", err, test.says)
			}
			if err != nil && strings.Contains(err.Error()+migrate.HintOf(err), "c4n4ry") {
				t.Errorf("a line of the file is shown: %v", err)
			}
		})
	}
}

func TestConfigFiles(t *testing.T) {
	dir := t.TempDir()
	t.Setenv("XDG_CONFIG_HOME", dir)
	t.Setenv("HOME", "/home/me")
	if _, err := findAccount("", "one"); err == nil || !strings.Contains(err.Error(), "no config file "+dir) {
		t.Error(err)
	}
	if err := os.MkdirAll(filepath.Join(dir, "postcask"), 0o700); err != nil {
		t.Fatal(err)
	}
	text := "[accounts.one]\nurl = 'imaps://me@imap.example.org'\npassword_file = 'secret'\n" +
		"[accounts.two]\nurl = 'imaps://me@imap.example.org'\npassword_file = '~/secret'\n"
	if err := os.WriteFile(filepath.Join(dir, "postcask", "config.toml"), []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
	for name, want := range map[string]string{"one": filepath.Join(dir, "postcask", "secret"), "two": "/home/me/secret"} {
		acct, err := findAccount("", name)
		if err != nil {
			t.Fatal(err)
		}
		if acct.PasswordFile != want {
			t.Errorf("%s: %s, want %s", name, acct.PasswordFile, want)
		}
	}
	t.Setenv("XDG_CONFIG_HOME", "relative") // not to be heeded, as the XDG Base Directory Specification has it
	if path, err := configPath(); err != nil || path != "/home/me/.config/postcask/config.toml" {
		t.Errorf("%s, %v", path, err)
	}
	if _, err := findAccount(filepath.Join(dir, "nowhere"), "one"); migrate.KindOf(err) != migrate.Misuse {
		t.Error(err)
	}
}
