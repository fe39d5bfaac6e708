//go:build linux

package main

import (
	"bufio"
	"io"
	"strings"
	"testing"
)

func TestTheLimitOfCopyingTakesTwoFetchesThatAreAnsweredAtOnce(t *testing.T) {
	const item = "(UID 1 FLAGS () INTERNALDATE \"1-Jan-2020 00:00:00 +0000\" RFC822.SIZE 3 BODY[] {3}\r\nabc)\r\n"
	answers := "a1 OK\r\n* 1 FETCH " + item + "* 3 FETCH " + item + "* 2 FETCH " + item + "a3 OK\r\n* 4 FETCH " + item + "a2 OK\r\n"
	from := &client{r: bufio.NewReader(strings.NewReader(answers)), w: bufio.NewWriter(io.Discard)}
	to := &client{w: bufio.NewWriter(io.Discard)}
	queue := make(chan share, 2)
	queue <- share{mailbox: `"INBOX"`, first: 1, last: 2}
	queue <- share{mailbox: `"INBOX"`, first: 3, last: 4}
	close(queue)
	told, sent, err := copyShares(from, to, queue, make(chan struct{}, 10))
	if want := (tally{messages: 4, octets: 12}); err != nil || sent != want || told != want.octets {
		t.Errorf("sent %+v of %d octets, %v; want %+v", sent, told, err, want)
	}
}

func TestALimitThatLeavesSomethingBehindFails(t *testing.T) {
	for _, test := range []struct {
		name       string
		come, told tally
		fails      bool
	}{
		{"all", tally{2, 20}, tally{2, 20}, false},
		{"a message less", tally{1, 20}, tally{2, 20}, true},
		{"an octet less", tally{2, 19}, tally{2, 20}, true},
		{"a message twice", tally{3, 30}, tally{2, 20}, true},
	} {
		if err := test.come.short(test.told); (err != nil) != test.fails {
			t.Errorf("%s: %v", test.name, err)
		}
	}
}

func TestWhatPOP3StuffsIsNotCounted(t *testing.T) {
	p := popClient{bufio.NewReader(strings.NewReader("+OK\r\nabc\r\n..\r\n\r\n.x\r\n.\r\n+OK\r\n"))}
	if lines, octets, err := p.lines(); lines != 4 || octets != 5+3+2+3 || err != nil {
		t.Errorf("%d lines, %d octets, %v", lines, octets, err)
	}
	if _, err := p.ok(); err != nil {
		t.Error(err)
	}
}
