//go:build linux

package main

import (
	"bytes"
	"fmt"
	"strconv"
	"strings"
)

// A tally counts messages and their octets. A limit keeps two, what the server told and what has come: one that leaves
// something behind would look fast.
type tally struct {
	messages int
	octets   int64
}

func (t *tally) add(octets int64) {
	t.messages++
	t.octets += octets
}

// short is an error where less or more has come than was told.
func (t tally) short(told tally) error {
	if t == told {
		return nil
	}
	return fmt.Errorf("%d messages of %d octets have come, the server told of %d of %d", t.messages, t.octets, told.messages, told.octets)
}

// existing reads the answer to EXAMINE and tells how many messages the mailbox has.
func (c *client) existing() (messages int, err error) {
	err = c.answer(func(line []byte, _ int) error {
		count, ok := bytes.CutSuffix(line, []byte(" EXISTS"))
		if !ok {
			return nil
		}
		messages, err = strconv.Atoi(string(bytes.TrimPrefix(count, []byte("* "))))
		return err
	})
	return messages, err
}

// sized finds the size in the beginning of a FETCH response.
func sized(line string) (int64, error) {
	_, size, _ := strings.Cut(line, "RFC822.SIZE ")
	if end := strings.IndexAny(size, " )"); end >= 0 {
		size = size[:end]
	}
	return strconv.ParseInt(size, 10, 64)
}
