//go:build integration

package testserver

import (
	"bytes"
	"encoding/base64"
	"slices"
	"strings"
	"testing"
)

// TestDovecotOptions checks that each option does what it says, seen from the wire.
func TestDovecotOptions(t *testing.T) {
	s := StartDovecot(t, DovecotOptions{
		Prefix: "INBOX.", Separator: ".",
		SpecialUse: map[string]string{"Sent Items": `\Sent`},
		Quota:      "messages=2",
		MasterUser: "boss", MasterPassword: "top:secret",
		Without: []string{"LITERAL+", "MULTIAPPEND"},
	})
	s.Users(t, "me")
	c := OpenIMAP(t, s, "me", Password)
	capability, err := c.Do("CAPABILITY")
	if err != nil {
		t.Fatal(err)
	}
	words := strings.Fields(strings.Join(capability.Untagged, " "))
	for word, want := range map[string]bool{"LITERAL+": false, "MULTIAPPEND": false, "UIDPLUS": true, "SPECIAL-USE": true, "QUOTA": true} {
		if slices.Contains(words, word) != want {
			t.Errorf("%s announced: %v, want %v", word, !want, want)
		}
	}
	mailboxes, err := c.Mailboxes()
	if err != nil {
		t.Fatal(err)
	}
	i := slices.IndexFunc(mailboxes, func(m RawMailbox) bool { return m.Name == "INBOX.Sent Items" })
	if i < 0 || mailboxes[i].Delimiter != "." || !slices.Contains(mailboxes[i].Attributes, `\Sent`) {
		t.Errorf("mailboxes %+v", mailboxes)
	}
	for range 2 {
		if err := c.Append("INBOX", "", "", []byte(sample)); err != nil {
			t.Error(err)
		}
	}
	if err := c.Append("INBOX", "", "", []byte(sample)); err == nil || !strings.Contains(err.Error(), "OVERQUOTA") {
		t.Errorf("third message: %v, want OVERQUOTA", err)
	}

	boss, err := DialIMAP(s.IMAPSAddr, nil, s.ClientTLS())
	if err != nil {
		t.Fatal(err)
	}
	defer boss.Close()
	initial := base64.StdEncoding.EncodeToString([]byte("me\x00boss\x00top:secret"))
	if err := boss.ok("AUTHENTICATE PLAIN " + initial); err != nil {
		t.Errorf("PLAIN with an authzid: %v", err)
	} else if got, err := boss.Messages("INBOX"); err != nil || len(got) != 2 {
		t.Errorf("as me: %d messages, %v", len(got), err)
	}
	if out, err := s.Doveadm("mailbox", "status", "-u", "me", "messages", "INBOX"); err != nil || !bytes.Contains(out, []byte("messages=2")) {
		t.Errorf("doveadm: %q, %v", out, err)
	}
}

// TestDovecotAwkwardNames makes mailboxes that file systems would stumble over.
func TestDovecotAwkwardNames(t *testing.T) {
	for _, location := range []string{"", "sdbox:~/sdbox"} {
		s := StartDovecot(t, DovecotOptions{Location: location})
		s.Users(t, "me")
		c := OpenIMAP(t, s, "me", Password)
		names := []string{"a.b", "Work/2020/Q1", "100%", `quo"te`, "&AOQ-rger", "R&-D", " space ", "con"}
		if location == "" {
			names = append(names, ".hidden", "cur", "new/tmp", "x/../y", "~tilde", `back\slash`)
		}
		for _, name := range names {
			if err := firstError(c.Create(name), c.Append(name, "", "", []byte(sample))); err != nil {
				t.Errorf("%q: %v", name, err)
				continue
			}
			if got, err := c.Messages(name); err != nil || len(got) != 1 {
				t.Errorf("%q: %d messages, %v", name, len(got), err)
			}
		}
	}
}
