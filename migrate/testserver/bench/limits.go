//go:build linux

package main

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
)

// limit does one piece of work with nothing else to it: all is pipelined, nothing is looked up, checked or remembered.
// It runs as a process of its own, so that it is measured like the programs it is compared with.
//
//	bench limit fetch ADDR USER DIR          IMAP into Maildirs, a syncfs for every 500 messages
//	bench limit list ADDR USER               UIDs and flags of all messages
//	bench limit retr ADDR USER               POP3, octets thrown away
//	bench limit uidl ADDR USER               POP3, the list
//	bench limit copy ADDR USER ADDR USER     IMAP to IMAP by MULTIAPPEND of 100, over four connections to each
func limit(args []string) error {
	switch {
	case len(args) == 4 && args[0] == "fetch":
		return limitFetch(args[1], args[2], args[3])
	case len(args) == 3 && args[0] == "list":
		return limitList(args[1], args[2])
	case len(args) == 3 && args[0] == "retr":
		return limitPOP(args[1], args[2], true)
	case len(args) == 3 && args[0] == "uidl":
		return limitPOP(args[1], args[2], false)
	case len(args) == 5 && args[0] == "copy":
		return limitCopy(args[1], args[2], args[3], args[4])
	}
	return errors.New("limit fetch|list|retr|uidl|copy")
}

const fetchItems = "(UID FLAGS INTERNALDATE BODY.PEEK[])"

// syncEvery is how many messages are made safe at once.
const syncEvery = 500

// askForAll asks for these items of every message. Each of the mailboxes has two answers to come.
func askForAll(addr, user, items string) (c *client, mailboxes []string, err error) {
	if c, err = dialIMAP(addr, user); err != nil {
		return nil, nil, err
	}
	if mailboxes, err = c.mailboxes(); err != nil {
		c.Close()
		return nil, nil, err
	}
	for _, mbox := range mailboxes {
		c.put("EXAMINE %s", mbox)
		c.put("UID FETCH 1:* %s", items)
	}
	return c, mailboxes, nil
}

func limitFetch(addr, user, dir string) error {
	c, mailboxes, err := askForAll(addr, user, fetchItems)
	if err != nil {
		return err
	}
	defer c.Close()
	written := 0
	for _, mbox := range mailboxes {
		to := filepath.Join(dir, strings.Trim(mbox, `"`))
		for _, part := range []string{"tmp", "cur"} {
			if err := os.MkdirAll(filepath.Join(to, part), 0o700); err != nil {
				return err
			}
		}
		if err := c.answer(nil); err != nil {
			return err
		}
		err := c.answer(func(_ []byte, literal int) error {
			if literal == 0 {
				return nil
			}
			written++
			if err := store(to, strconv.Itoa(written), c.r, literal); err != nil {
				return err
			}
			if written%syncEvery == 0 {
				return syncFileSystem(dir)
			}
			return nil
		})
		if err != nil {
			return err
		}
	}
	return syncFileSystem(dir)
}

// store writes a file as Maildir has it.
func store(dir, name string, r io.Reader, size int) error {
	temporary := filepath.Join(dir, "tmp", name)
	file, err := os.OpenFile(temporary, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return err
	}
	if _, err := io.CopyN(file, onlyReader{r}, int64(size)); err != nil {
		return err
	}
	if err := file.Close(); err != nil {
		return err
	}
	return os.Rename(temporary, filepath.Join(dir, "cur", name))
}

// onlyReader keeps io.Copy from ways that are slower here than a plain loop.
type onlyReader struct{ io.Reader }

func limitList(addr, user string) error {
	c, mailboxes, err := askForAll(addr, user, "(FLAGS)")
	if err != nil {
		return err
	}
	defer c.Close()
	for range 2 * len(mailboxes) {
		if err := c.answer(nil); err != nil {
			return err
		}
	}
	return nil
}

// limitPOP asks for the list and, where bodies, for every message, all at once.
func limitPOP(addr, user string, bodies bool) error {
	conn, err := net.Dial("tcp", addr)
	if err != nil {
		return err
	}
	defer conn.Close()
	r := bufio.NewReaderSize(conn, 256<<10)
	ok := func() (string, error) {
		line, err := r.ReadString('\n')
		if err == nil && !strings.HasPrefix(line, "+OK") {
			err = fmt.Errorf("the server says %q", line)
		}
		return line, err
	}
	fmt.Fprintf(conn, "USER %s\r\nPASS %s\r\nSTAT\r\n", user, password)
	var stat string
	for range 4 { // the greeting first
		if stat, err = ok(); err != nil {
			return err
		}
	}
	var messages int
	if _, err := fmt.Sscanf(stat, "+OK %d", &messages); err != nil {
		return err
	}
	var sending sync.WaitGroup
	defer sending.Wait()
	sending.Go(func() {
		w := bufio.NewWriter(conn)
		fmt.Fprintf(w, "UIDL\r\n")
		for i := 1; bodies && i <= messages; i++ {
			fmt.Fprintf(w, "RETR %d\r\n", i)
		}
		fmt.Fprintf(w, "QUIT\r\n")
		w.Flush()
	})
	answers := 1
	if bodies {
		answers += messages
	}
	for range answers {
		if _, err := ok(); err != nil {
			return err
		}
		for begins := true; ; {
			line, err := r.ReadSlice('\n')
			if err != nil && err != bufio.ErrBufferFull {
				return err
			}
			if begins && string(line) == ".\r\n" {
				break
			}
			begins = err == nil
		}
	}
	_, err = ok()
	return err
}
