package testserver

import (
	"crypto/tls"
	"io"
	"net"
	"slices"
	"strings"
	"testing"
	"time"
)

// awkward are messages that go-imap's own store would not give back as they came.
var awkward = []string{
	sampleMail,
	"",
	"no header at all",
	"\r\n\r\nbody alone\r\n",
	"X: folded\r\n\tline\r\nbroken header line\r\n\r\nbare\nLF and lone \r CR",
	"From: =?utf-8?q?=C3=A4?=\r\nx:y\r\n\r\n8-bit \xff\xfe\r\n.\r\n",
}

const sampleMail = "From: a@example.org\r\nSubject: first\r\nMessage-ID: <1@example.org>\r\n\r\nbody\r\n"

func TestIMAPKeepsOctets(t *testing.T) {
	s := StartIMAP(t)
	s.Users(t, "me")
	c := OpenIMAP(t, s2(s), "me", Password)
	const date = "15-Feb-2021 04:03:02 +0130"
	for _, octets := range awkward {
		if err := c.Append("INBOX", `(\Seen $Label NonJunk)`, date, []byte(octets)); err != nil {
			t.Fatalf("%q: %v", octets, err)
		}
	}
	got, err := c.Messages("INBOX")
	if err != nil || len(got) != len(awkward) {
		t.Fatalf("%d messages, %v", len(got), err)
	}
	for i, m := range got {
		if string(m.Body) != awkward[i] || m.Size != int64(len(awkward[i])) || m.UID != uint32(i+1) {
			t.Errorf("%q came back as %q, size %d, UID %d", awkward[i], m.Body, m.Size, m.UID)
		}
		if m.InternalDate != date || !slices.Equal(m.Flags, []string{"$Label", "NonJunk", `\Seen`}) {
			t.Errorf("date %q, flags %q", m.InternalDate, m.Flags)
		}
	}
	inside, err := s.Messages("me", "INBOX")
	if err != nil || len(inside) != len(awkward) || string(inside[4].Octets) != awkward[4] {
		t.Errorf("inside: %+v, %v", inside, err)
	}
}

// s2 gives the Server of an IMAP.
func s2(s *IMAP) *Server { return &s.Server }

func TestIMAPWaysIn(t *testing.T) {
	s := StartIMAP(t)
	s.Users(t, "me")
	for _, way := range []struct {
		name               string
		addr               string
		starttls, implicit *tls.Config
	}{{"plain", s.IMAPAddr, nil, nil}, {"starttls", s.IMAPAddr, s.ClientTLS(), nil}, {"implicit", s.IMAPSAddr, nil, s.ClientTLS()}} {
		c, err := DialIMAP(way.addr, way.starttls, way.implicit)
		if err != nil {
			t.Fatalf("%s: %v", way.name, err)
		}
		if c.Login("me", "wrong") == nil {
			t.Errorf("%s: wrong password taken", way.name)
		}
		if err := c.Login("me", Password); err != nil {
			t.Errorf("%s: %v", way.name, err)
		}
		c.Close()
	}
	if _, err := DialIMAP(s.IMAPSAddr, nil, &tls.Config{ServerName: "localhost"}); err == nil {
		t.Error("the certificate is taken without the CA")
	}
}

func TestIMAPMailboxes(t *testing.T) {
	s := StartIMAP(t)
	s.Users(t, "me")
	for _, err := range []error{s.CreateMailbox("me", "Work/2020"), s.CreateMailbox("me", "Sänt", `\Sent`), s.Subscribe("me", "Sänt")} {
		if err != nil {
			t.Fatal(err)
		}
	}
	c := OpenIMAP(t, s2(s), "me", Password)
	if err := c.Create("R&-D"); err != nil {
		t.Error(err)
	}
	mailboxes, err := c.Mailboxes()
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	for _, m := range mailboxes {
		names = append(names, m.Name+" "+strings.Join(m.Attributes, ","))
	}
	want := []string{`INBOX \HasNoChildren`, `R&-D \HasNoChildren`, `S&AOQ-nt \Sent,\HasNoChildren`, `Work \HasChildren`, `Work/2020 \HasNoChildren`}
	if !slices.Equal(names, want) {
		t.Errorf("LIST %q", names)
	}
	if subscribed, err := c.Subscribed(); err != nil || !slices.Equal(subscribed, []string{"S&AOQ-nt"}) {
		t.Errorf("LSUB %q, %v", subscribed, err)
	}
	if inside := s.Mailboxes("me"); !slices.Equal(inside, []string{"INBOX", "R&D", "Sänt", "Work", "Work/2020"}) {
		t.Errorf("inside %q", inside)
	}
}

