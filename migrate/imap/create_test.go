package imap

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"postcask/migrate"
)

func TestMailboxesAreMadeInOneRoundTrip(t *testing.T) {
	var said []string
	cfg := serve(t, func(p *peer) {
		p.greet("CREATE-SPECIAL-USE LIST-EXTENDED")
		p.answer("LIST", `* LIST (\Subscribed) "/" INBOX`, `* LIST () "/" Old`, `* LIST (\Subscribed) "/" Done`, "TAG OK x")
		var answers []string
		for range 7 {
			tag, command, _ := strings.Cut(p.hear(), " ")
			said = append(said, command)
			verdict := " OK x"
			switch {
			case strings.Contains(command, "Taken"):
				verdict = " NO [ALREADYEXISTS] x"
			case command == `CREATE "No"`:
				verdict = " NO [CANNOT] not with this name"
			}
			answers = append(answers, tag+verdict)
		}
		p.say(answers...)
		p.bye()
	})
	s := open(t, cfg, false)
	mailboxes := []migrate.Mailbox{
		{Path: "New", Subscribed: true, Role: migrate.RoleSent}, {Path: "Old", Subscribed: true}, {Path: "Done", Subscribed: true},
		{Path: "Taken", Role: "\\x))\r\nA DELETE INBOX"}, {Path: "No", Subscribed: true}, {Path: "Last"},
	}
	var made []migrate.Path
	for i, err := range s.CreateAll(t.Context(), mailboxes) {
		if err == nil {
			made = append(made, mailboxes[i].Path)
		}
	}
	if diff := cmp.Diff([]migrate.Path{"New", "Old", "Done", "Taken", "Last"}, made); diff != "" {
		t.Error(diff)
	}
	for _, err := range s.CreateAll(t.Context(), mailboxes[:4]) { // nothing is left to be said
		if err != nil {
			t.Error(err)
		}
	}
	s.Close()
	finished(cfg)
	want := []string{`CREATE "New" (USE (\Sent))`, `SUBSCRIBE "New"`, `SUBSCRIBE "Old"`, `CREATE "Taken"`, `CREATE "No"`, `SUBSCRIBE "No"`, `CREATE "Last"`}
	if diff := cmp.Diff(want, said); diff != "" {
		t.Error(diff)
	}
}
