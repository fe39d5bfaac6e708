//go:build linux

package main

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"strings"
)

// where tells the folder that the mail of a job has come to.
func (b *bench) where(j *job, row *row) string {
	if j.into == toServer {
		return b.maildir(row.room.destination)
	}
	return row.room.out
}

// inMbox tells whether a row's mail lies in mbox files.
func (j *job) inMbox(row *row) bool { return j.into == toDisk && row.tool.format == "mbox" }

// count tells how many messages have arrived.
func (b *bench) count(j *job, row *row) (int, error) {
	n := 0
	err := b.files(j, row, func(path string) error {
		if !j.inMbox(row) {
			n++
			return nil
		}
		messages, err := countMbox(path)
		n += messages
		return err
	})
	return n, err
}

// files calls each for every file of mail that has arrived.
func (b *bench) files(j *job, row *row, each func(path string) error) error {
	return filepath.WalkDir(b.where(j, row), func(path string, entry fs.DirEntry, err error) error {
		switch {
		case errors.Is(err, fs.ErrNotExist): // nothing has come yet
			return nil
		case err != nil || entry.IsDir():
			return err
		case j.inMbox(row) && strings.HasSuffix(path, ".mbox"), !j.inMbox(row) && isMessage(path):
			return each(path)
		}
		return nil
	})
}

// countMbox counts "From " lines: those of bodies are quoted.
func countMbox(path string) (n int, err error) {
	file, err := os.Open(path)
	if err != nil {
		return 0, err
	}
	defer file.Close()
	r := bufio.NewReaderSize(file, 256<<10)
	for begins := true; ; {
		line, err := r.ReadSlice('\n')
		if begins && bytes.HasPrefix(line, []byte("From ")) {
			n++
		}
		begins = err == nil
		switch {
		case err == io.EOF:
			return n, nil
		case err != nil && !errors.Is(err, bufio.ErrBufferFull):
			return n, err
		}
	}
}

// check is an error where postcask or the limit has not brought all as it is: their times would tell nothing.
func (b *bench) check(j *job, row *row) error {
	if !row.keeps() {
		return nil
	}
	if err := b.compare(j, row); err != nil {
		return err
	}
	sent := b.manifests[j.account].messages
	if !row.tool.peer() && (row.arrived != sent || row.identical >= 0 && row.identical != sent) {
		return fmt.Errorf("%s: of %d messages %d have arrived, %d unchanged", row.tool.name, sent, row.arrived, row.identical)
	}
	return nil
}

// compare counts what has arrived and compares it with what was sent: lines ended by CRLF or LF are the same here. Over
// POP3 every message ends with a line end, so those at the very end do not count there.
func (b *bench) compare(j *job, row *row) (err error) {
	row.checked = true
	if j.inMbox(row) { // compared where it is restored
		row.arrived, err = b.count(j, row)
		row.identical = -1
		return err
	}
	sent := b.manifests[j.account]
	left := maps.Clone(sent.exact)
	if j.pop {
		left = maps.Clone(sent.trimmed)
	}
	return b.files(j, row, func(path string) error {
		octets, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		octets = bytes.ReplaceAll(octets, []byte("\r\n"), []byte("\n"))
		if j.pop {
			octets = bytes.TrimRight(octets, "\r\n")
		}
		row.arrived++
		if d := digestOf(octets); left[d] > 0 {
			left[d]--
			row.identical++
		}
		return nil
	})
}