// TestIMAPCommands walks through what a client may do with messages, and compares untagged answers.
func TestIMAPCommands(t *testing.T) {
	s := StartIMAP(t)
	s.Users(t, "me")
	if err := s.CreateMailbox("me", "Old"); err != nil {
		t.Fatal(err)
	}
	for range 3 {
		if _, err := s.Deliver("me", "INBOX", Mail{Octets: []byte(sampleMail), Date: time.Unix(1e9, 0).UTC()}); err != nil {
			t.Fatal(err)
		}
	}
	c := OpenIMAP(t, s2(s), "me", Password)
	for _, step := range []struct{ say, want string }{
		{"SELECT INBOX", "OK"},
		{"STORE 2 +FLAGS (\\Deleted $x)", `2 FETCH (UID 2 FLAGS ($x \Deleted))`},
		{"UID SEARCH UNDELETED", "SEARCH 1 3"},
		{"UID SEARCH UID 2:* KEYWORD $X", "SEARCH 2"},
		{`SEARCH HEADER Message-ID "<1@EXAMPLE.org>"`, "SEARCH 1 2 3"},
		{`SEARCH NOT SINCE 9-Sep-2001`, "SEARCH"},
		{`SEARCH OR FROM nobody BODY BODY`, "SEARCH 1 2 3"},
		{"FETCH 1 BODY.PEEK[HEADER.FIELDS (Subject)]", "1 FETCH (UID 1 BODY[HEADER.FIELDS (\"Subject\")] {18}\r\nSubject: first\r\n\r\n)"},
		{"FETCH 1 BODY.PEEK[]<6.13>", "1 FETCH (UID 1 BODY[]<6> {13}\r\na@example.org)"},
		{"UID EXPUNGE 1:3", "2 EXPUNGE"},
		{"UID MOVE 3 Old", "2 EXPUNGE"},
		{"STATUS Old (MESSAGES UIDNEXT)", `STATUS "Old" (MESSAGES 1 UIDNEXT 2)`},
		{"UID FETCH 1:* FLAGS", "1 FETCH (UID 1 FLAGS ())"},
		{"SELECT Nowhere", "[NONEXISTENT]"},
	} {
		reply, err := c.Do(step.say)
		if err != nil {
			t.Fatalf("%s: %v", step.say, err)
		}
		if all := strings.Join(append(reply.Untagged, reply.Status+" "+reply.Text), "\r\n"); !strings.Contains(all, step.want) {
			t.Errorf("%s:\n%s\nlacks %q", step.say, all, step.want)
		}
	}
	if !slices.Contains(s.Commands(), "me: STORE INBOX") {
		t.Errorf("commands %q", s.Commands())
	}
}

