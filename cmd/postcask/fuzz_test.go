package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"postcask/migrate"
)

// A config file of any kind is taken or refused in words that show nothing of a password in it.
func FuzzConfig(f *testing.F) {
	for _, seed := range []string{
		"", "[accounts.one]\nurl = \"imaps://me@imap.example.org\"\n", "[accounts.one]\nurl = 1\n", "[accounts]\none = 1\n", "accounts = []\n", "[[accounts.one]]\n", "[accounts.one.url]\n",
		"[accounts.\"\\u001b\"]\n", "[accounts.one]\npassword_file = \"~/x\"\nurl = \"imaps://a@b\"\n", "\xff", "a.b.c = {", "[accounts.one]\nurl = '''\n",
	} {
		f.Add(seed)
	}
	file := filepath.Join(f.TempDir(), "config.toml")
	f.Fuzz(func(t *testing.T, text string) {
		for _, behind := range []string{"", "\npassword = '" + canary + "'\n", "\npasword = " + canary + "\n", canary} {
			if err := os.WriteFile(file, []byte(text+behind), 0o600); err != nil {
				t.Fatal(err)
			}
			cfg, err := readConfig(file)
			switch {
			case err != nil && (migrate.KindOf(err) != migrate.Misuse || strings.Contains(err.Error()+migrate.HintOf(err), canary) && behind != canary):
				t.Errorf("%q: %v", text+behind, err)
			case err == nil:
				for name, acct := range cfg.Accounts {
					if acct == nil || acct.name != name || !accountName.MatchString(name) || acct.URL == "" {
						t.Errorf("%q gives the account %q, %+v", text+behind, name, acct)
					}
				}
			}
		}
	})
}

// A header of any kind is listed, or left out.
func FuzzHeaderFields(f *testing.F) {
	for _, seed := range []string{
		"Subject: hello\r\nFrom: a@example.org\r\n\r\n", "Subject: =?utf-8?q?=1B]0;x=07?=\r\n\r\n", "Subject: =?utf-8?b?4oCu?= =?x?y?z?=\r\n", "subject:\r\n folded\r\n\tmore\r\n", ":\r\n\r\n", "Subject", "=?=?=?=?",
		"Subject: =?iso-8859-1?q?" + strings.Repeat("=E9", 100) + "?=\r\n",
	} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, octets []byte) {
		for name, value := range headerFields(octets) {
			if name == "" || strings.ContainsAny(name, "\r\n") || len(value) > 4*len(octets)+16 {
				t.Errorf("%q has the field %q: %q", octets, name, value)
			}
		}
		if text := decodeWords(string(octets)); len(text) > 4*len(octets)+16 {
			t.Errorf("%q is read as %d octets", octets, len(text))
		}
	})
}
