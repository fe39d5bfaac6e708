package main

import (
	"fmt"
	"strings"
	"time"
)

// letter makes the ith message of a mailbox, with some of what mail has that is easily lost.
func letter(mailbox string, i int) []byte {
	var b strings.Builder
	fmt.Fprintf(&b, "From: Jos\u00e9 <jose%d@example.org>\r\nTo: me@example.net\r\n", i)
	fmt.Fprintf(&b, "Subject: =?iso-8859-1?Q?Gr=FC=DFe?= no. %d\r\nDate: Tue, 14 Jan 2020 10:00:%02d +0100\r\n", i, i%60)
	fmt.Fprintf(&b, "Message-ID: <%d.%s@example.org>\r\n\r\n", i, strings.ReplaceAll(mailbox, " ", "_"))
	fmt.Fprintf(&b, "From the start, message %d\r\n>From here on\r\n.\r\n..\r\n", i)
	b.WriteString(strings.Repeat("a line of some length, so that there is something to move\r\n", 10+i%7*10))
	return []byte(b.String())
}

func someDay(i int) time.Time {
	return time.Date(2020, 1, 1+i%28, i%24, i%60, 7, 0, time.FixedZone("", []int{0, 3600, -5 * 3600}[i%3]))
}

func someFlags(i int) []string {
	return [][]string{nil, {`\Seen`}, {`\Answered`, `\Seen`}, {"$Forwarded", `\Flagged`}, {"NonJunk"}}[i%5]
}
