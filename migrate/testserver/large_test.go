package testserver

import (
	"bytes"
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
