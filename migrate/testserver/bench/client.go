//go:build linux

package main

import (
	"bufio"
	"bytes"
	"fmt"
	"net"
	"strconv"
	"strings"
)

// A client is the least of an IMAP client: enough to find out how fast a server is. It trusts the server.
type client struct {
	net.Conn
	r    *bufio.Reader
	w    *bufio.Writer
	tags int
}

func dialIMAP(addr, user string) (*client, error) {
	conn, err := net.Dial("tcp", addr)
	if err != nil {
		return nil, err
	}
	c := &client{Conn: conn, r: bufio.NewReaderSize(conn, 256<<10), w: bufio.NewWriterSize(conn, 256<<10)}
	if _, err := c.line(); err != nil {
		return nil, err
	}
	c.put("LOGIN %s %s", user, password)
	return c, c.answer(nil)
}

// put writes a command into the buffer.
func (c *client) put(format string, args ...any) {
	c.tags++
	fmt.Fprintf(c.w, "a%d "+format+"\r\n", append([]any{c.tags}, args...)...)
}

// line reads a line without its end; it holds until the next reading.
func (c *client) line() ([]byte, error) {
	line, err := c.r.ReadSlice('\n')
	return bytes.TrimRight(line, "\r\n"), err
}

// answer sends what is in the buffer, and reads up to the next tagged response, which has to be OK. each gets every
// untagged line and, where there is one, the size of the literal at its end, which it reads; nil skips all.
func (c *client) answer(each func(line []byte, literal int) error) error {
	if err := c.w.Flush(); err != nil {
		return err
	}
	return c.read(each)
}

// read is answer without the sending, for when another goroutine sends.
func (c *client) read(each func(line []byte, literal int) error) error {
	for {
		line, err := c.line()
		if err != nil {
			return err
		}
		if bytes.HasPrefix(line, []byte("a")) {
			if fields := bytes.Fields(line); len(fields) < 2 || string(fields[1]) != "OK" {
				return fmt.Errorf("the server says %q", line)
			}
			return nil
		}
		for {
			size, ok := literalAt(line)
			if each != nil {
				err = each(line, size)
			} else if ok {
				_, err = c.r.Discard(size)
			}
			if err != nil {
				return err
			}
			if !ok {
				break
			}
			if line, err = c.line(); err != nil {
				return err
			}
		}
	}
}

// literalAt tells the size of the literal that a line announces.
func literalAt(line []byte) (int, bool) {
	if !bytes.HasSuffix(line, []byte("}")) {
		return 0, false
	}
	n, err := strconv.Atoi(string(line[bytes.LastIndexByte(line, '{')+1 : len(line)-1]))
	return n, err == nil
}

// mailboxes lists the names of all mailboxes, as they stand, in quotes.
func (c *client) mailboxes() ([]string, error) {
	var names []string
	c.put(`LIST "" "*"`)
	err := c.answer(func(line []byte, literal int) error {
		if literal > 0 {
			return fmt.Errorf("a mailbox that needs a literal")
		}
		text := string(line)
		if !strings.HasPrefix(text, "* LIST ") || strings.Contains(text, `\Noselect`) || strings.Contains(text, `\NonExistent`) {
			return nil
		}
		_, rest, ok := strings.Cut(text, `) "`)
		if !ok || len(rest) < 4 {
			return fmt.Errorf("the server says %q", text)
		}
		names = append(names, `"`+strings.Trim(rest[3:], `"`)+`"`)
		return nil
	})
	return names, err
}
