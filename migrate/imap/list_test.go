package imap

import (
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"postcask/migrate"
	"postcask/migrate/wire"
)

// listing plays LIST, LSUB and NAMESPACE with these rows, and OK to anything else.
func listing(p *peer, namespace string, list, lsub []string) {
	for {
		line := p.hear()
		tag, rest, _ := strings.Cut(line, " ")
		var lines []string
		switch word, _, _ := strings.Cut(rest, " "); word {
		case "":
			return
		case "NAMESPACE":
			lines = []string{"* NAMESPACE " + namespace}
		case "LIST":
			lines = list
			if strings.Contains(rest, "RETURN") {
				p.say(tag + " BAD unknown option")
				continue
			}
		case "LSUB":
			lines = lsub
		case "LOGOUT":
			p.say("* BYE", tag+" OK x")
			return
		}
		p.say(append(lines, tag+" OK x")...)
	}
}

func TestMailboxes(t *testing.T) {
	box := func(path migrate.Path) migrate.Mailbox { return migrate.Mailbox{Path: path} }
	tests := []struct {
		name, capabilities, namespace string
		list, lsub                    []string
		want                          []migrate.Mailbox
	}{
		{name: "a plain server", list: []string{`* LIST (\HasChildren \Noselect) "/" Work`, `* LIST () "/" "Work/2020"`, `* LIST (\Sent) "/" "Sent Items"`, `* LIST () "/" inbox`},
			lsub: []string{`* LSUB (\Noselect) "/" Work`, `* LSUB () "/" "Work/2020"`, `* LSUB () "/" Inbox`, `* LSUB () "/" Gone`},
			want: []migrate.Mailbox{{Path: "INBOX", Subscribed: true}, {Path: "Sent Items", Role: migrate.RoleSent}, {Path: "Work", NoSelect: true}, {Path: "Work/2020", Subscribed: true}}},
		{name: "below INBOX", capabilities: "NAMESPACE", namespace: `(("INBOX." ".")) NIL NIL`,
			list: []string{`* LIST () "." INBOX`, `* LIST () "." INBOX.Work`, `* LIST () "." "INBOX.Work.2020"`, `* LIST () "." INBOX.INBOX.child`},
			want: []migrate.Mailbox{box("INBOX"), box("INBOX/child"), box("Work"), box("Work/2020")}},
		{name: "really below INBOX", capabilities: "NAMESPACE", namespace: `(("" "/")) NIL NIL`, list: []string{`* LIST () "/" Inbox`, `* LIST () "/" INBOX/child`}, want: []migrate.Mailbox{box("INBOX"), box("INBOX/child")}},
		{name: "others' mail", capabilities: "NAMESPACE", namespace: `(("" "/" "X-PARAM" ("a" "b"))) (("Other Users/" "/")) (("Shared/" "/")("#news." "."))`,
			list: []string{`* LIST () "/" INBOX`, `* LIST () "/" "Other Users/other"`, `* LIST (\Noselect) "/" Shared`, `* LIST () "/" Shared/all`, `* LIST () "." "#news.comp"`, `* LIST () "/" Sharedness`},
			want: []migrate.Mailbox{box("INBOX"), box("Sharedness")}},
		{name: "refused options", capabilities: "LIST-EXTENDED SPECIAL-USE", list: []string{`* LIST () "/" INBOX`}, want: []migrate.Mailbox{box("INBOX")}},
		{name: "names that are none", list: []string{`* LIST () "/" "R&D"`, `* LIST () "/" "R&-D"`, `* LIST () "/" "&AGE-"`, `* LIST () "/" "&AOQ-&AOQ-"`, "* LIST () \"/\" \"Entw\xfcrfe\"", "* LIST () \"/\" \"Entw\xc3\xbcrfe2\"",
			`* LIST () "/" a name without quotes`, "* LIST () \"/\" {8}\r\nlit/eral", `* LIST () "/" NIL`, `* LIST () "/" ""`, `* LIST () "/" "tail/"`, "* LIST () \"/\" \"bell\a\""},
			want: []migrate.Mailbox{box("&AGE-"), box("&AOQ-&AOQ-"), box("Entwürfe"), box("Entwürfe2"), box("NIL"), box("R&D"), box("R&D (2)"), box("a name without quotes"), box("bell\a"), box("lit/eral"), box("tail")}},
		{name: "delimiters", list: []string{`* LIST () "\" "a\\b"`, `* LIST () "\\" "c\\d"`, `* LIST () NIL flat.name`, `* LIST NIL nil e`, `* LIST () "" f`, `* LIST () "//" g/h`},
			want: []migrate.Mailbox{box("a/b"), box("c/d"), box("e"), box("f"), box("flat.name"), box("g/h")}},
		{name: "ways out", list: []string{`* LIST () "." "..%2Fetc"`, `* LIST () "/" "../../x"`, `* LIST () "." "a/b"`, `* LIST () "/" "&AC4ALg-"`},
			want: []migrate.Mailbox{box("//%252Fetc"), box("&AC4ALg-"), box("../../x"), box("a%2Fb")}},
		{name: "Gmail", list: []string{`* XLIST (\Inbox) "/" Inbox`, `* LIST (\AllMail) "/" "[Gmail]/All"`, `* LIST (\Spam) "/" "[Gmail]/Spam"`, `* LIST (\Noselect) "/" "[Gmail]"`},
			want: []migrate.Mailbox{box("INBOX"), {Path: "[Gmail]", NoSelect: true}, {Path: "[Gmail]/All", Role: migrate.RoleAll}, {Path: "[Gmail]/Spam", Role: migrate.RoleJunk}}},
		{name: "chatter between", list: []string{`* 5 EXISTS`, `* OK [ODD never closed`, `+ what`, ``, `* LIST () "/" INBOX`, `X99 OK nobody asked`, `* FOO {2}` + "\r\nab c"}, want: []migrate.Mailbox{box("INBOX")}},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			cfg := serve(t, func(p *peer) {
				p.greet(test.capabilities)
				listing(p, test.namespace, test.list, test.lsub)
			})
			got, err := open(t, cfg, true).Mailboxes(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(test.want, got); diff != "" {
				t.Error(diff)
			}
		})
	}
}

