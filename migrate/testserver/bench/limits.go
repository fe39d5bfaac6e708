//go:build linux

package main

import (
	"bytes"
	"errors"
	"io"
	"os"
	"path/filepath"
	"strconv"
	"strings"
)

// limit does one piece of work with nothing else to it: all is pipelined, nothing is looked up or remembered, and of
// what has come only number and octets are compared with what the server told. It runs as a process of its own, so that
// it is measured like the programs it is compared with.
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

const fetchItems = "(UID FLAGS INTERNALDATE RFC822.SIZE BODY.PEEK[])"

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
	var told, written tally
	for _, mbox := range mailboxes {
		to := filepath.Join(dir, strings.Trim(mbox, `"`))
		for _, part := range []string{"tmp", "cur"} {
			if err := os.MkdirAll(filepath.Join(to, part), 0o700); err != nil {
				return err
			}
		}
		existing, err := c.existing()
		if err != nil {
			return err
		}
		told.messages += existing
		err = c.answer(func(line []byte, literal int) error {
			if literal == 0 {
				return nil
			}
			size, err := sized(string(line))
			if err != nil {
				return err
			}
			told.octets += size
			written.add(int64(literal))
			if err := store(to, strconv.Itoa(written.messages), c.r, literal); err != nil {
				return err
			}
			if written.messages%syncEvery == 0 {
				return syncFileSystem(dir)
			}
			return nil
		})
		if err != nil {
			return err
		}
	}
	return errors.Join(written.short(told), syncFileSystem(dir))
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
	var told, listed tally
	for range mailboxes {
		existing, err := c.existing()
		if err != nil {
			return err
		}
		told.messages += existing
		err = c.answer(func(line []byte, _ int) error {
			if bytes.Contains(line, []byte(" FETCH (")) {
				listed.messages++
			}
			return nil
		})
		if err != nil {
			return err
		}
	}
	return listed.short(told)
}
