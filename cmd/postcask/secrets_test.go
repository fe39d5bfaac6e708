package main

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"postcask/migrate"
)

// The first hit wins, in the order that docs/guide.md tells.
func TestSecretOrder(t *testing.T) {
	dir := t.TempDir()
	write := func(name, text string) string {
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		return path
	}
	file := write("file", "from file\n")
	t.Setenv("CREDENTIALS_DIRECTORY", dir)
	t.Setenv("BOX", "from box")
	for _, test := range []struct {
		name  string
		acct  *account
		flags passwordFlags
		env   map[string]string
		want  string
	}{
		{"account's command", &account{PasswordCommand: "printf 'a b\\n\\n'"}, passwordFlags{file: file}, nil, "a b\n"},
		{"account's file", &account{PasswordFile: write("crlf", " dos \r\n")}, passwordFlags{command: "echo x"}, nil, " dos "},
		{"account's variable", &account{PasswordEnv: "BOX"}, passwordFlags{file: file}, nil, "from box"},
		{"account's credential", &account{PasswordCredential: "file"}, passwordFlags{}, nil, "from file"},
		{"account's own", &account{Password: "own"}, passwordFlags{file: file}, nil, "own"},
		{"flag's file", &account{}, passwordFlags{file: file}, map[string]string{"POSTCASK_SOURCE_PASSWORD": "x"}, "from file"},
		{"flag's command", nil, passwordFlags{command: "cat " + file}, map[string]string{"POSTCASK_SOURCE_PASSWORD": "x"}, "from file"},
		{"variable of the end", nil, passwordFlags{}, map[string]string{"POSTCASK_SOURCE_PASSWORD": "s", "POSTCASK_PASSWORD": "p", "POSTCASK_DESTINATION_PASSWORD": "d"}, "s"},
		{"variable", nil, passwordFlags{}, map[string]string{"POSTCASK_PASSWORD": "p\n", "POSTCASK_DESTINATION_PASSWORD": "d"}, "p\n"},
		{"prompt", nil, passwordFlags{}, nil, "typed"},
	} {
		t.Run(test.name, func(t *testing.T) {
			for _, name := range []string{"POSTCASK_SOURCE_PASSWORD", "POSTCASK_PASSWORD", "POSTCASK_DESTINATION_PASSWORD"} {
				t.Setenv(name, test.env[name])
			}
			asked := 0
			s := &secret{role: "source", end: &endpoint{account: test.acct}, flags: test.flags, term: &terminal{stderr: new(strings.Builder), color: "never"},
				ask: func(context.Context, string) (string, error) { asked++; return "typed", nil }}
			for range 2 {
				if got, err := s.get(t.Context()); err != nil || got != test.want {
					t.Errorf("got %q, %v, want %q", got, err, test.want)
				}
			}
			if want := map[bool]int{true: 1}[test.want == "typed"]; asked != want {
				t.Errorf("asked %d times, want %d", asked, want)
			}
		})
	}
}

func TestSecretMissing(t *testing.T) {
	dir := t.TempDir()
	for _, name := range []string{"POSTCASK_SOURCE_PASSWORD", "POSTCASK_PASSWORD", "CREDENTIALS_DIRECTORY", "BOX"} {
		t.Setenv(name, "")
	}
	large := filepath.Join(dir, "large")
	if err := os.WriteFile(large, make([]byte, passwordLimit+1), 0o600); err != nil {
		t.Fatal(err)
	}
	for name, s := range map[string]*secret{
		"no terminal":     {},
		"not to be asked": {term: &terminal{noInput: true}},
		"nothing typed":   {ask: func(context.Context, string) (string, error) { return "", nil }},
		"typing fails":    {ask: func(context.Context, string) (string, error) { return "", errors.New("hung up") }},
		"no file":         {flags: passwordFlags{file: filepath.Join(dir, "nowhere")}},
		"a folder":        {flags: passwordFlags{file: dir}},
		"large file":      {flags: passwordFlags{file: large}},
		"large command":   {flags: passwordFlags{command: "head -c 200000 /dev/zero"}},
		"silent command":  {flags: passwordFlags{command: "true"}},
		"failing command": {flags: passwordFlags{command: "echo c4n4ry; false"}},
		"no variable":     {end: &endpoint{account: &account{PasswordEnv: "BOX"}}},
		"no credentials":  {end: &endpoint{account: &account{PasswordCredential: "x"}}},
	} {
		s.role = "source"
		if s.end == nil {
			s.end = &endpoint{protocol: imapServer, scheme: "imaps", host: "imap.example.org", user: "me", port: 993}
		}
		if s.term == nil {
			s.term = &terminal{}
		}
		s.term.stderr, s.term.color = new(strings.Builder), "never"
		if s.ask == nil {
			s.ask = func(context.Context, string) (string, error) { return "", errNoTerminal }
		}
		got, err := s.get(t.Context())
		if migrate.KindOf(err) != migrate.Auth || exitStatus(err) != exitAuth || got != "" {
			t.Errorf("%s: %q, %v", name, got, err)
		}
		if err != nil && strings.Contains(err.Error(), "c4n4ry") {
			t.Errorf("%s: the error holds the password: %v", name, err)
		}
	}
}

// A command that never ends goes with the run.
func TestSecretCommandCancelled(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	s := &secret{role: "source", end: &endpoint{}, flags: passwordFlags{command: "echo ready >&2; sleep 60"}, term: &terminal{color: "never"}}
	s.term.stderr = writerFunc(func(p []byte) (int, error) { cancel(); return len(p), nil })
	if _, err := s.get(ctx); exitStatus(err) != exitInterrupted {
		t.Errorf("%v", err)
	}
}

type writerFunc func(p []byte) (int, error)

func (f writerFunc) Write(p []byte) (int, error) { return f(p) }
