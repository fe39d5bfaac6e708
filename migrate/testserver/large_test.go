package testserver

import (
	"bytes"
	"fmt"
	"io"
	"net"
	"strings"
	"testing"
)

// A Large gives each message as it is made, and more of them once it has grown; CHANGEDSINCE gives those alone.
func TestLarge(t *testing.T) {
	large := StartLarge(t, 50)
	client, err := DialIMAP(large.IMAPAddr, nil, nil)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { client.Close() })
	if err := client.Login("me", Password); err != nil {
		t.Fatal(err)
	}
	for _, count := range []int{50, 53} {
		messages, err := client.Messages("INBOX")
		if err != nil || len(messages) != count {
			t.Fatalf("%d messages, %v; want %d", len(messages), err, count)
		}
		for i, m := range messages {
			if want := large.AppendMessage(nil, i+1); !bytes.Equal(m.Body, want) {
				t.Errorf("message %d is %q, not %q", i+1, m.Body, want)
			}
		}
		large.Grow(3)
	}
	if _, err := client.Do("EXAMINE INBOX"); err != nil {
		t.Fatal(err)
	}
	reply, err := client.Do("UID FETCH 1:* (UID FLAGS) (CHANGEDSINCE 54)")
	if err != nil {
		t.Fatal(err)
	}
	if told := reply.Untagged; len(told) != 3 || !strings.Contains(told[0], "UID 54 FLAGS (") {
		t.Errorf("changed: %q", told)
	}
}

// A Large takes the messages of another, as many in one APPEND as one likes, and nothing else.
func TestLargeTakesWhatALargeGives(t *testing.T) {
	from, to := StartLarge(t, 9), StartLarge(t, 2)
	client, err := DialIMAP(to.IMAPAddr, nil, nil)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { client.Close() })
	if err := client.Login("me", Password); err != nil {
		t.Fatal(err)
	}
	message := func(n int, change string) string {
		octets := string(from.AppendMessage(nil, n)) + change
		return fmt.Sprintf(" (%s) %s {%d+}\r\n%s", largeFlags(n), largeDate(n), len(octets), octets)
	}
	for _, test := range []struct {
		command string
		taken   bool
	}{
		{message(7, ""), true},
		{message(3, "") + message(9, ""), true},
		{message(4, "") + message(5, "changed\r\n"), false},
		{strings.Replace(message(2, ""), `\Seen`, "", 1), false},
		{message(3, ""), true},
	} {
		if reply, err := client.Do("APPEND INBOX" + test.command); err != nil || (reply.Status == "OK") != test.taken {
			t.Errorf("%.60q: %v, %v", test.command, reply, err)
		}
	}
	messages, err := client.Messages("INBOX")
	if err != nil || len(messages) != 6 || to.Len() != 6 {
		t.Fatalf("%d messages of %d, %v", len(messages), to.Len(), err)
	}
	for i, n := range []int{1, 2, 7, 3, 9, 3} {
		if want := from.AppendMessage(nil, n); !bytes.Equal(messages[i].Body, want) {
			t.Errorf("message %d is %q, not %q", i+1, messages[i].Body, want)
		}
	}
	if taken, different := to.Taken(); taken != 4 || different != 3 {
		t.Errorf("%d taken, %d different ones", taken, different)
	}
}

func TestLargeOverPOP3(t *testing.T) {
	large := StartLarge(t, 12)
	conn, err := net.Dial("tcp", large.POP3Addr)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	io.WriteString(conn, "CAPA\r\nUSER me\r\nPASS secret\r\nSTAT\r\nLIST\r\nTOP 3 0\r\nRETR 12\r\nRETR 13\r\nQUIT\r\n")
	answers, err := io.ReadAll(conn)
	if err != nil {
		t.Fatal(err)
	}
	header, _, _ := bytes.Cut(large.AppendMessage(nil, 3), []byte("\r\n\r\n"))
	body := large.AppendMessage(nil, 12)
	for _, want := range []string{"PIPELINING\r\n", "+OK 12 1\r\n", fmt.Sprintf("\r\n12 %d\r\n.\r\n", len(body)), string(header) + "\r\n\r\n.\r\n",
		string(body) + ".\r\n-ERR no such message\r\n+OK\r\n"} {
		if !strings.Contains(string(answers), want) {
			t.Errorf("%q is not in %q", want, answers)
		}
	}
}
