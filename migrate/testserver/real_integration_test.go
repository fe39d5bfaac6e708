//go:build integration

package testserver

import (
	"bufio"
	"bytes"
	"crypto/tls"
	"fmt"
	"io"
	"net"
	"strings"
	"sync"
	"testing"
	"time"
)

const sample = "From: a@example.org\r\nSubject: dots\r\n\r\nfirst\r\n.\r\n..two\r\nlast\r\n"

// TestRealServers walks through every way in: log-in over each of the three kinds of connection, a message put in and
// read back over IMAP and POP3.
func TestRealServers(t *testing.T) {
	for _, name := range Named(t) {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := Start(t, name)
			s.Users(t, "me", "other")
			for how, dial := range map[string]func() (*RawIMAP, error){
				"plain":    func() (*RawIMAP, error) { return DialIMAP(s.IMAPAddr, nil, nil) },
				"starttls": func() (*RawIMAP, error) { return DialIMAP(s.IMAPAddr, s.ClientTLS(), nil) },
				"implicit": func() (*RawIMAP, error) { return DialIMAP(s.IMAPSAddr, nil, s.ClientTLS()) },
			} {
				c, err := dial()
				if err != nil {
					t.Fatalf("%s: %v", how, err)
				}
				if how == "plain" { // once, since servers make who guesses wait
					if err := c.Login("other", "wrong"); err == nil {
						t.Error("log-in with a wrong password works")
					}
				}
				if err := c.Login("other", Password); err != nil {
					t.Errorf("%s: %v", how, err)
				}
				c.Close()
			}
			checkRoundTrip(t, s)
			checkPOP3(t, s.POP3Addr, nil, nil)
			checkPOP3(t, s.POP3Addr, s.ClientTLS(), nil)
			checkPOP3(t, s.POP3SAddr, nil, s.ClientTLS())
		})
	}
}

func checkRoundTrip(t *testing.T, s *Server) {
	t.Helper()
	c := OpenIMAP(t, s, "me", Password)
	const date = "05-Feb-2021 04:03:02 +0100"
	if err := c.Append("INBOX", `(\Seen $Label)`, date, []byte(sample)); err != nil {
		t.Fatal(err)
	}
	got, err := c.Messages("INBOX")
	if err != nil {
		t.Fatal(err)
	}
	if len(got) != 1 || string(got[0].Body) != sample || got[0].Size != int64(len(sample)) {
		t.Fatalf("%s gave %+v", s.Name, got)
	}
	if flags := strings.Join(got[0].Flags, " "); !strings.EqualFold(flags, `$Label \Seen`) {
		t.Errorf("flags %q", flags)
	}
	want, _ := time.Parse("02-Jan-2006 15:04:05 -0700", date)
	when, err := time.Parse("_2-Jan-2006 15:04:05 -0700", got[0].InternalDate)
	if err != nil || !when.Equal(want) {
		t.Errorf("internal date %q, %v; want %q", got[0].InternalDate, err, date)
	}
	mailbox := "Work"
	if s.Name == "courier" {
		mailbox = "INBOX.Work"
	}
	for _, err := range []error{c.Create(mailbox), c.Subscribe(mailbox)} {
		if err != nil {
			t.Error(err)
		}
	}
	names, err := c.Subscribed()
	if err != nil || !strings.Contains(strings.Join(names, " "), mailbox) {
		t.Errorf("subscribed: %q, %v", names, err)
	}
	mailboxes, err := c.Mailboxes()
	if err != nil || len(mailboxes) < 2 {
		t.Errorf("mailboxes: %q, %v", mailboxes, err)
	}
}

// checkPOP3 reads the message of checkRoundTrip over POP3.
func checkPOP3(t *testing.T, addr string, stls, implicit *tls.Config) {
	t.Helper()
	conn, err := net.Dial("tcp", addr)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { conn.Close() }()
	conn.SetDeadline(time.Now().Add(rawTimeout))
	if implicit != nil {
		conn = tls.Client(conn, implicit)
	}
	r := bufio.NewReader(conn)
	expect := func(command string) {
		t.Helper()
		if command != "" {
			fmt.Fprintf(conn, "%s\r\n", command)
		}
		line, err := r.ReadString('\n')
		if err != nil || !strings.HasPrefix(line, "+OK") {
			t.Fatalf("POP3 %q: %q, %v", command, line, err)
		}
	}
	expect("")
	if stls != nil {
		expect("STLS")
		conn = tls.Client(conn, stls)
		r = bufio.NewReader(conn)
	}
	expect("USER me")
	expect("PASS " + Password)
	expect("RETR 1")
	want := strings.ReplaceAll(sample, "\r\n.", "\r\n..") + ".\r\n"
	body := make([]byte, len(want))
	if _, err := io.ReadFull(r, body); err != nil || string(body) != want {
		t.Errorf("RETR gave %q, %v", body, err)
	}
	expect("QUIT")
}

// TestManyInstances runs several servers of a kind at once: what one gets, the others must not see.
func TestManyInstances(t *testing.T) {
	for _, name := range Named(t) {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var wg sync.WaitGroup
			for i := range 3 {
				s := Start(t, name)
				s.Users(t, "me")
				wg.Go(func() {
					c, err := DialIMAP(s.IMAPAddr, nil, nil)
					if err != nil {
						t.Error(err)
						return
					}
					defer c.Close()
					body := fmt.Appendf(nil, "Subject: %d\r\n\r\n", i)
					err = firstError(c.Login("me", Password), c.Append("INBOX", "", "", body))
					got, readErr := c.Messages("INBOX")
					if err != nil || readErr != nil || len(got) != 1 || !bytes.Equal(got[0].Body, body) {
						t.Errorf("instance %d: %+v, %v, %v", i, got, err, readErr)
					}
				})
			}
			wg.Wait()
		})
	}
}
