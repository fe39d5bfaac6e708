package imap

import (
	"fmt"
	"io"
	"strings"
	"testing"

	"postcask/migrate"
)

// hearAll reads commands that begin so before any of them is answered, and gives their tags.
func (p *peer) hearAll(commands ...string) (tags []string) {
	p.t.Helper()
	for _, command := range commands {
		tag, _ := p.expect(command)
		tags = append(tags, tag)
	}
	return tags
}

// TestFewRoundTrips takes a mailbox over from a server that answers nothing until it has heard all that a client of few
// words would say at once.
func TestFewRoundTrips(t *testing.T) {
	row := func(uid int) string { return fmt.Sprintf("* %d FETCH (UID %d RFC822.SIZE 3)", uid, uid) }
	cfg := serve(t, func(p *peer) {
		p.greet("NAMESPACE LIST-EXTENDED LIST-STATUS")
		tags := p.hearAll("NAMESPACE", `LIST "" "*" RETURN (SUBSCRIBED STATUS (MESSAGES UIDNEXT UIDVALIDITY))`)
		p.say(`* NAMESPACE (("" "/")) NIL NIL`, tags[0]+" OK x", `* LIST () "/" INBOX`, "* STATUS inbox (MESSAGES 2 UIDVALIDITY 77 UIDNEXT 3)", tags[1]+" OK x")
		tags = p.hearAll(`EXAMINE "INBOX"`, "FETCH 1:2 "+allItems)
		p.say("* 2 EXISTS", "* OK [UIDVALIDITY 77]", "* OK [UIDNEXT 3]", tags[0]+" OK x", row(1), row(2), tags[1]+" OK x")
		p.bye()
	})
	s := open(t, cfg, true)
	mailboxes, err := s.Mailboxes(t.Context())
	if err != nil || len(mailboxes) != 1 {
		t.Fatal(mailboxes, err)
	}
	want := migrate.Status{Messages: 2, UIDValidity: 77, UIDNext: 3}
	if got, err := s.Status(t.Context(), "INBOX"); got != want || err != nil {
		t.Fatal(got, err)
	}
	if got, err := readListing(t, s, nil); len(got) != 2 || err != nil {
		t.Fatal(got, err)
	}
}

// Of two states of one mailbox that are asked for in one session the second is that of now.
func TestStateIsNotTakenFromMemory(t *testing.T) {
	cfg := serve(t, func(p *peer) {
		p.greet("LIST-EXTENDED LIST-STATUS")
		p.answer("LIST", `* LIST () "/" INBOX`, "* STATUS INBOX (MESSAGES 2 UIDVALIDITY 77 UIDNEXT 3)", `* LIST () "/" Other`, "TAG OK x")
		tags := p.hearAll(`STATUS "INBOX"`, `STATUS "Other"`)
		p.say("* STATUS INBOX (MESSAGES 3 UIDVALIDITY 77 UIDNEXT 4)", tags[0]+" OK x", "* STATUS Other (MESSAGES 7)", tags[1]+" NO and yet")
		p.bye()
	})
	s := open(t, cfg, true)
	if _, err := s.Mailboxes(t.Context()); err != nil {
		t.Fatal(err)
	}
	for _, want := range []int64{2, 3} {
		if got, err := s.Status(t.Context(), "INBOX"); got.Messages != want || err != nil {
			t.Error(got, err)
		}
	}
	if got, err := s.Status(t.Context(), "Other"); got.Messages != 7 || err != nil {
		t.Error(got, err)
	}
}

// A mailbox that has fewer messages than it had a moment ago is listed by the numbers of now.
func TestMailboxShrinksBeforeItIsListed(t *testing.T) {
	cfg := serve(t, func(p *peer) {
		p.greet("LIST-EXTENDED LIST-STATUS")
		p.answer("LIST", `* LIST () "/" INBOX`, "* STATUS INBOX (MESSAGES 2 UIDVALIDITY 77 UIDNEXT 3)", "TAG OK x")
		tags := p.hearAll(`EXAMINE "INBOX"`, "FETCH 1:2 "+allItems)
		p.say("* 1 EXISTS", "* OK [UIDVALIDITY 77]", "* OK [UIDNEXT 3]", tags[0]+" OK x", tags[1]+" BAD no such message")
		p.answer("FETCH 1:1", "* 1 FETCH (UID 2 RFC822.SIZE 3)", "TAG OK x")
		p.bye()
	})
	s := open(t, cfg, true)
	if _, err := s.Mailboxes(t.Context()); err != nil {
		t.Fatal(err)
	}
	if _, err := s.Status(t.Context(), "INBOX"); err != nil {
		t.Fatal(err)
	}
	if got, err := readListing(t, s, nil); len(got) != 1 || err != nil {
		t.Fatal(got, err)
	}
}

// The commands that fetch go out with the one that opens the mailbox. Where it does not open, or is numbered anew, what
// they bring is no message that was asked for.
func TestFetchOfAMailboxThatDoesNotOpen(t *testing.T) {
	tests := []struct {
		name, verdict string
		validity      int
		fetched       []string
		words         string
	}{
		{"refused", "NO [NOPERM] not yours", 77, nil, `"INBOX": open mailbox: NO [NOPERM] not yours`},
		{"numbered anew", "OK x", 78, []string{"* 1 FETCH (UID 5 BODY[] {5}", "other)"}, "UIDVALIDITY has changed"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			cfg := serve(t, func(p *peer) {
				p.greet("")
				tags := p.hearAll("EXAMINE", "UID FETCH 5 ")
				p.say("* 9 EXISTS", fmt.Sprintf("* OK [UIDVALIDITY %d]", test.validity), tags[0]+" "+test.verdict)
				p.say(append(test.fetched, tags[1]+" BAD no mailbox")...)
				tags = p.hearAll("EXAMINE", "UID FETCH 5 ")
				p.say("* 9 EXISTS", "* OK [UIDVALIDITY 77]", tags[0]+" OK x", "* 1 FETCH (UID 5 BODY[] {3}", "abc)", tags[1]+" OK x")
				p.bye()
			})
			s := open(t, cfg, true)
			if got, err := fetched(t, s, keys(5)); len(got) > 0 || err == nil || !strings.Contains(err.Error(), test.words) {
				t.Errorf("got %v, %v", got, err)
			}
			if got, err := fetched(t, s, keys(5)); got[5] != "abc" || err != nil {
				t.Errorf("later: %v, %v", got, err)
			}
		})
	}
}

// Nobody waits for the answer to LOGOUT.
func TestLeavingIsNotWaitedFor(t *testing.T) {
	heard := make(chan string, 1)
	cfg := serve(t, func(p *peer) {
		p.greet("")
		rest, _ := io.ReadAll(p.in)
		heard <- string(rest)
	})
	open(t, cfg, true).Close()
	if said := <-heard; !strings.HasSuffix(said, " LOGOUT\r\n") {
		t.Errorf("client said %q", said)
	}
}