// TestIMAPFromWithin changes a mailbox behind the back of a client that has it open.
func TestIMAPFromWithin(t *testing.T) {
	s := StartIMAP(t)
	s.Users(t, "me")
	deliver := func() {
		t.Helper()
		if _, err := s.Deliver("me", "INBOX", Mail{Octets: []byte(sampleMail), Date: time.Unix(1e9, 0)}); err != nil {
			t.Fatal(err)
		}
	}
	deliver()
	deliver()
	c := OpenIMAP(t, s2(s), "me", Password)
	before, err := c.Do("EXAMINE INBOX")
	if err != nil {
		t.Fatal(err)
	}
	deliver()
	if err := firstError(s.Expunge("me", "INBOX", 1), s.SetFlags("me", "INBOX", 2, `\Flagged`)); err != nil {
		t.Fatal(err)
	}
	reply, err := c.Do("NOOP")
	if all := strings.Join(reply.Untagged, "\n"); err != nil || !strings.Contains(all, "3 EXISTS") ||
		!strings.Contains(all, "1 EXPUNGE") || !strings.Contains(all, `\Flagged`) {
		t.Errorf("NOOP told %q, %v", reply.Untagged, err)
	}
	if err := s.Renumber("me", "INBOX", 100); err != nil {
		t.Fatal(err)
	}
	after, err := c.Do("EXAMINE INBOX")
	if err != nil || slices.Equal(uidValidity(before), uidValidity(after)) {
		t.Errorf("UIDVALIDITY %q stays, %v", uidValidity(after), err)
	}
	if got, err := c.Messages("INBOX"); err != nil || len(got) != 2 || got[0].UID != 100 || got[1].UID != 101 {
		t.Errorf("renumbered: %+v, %v", got, err)
	}
}

func uidValidity(r Reply) []string {
	return slices.DeleteFunc(slices.Clone(r.Untagged), func(s string) bool { return !strings.Contains(s, "UIDVALIDITY") })
}

func TestIMAPFaults(t *testing.T) {
	s := StartIMAP(t, IMAPOptions{
		Without:         []string{"UIDPLUS", "LITERAL+"},
		RefuseAppend:    func(n int, _, _ string) string { return map[int]string{2: "NO [OVERQUOTA] no room"}[n] },
		LoseAppendReply: func(n int) bool { return n == 3 },
		RefuseFetch: func(_, mailbox string, uid uint32) string {
			return map[uint32]string{2: "NO [SERVERBUG] unreadable"}[uid]
		},
		AppendLimit: 100,
		Faults: func(n int) Fault {
			switch n {
			case 1:
				return Fault{AfterWriting: 10}
			case 2:
				return Fault{AfterWriting: 20, Stall: true}
			}
			return Fault{}
		},
	})
	s.Users(t, "me")
	c := OpenIMAP(t, s2(s), "me", Password)
	capability, err := c.Do("CAPABILITY")
	words := strings.Fields(strings.Join(capability.Untagged, " "))
	if err != nil || slices.Contains(words, "UIDPLUS") || slices.Contains(words, "LITERAL+") || !slices.Contains(words, "APPENDLIMIT=100") {
		t.Errorf("capabilities %q, %v", words, err)
	}
	if err := c.Append("INBOX", "", "", []byte("one")); err != nil {
		t.Error(err)
	}
	if err := c.Append("INBOX", "", "", []byte("two")); err == nil || !strings.Contains(err.Error(), "NO [OVERQUOTA] no room") {
		t.Errorf("second APPEND: %v", err)
	}
	if err := c.Append("INBOX", "", "", []byte("three")); err == nil {
		t.Error("third APPEND was answered")
	}
	if inside, err := s.Messages("me", "INBOX"); err != nil || len(inside) != 2 {
		t.Errorf("inside %+v, %v", inside, err)
	}

	cut, err := net.Dial("tcp", s.IMAPAddr)
	if err != nil {
		t.Fatal(err)
	}
	defer cut.Close()
	if got, _ := io.ReadAll(cut); len(got) != 10 {
		t.Errorf("connection to be cut after 10 octets gave %q", got)
	}
	silent, err := net.Dial("tcp", s.IMAPAddr)
	if err != nil {
		t.Fatal(err)
	}
	defer silent.Close()
	staysSilent(t, silent, 20)

	c = OpenIMAP(t, s2(s), "me", Password)
	if _, err := c.Messages("INBOX"); err == nil || !strings.Contains(err.Error(), "SERVERBUG") {
		t.Errorf("FETCH of UID 2: %v", err)
	}
	if err := c.Append("INBOX", "", "", make([]byte, 101)); err == nil || !strings.Contains(err.Error(), "TOOBIG") {
		t.Errorf("APPEND above the limit: %v", err)
	}
}
