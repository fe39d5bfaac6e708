//go:build integration

package main

import (
	"fmt"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"postcask/migrate/testserver"
)

// TestDovecotAllowsTwoConnections runs the program with more connections than the server takes, for a backup and back.
func TestDovecotAllowsTwoConnections(t *testing.T) {
	s := testserver.StartDovecot(t, testserver.DovecotOptions{Extra: "mail_max_userip_connections = 2"})
	s.Users(t, "me", "other")
	raw := testserver.OpenIMAP(t, s, "me", testserver.Password)
	sent := map[string][]string{}
	for box := range 4 {
		name := fmt.Sprint("Box", box)
		if err := raw.Create(name); err != nil {
			t.Fatal(err)
		}
		for i := range 210 { // more than a group
			body := fmt.Sprintf("Subject: %d in %s\r\n\r\nbody\r\n", i, name)
			if err := raw.Append(name, "", "", []byte(body)); err != nil {
				t.Fatal(err)
			}
			sent[name] = append(sent[name], body)
		}
	}
	if err := raw.Close(); err != nil {
		t.Fatal(err)
	}
	t.Setenv("POSTCASK_PASSWORD", testserver.Password)
	dir := filepath.Join(t.TempDir(), "archive")
	url := func(user string) string { return "imaps://" + user + "@" + s.IMAPSAddr + "?ca=" + s.CAFile }
	for _, args := range [][]string{
		{"backup", url("me"), dir, "--connections", "8"},
		{"restore", dir, url("other"), "--connections", "8"},
	} {
		status, stdout, stderr := run(t, args...)
		if status != exitDone || !strings.Contains(stdout, "840 copied") || strings.Contains(stderr, "error") {
			t.Fatalf("%s: exit %d\n%s\n%s", args[0], status, stdout, stderr)
		}
	}
	if !strings.Contains(s.Log(), "Maximum number of connections") {
		t.Error("the server has turned nobody away")
	}
	raw = testserver.OpenIMAP(t, s, "other", testserver.Password)
	defer raw.Close()
	for name, want := range sent {
		messages, err := raw.Messages(name)
		if err != nil {
			t.Fatal(err)
		}
		var got []string
		for _, m := range messages {
			got = append(got, string(m.Body))
		}
		slices.Sort(got)
		slices.Sort(want)
		if !slices.Equal(want, got) {
			t.Errorf("%s: %d messages arrived, not the %d that were sent", name, len(got), len(want))
		}
	}
}