// TestRawNamesGoBack asks for the state of oddly named mailboxes: the server hears exactly what it has said.
func TestRawNamesGoBack(t *testing.T) {
	raws := []string{"R&D", "R&-D", "&AGE-", "Entw\xfcrfe", "Entw\xc3\xbcrfe", `quo"te\`, "tail/", "inBOX/x", "the-mailbox", "star*%"}
	var heard []string
	cfg := serve(t, func(p *peer) {
		p.greet("")
		for {
			tag, rest, _ := strings.Cut(p.hear(), " ")
			switch word, args, _ := strings.Cut(rest, " "); word {
			case "":
				return
			case "LIST":
				for _, raw := range raws {
					quoted, _ := quote(raw)
					p.say(`* LIST () "/" ` + quoted)
				}
			case "STATUS":
				name, _, _ := strings.Cut(args, " (")
				heard = append(heard, name)
				p.say(`* STATUS "some other spelling" (UNSEEN 3 MESSAGES 4 UIDNEXT 5 UIDVALIDITY 6 X (a))`)
			}
			p.say(tag + " OK x")
		}
	})
	s := open(t, cfg, true)
	mailboxes, err := s.Mailboxes(t.Context())
	if err != nil || len(mailboxes) != len(raws) {
		t.Fatal(mailboxes, err)
	}
	for _, m := range mailboxes {
		status, err := s.Status(t.Context(), m.Path)
		if err != nil || status != (migrate.Status{Messages: 4, UIDNext: 5, UIDValidity: 6}) {
			t.Errorf("%q: %+v, %v", m.Path, status, err)
		}
	}
	s.Close()
	finished(cfg)
	for _, raw := range raws {
		quoted, _ := quote(raw)
		if !strings.Contains(strings.Join(heard, "\n")+"\n", quoted+"\n") {
			t.Errorf("%q was not sent back; %q were", quoted, heard)
		}
	}
}

func TestNewNames(t *testing.T) {
	tests := []struct {
		delim, prefix string
		path          migrate.Path
		raw           string
		renamed       bool
	}{
		{"/", "", "Work/2020", "Work/2020", false},
		{".", "INBOX.", "Work/2020", "INBOX.Work.2020", false},
		{".", "INBOX.", "INBOX", "INBOX", false},
		{".", "INBOX.", "INBOX/child", "INBOX.INBOX.child", false},
		{".", "", "example.org/x", "example_org.x", true},
		{"/", "", migrate.NewPath("a/b"), "a_b", true},
		{".", "", migrate.NewPath("a/b"), "a/b", false},
		{"", "", "a/b", "a_b", true},
		{"/", "", "Q&A/Entwürfe", "Q&-A/Entw&APw-rfe", false},
	}
	for _, test := range tests {
		acct := New(wire.Config{})
		n := &acct.names
		n.delim, n.prefix = test.delim, test.prefix
		if got := n.rawOf(test.path); got != test.raw || (len(acct.RenamedMailboxes()) > 0) != test.renamed {
			t.Errorf("%q with %q: %q, renamed %v", test.path, test.delim, got, acct.RenamedMailboxes())
		}
		if back, exact := n.pathOf(test.raw, test.delim); !test.renamed && (back != test.path || !exact) {
			t.Errorf("%q comes back as %q", test.path, back)
		}
	}
	acct := New(wire.Config{})
	n := &acct.names
	n.delim = "."
	got := []string{n.rawOf("a.b"), n.rawOf("a_b"), n.rawOf("a.b")}
	if diff := cmp.Diff([]string{"a_b", "a_b_2", "a_b"}, got); diff != "" {
		t.Error(diff)
	}
	want := []Renamed{{"a.b", "a_b"}, {"a_b", "a_b_2"}}
	if diff := cmp.Diff(want, acct.RenamedMailboxes()); diff != "" {
		t.Error(diff)
	}
}

// A server of IMAP4rev2 alone has names in UTF-8, and the extensions that became part of it.
func TestNamesOfRev2(t *testing.T) {
	var said []string
	cfg := serve(t, func(p *peer) {
		p.say("* OK [CAPABILITY IMAP4rev2] x")
		p.answer("LOGIN", "TAG OK [CAPABILITY IMAP4rev2] x")
		for {
			tag, rest, _ := strings.Cut(p.hear(), " ")
			said = append(said, rest)
			switch word, _, _ := strings.Cut(rest, " "); word {
			case "", "LOGOUT":
				return
			case "NAMESPACE":
				p.say(`* NAMESPACE (("" "/")) NIL NIL`)
			case "LIST":
				p.say(`* LIST (\Subscribed) "/" "Q&-A/ü"`)
			}
			p.say(tag + " OK x")
		}
	})
	s := open(t, cfg, false)
	got, err := s.Mailboxes(t.Context())
	if diff := cmp.Diff([]migrate.Mailbox{{Path: "Q&-A/ü", Subscribed: true}}, got); diff != "" || err != nil {
		t.Error(diff, err)
	}
	if err := s.Create(t.Context(), migrate.Mailbox{Path: "ö&"}); err != nil {
		t.Error(err)
	}
	s.Close()
	finished(cfg)
	if want := []string{"NAMESPACE", `LIST "" "*" RETURN (SUBSCRIBED SPECIAL-USE STATUS (MESSAGES UIDNEXT UIDVALIDITY))`, `CREATE "ö&"`, "LOGOUT"}; !cmp.Equal(want, said) {
		t.Errorf("client said %q", said)
	}
}

func TestListWithoutEnd(t *testing.T) {
	cfg := serve(t, func(p *peer) {
		p.greet("")
		p.expect("LIST")
		row := fmt.Sprintf("* LIST () \"/\" \"%s\"\r\n", strings.Repeat("x", 60000))
		for range 2000 {
			if _, err := p.conn.Write([]byte(row)); err != nil {
				return
			}
		}
		p.hear()
	})
	if _, err := open(t, cfg, true).Mailboxes(t.Context()); err == nil || !strings.Contains(err.Error(), "without end") {
		t.Errorf("got %v", err)
	}
}

// Whatever a server repeats without end, in place of an answer, ends the session in the end.
func TestAnswersWithoutEnd(t *testing.T) {
	for _, line := range []string{"* OK still here", "* 4294967295 EXISTS", "* 1 EXPUNGE", "+ go on", "X1 OK done", "* CAPABILITY X", "* 9 FETCH (UID 9 BODY[] {3}\r\nabc)"} {
		t.Run(line, func(t *testing.T) {
			cfg := serve(t, func(p *peer) {
				p.greet("")
				p.expect("LIST")
				flood := []byte(strings.Repeat(line+"\r\n", 1000))
				for {
					if _, err := p.conn.Write(flood); err != nil {
						return
					}
				}
			})
			if _, err := open(t, cfg, true).Mailboxes(t.Context()); !errors.Is(err, errWithoutEnd) {
				t.Errorf("got %v", err)
			}
		})
	}
}

// A name that no command can carry costs its own mailbox, not the run.
func TestNameWithALineBreakIsOneMailboxsTrouble(t *testing.T) {
	cfg := serve(t, func(p *peer) {
		p.greet("")
		p.answer("LIST", "* LIST () \"/\" {3}\r\na\nb", "TAG OK")
		p.answer("LSUB", "TAG OK")
		p.bye()
	})
	s := open(t, cfg, true)
	mailboxes, err := s.Mailboxes(t.Context())
	if err != nil || len(mailboxes) != 1 {
		t.Fatalf("%v, %v", mailboxes, err)
	}
	_, err = s.Status(t.Context(), mailboxes[0].Path)
	var told *migrate.Error
	if !errors.As(err, &told) || told.Mailbox != mailboxes[0].Path || migrate.IsTemporary(err) {
		t.Errorf("got %v", err)
	}
}
