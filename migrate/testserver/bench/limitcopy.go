//go:build linux

package main

import (
	"cmp"
	"fmt"
	"io"
	"strings"
	"sync"

	"golang.org/x/sync/errgroup"
)

// How the limit of copying goes about it: connections to each end, messages in one APPEND (RFC 3502), and messages that
// a connection takes up at once.
const (
	copyLanes   = 4
	copyAppends = 100
	copyStretch = 250
)

// A share is a stretch of sequence numbers of a mailbox.
type share struct {
	mailbox     string
	first, last int
	opens       bool // an EXAMINE goes before its FETCH
}

func limitCopy(addr, user, addr2, user2 string) error {
	shares, err := prepareCopy(addr, user, addr2, user2)
	if err != nil {
		return err
	}
	queue := make(chan share, len(shares))
	var told, sent tally
	for _, s := range shares {
		queue <- s
		told.messages += s.last - s.first + 1
	}
	close(queue)
	var lanes errgroup.Group
	var mu sync.Mutex
	for range copyLanes {
		lanes.Go(func() error {
			laneTold, laneSent, err := copyLane(addr, user, addr2, user2, queue)
			mu.Lock()
			defer mu.Unlock()
			told.octets += laneTold
			sent.messages += laneSent.messages
			sent.octets += laneSent.octets
			return err
		})
	}
	if err := lanes.Wait(); err != nil {
		return err
	}
	return sent.short(told)
}

// prepareCopy makes the mailboxes and cuts the work.
func prepareCopy(addr, user, addr2, user2 string) ([]share, error) {
	from, err := dialIMAP(addr, user)
	if err != nil {
		return nil, err
	}
	defer from.Close()
	to, err := dialIMAP(addr2, user2)
	if err != nil {
		return nil, err
	}
	defer to.Close()
	mailboxes, err := from.mailboxes()
	if err != nil {
		return nil, err
	}
	for _, mbox := range mailboxes {
		from.put("STATUS %s (MESSAGES)", mbox)
		if mbox != `"INBOX"` {
			to.put("CREATE %s", mbox)
		}
	}
	var shares []share
	for _, mbox := range mailboxes {
		messages := 0
		err := from.answer(func(line []byte, _ int) error {
			_, count, _ := strings.Cut(string(line), "(MESSAGES ")
			_, err := fmt.Sscanf(count, "%d", &messages)
			return err
		})
		if err != nil {
			return nil, err
		}
		for first := 1; first <= messages; first += copyStretch {
			shares = append(shares, share{mailbox: mbox, first: first, last: min(first+copyStretch-1, messages)})
		}
		if mbox != `"INBOX"` {
			if err := to.answer(nil); err != nil {
				return nil, err
			}
		}
	}
	return shares, nil
}

// copyLane takes shares until there are none, fetching the next while one is being sent. Answers to what it appends are
// read beside it. It gives the octets that the source told of, and what was sent.
func copyLane(addr, user, addr2, user2 string, queue <-chan share) (told int64, sent tally, err error) {
	from, err := dialIMAP(addr, user)
	if err != nil {
		return 0, sent, err
	}
	defer from.Close()
	to, err := dialIMAP(addr2, user2)
	if err != nil {
		return 0, sent, err
	}
	defer to.Close()
	answers := make(chan struct{}, 1<<16) // one for each command sent
	var reading errgroup.Group
	reading.Go(func() error {
		for range answers {
			if err := to.read(nil); err != nil {
				to.Close() // ends the sending too
				return err
			}
		}
		return nil
	})
	told, sent, err = copyShares(from, to, queue, answers)
	close(answers)
	return told, sent, cmp.Or(reading.Wait(), err)
}

// copyShares relies on a server doing nothing beside EXAMINE, as RFC 9051, section 5.5, has it. It may answer several
// FETCH at once, so between two of the same mailbox no response can be told to belong to one rather than the other.
func copyShares(from, to *client, queue <-chan share, answers chan<- struct{}) (told int64, sent tally, err error) {
	examined, selected := "", ""
	var asked []share
	next := func() {
		s, ok := <-queue
		if !ok {
			return
		}
		if s.opens = s.mailbox != examined; s.opens {
			from.put("EXAMINE %s", s.mailbox)
			examined = s.mailbox
		}
		from.put("FETCH %d:%d %s", s.first, s.last, fetchItems)
		asked = append(asked, s)
	}
	next()
	for len(asked) > 0 {
		s := asked[0]
		asked = asked[1:]
		next()
		if s.mailbox != selected {
			to.put("SELECT %s", s.mailbox)
			answers <- struct{}{}
			selected = s.mailbox
		}
		if s.opens {
			if err := from.answer(nil); err != nil {
				return told, sent, err
			}
		}
		inCommand := 0
		end := func() {
			if inCommand > 0 {
				to.w.WriteString("\r\n")
				answers <- struct{}{}
				inCommand = 0
			}
		}
		err := from.answer(func(line []byte, literal int) error {
			if literal == 0 {
				return nil
			}
			if inCommand == copyAppends {
				end()
			}
			if inCommand == 0 {
				to.tags++
				fmt.Fprintf(to.w, "a%d APPEND %s", to.tags, s.mailbox)
			}
			inCommand++
			size, err := sized(string(line))
			if err != nil {
				return err
			}
			told += size
			sent.add(int64(literal))
			flags, date := described(string(line))
			fmt.Fprintf(to.w, " (%s) \"%s\" {%d+}\r\n", flags, date, literal)
			_, err = io.CopyN(to.w, from.r, int64(literal))
			return err
		})
		if err != nil {
			return told, sent, err
		}
		end()
	}
	return told, sent, to.w.Flush()
}

// described finds flags and date in the beginning of a FETCH response.
func described(line string) (flags, date string) {
	_, flags, _ = strings.Cut(line, "FLAGS (")
	flags, _, _ = strings.Cut(flags, ")")
	flags = strings.TrimSpace(strings.ReplaceAll(flags, `\Recent`, ""))
	_, date, _ = strings.Cut(line, `INTERNALDATE "`)
	date, _, _ = strings.Cut(date, `"`)
	return flags, date
}
