//go:build linux

package main

import (
	"bufio"
	"bytes"
	"fmt"
	"net"
	"strings"
	"sync"
)

// limitPOP asks for the list and, where bodies, for every message, all at once.
func limitPOP(addr, user string, bodies bool) error {
	conn, err := net.Dial("tcp", addr)
	if err != nil {
		return err
	}
	defer conn.Close()
	p := popClient{bufio.NewReaderSize(conn, 256<<10)}
	fmt.Fprintf(conn, "USER %s\r\nPASS %s\r\nSTAT\r\n", user, password)
	var stat string
	for range 4 { // the greeting first
		if stat, err = p.ok(); err != nil {
			return err
		}
	}
	var told, came tally
	if _, err := fmt.Sscanf(stat, "+OK %d %d", &told.messages, &told.octets); err != nil {
		return err
	}
	var sending sync.WaitGroup
	defer sending.Wait()
	sending.Go(func() {
		w := bufio.NewWriter(conn)
		fmt.Fprintf(w, "UIDL\r\n")
		for i := 1; bodies && i <= told.messages; i++ {
			fmt.Fprintf(w, "RETR %d\r\n", i)
		}
		fmt.Fprintf(w, "QUIT\r\n")
		w.Flush()
	})
	uidls, _, err := p.lines()
	if err != nil {
		return err
	}
	if uidls != told.messages {
		return fmt.Errorf("the list has %d messages, STAT told of %d", uidls, told.messages)
	}
	for range told.messages {
		if !bodies {
			break
		}
		_, octets, err := p.lines()
		if err != nil {
			return err
		}
		came.add(octets)
	}
	if _, err := p.ok(); err != nil || !bodies {
		return err
	}
	// POP3 ends each message with a line end, and STAT does not count one that it adds.
	if added := came.octets - told.octets; added > 0 && added <= 2*int64(told.messages) {
		told.octets = came.octets
	}
	return came.short(told)
}

// A popClient is the least of a POP3 client.
type popClient struct{ *bufio.Reader }

// ok reads a status line, which has to be +OK.
func (p popClient) ok() (string, error) {
	line, err := p.ReadString('\n')
	if err == nil && !strings.HasPrefix(line, "+OK") {
		err = fmt.Errorf("the server says %q", line)
	}
	return line, err
}

// lines reads an answer of several lines (RFC 1939, section 3) and tells how many there are, and their octets less the
// dots that were stuffed.
func (p popClient) lines() (lines int, octets int64, err error) {
	if _, err := p.ok(); err != nil {
		return 0, 0, err
	}
	for begins := true; ; {
		line, err := p.ReadSlice('\n')
		if err != nil && err != bufio.ErrBufferFull {
			return lines, octets, err
		}
		if begins && bytes.HasPrefix(line, []byte(".")) {
			if string(line) == ".\r\n" {
				return lines, octets, nil
			}
			octets--
		}
		octets += int64(len(line))
		if begins = err == nil; begins {
			lines++
		}
	}
}
