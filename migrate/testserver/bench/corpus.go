//go:build linux

package main

import (
	"bytes"
	"context"
	"crypto/sha256"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
)

// The user and group that own a Dovecot's mail: Debian's "mail".
const mailUID, mailGID = 8, 8

// folders of an account: the name in a Maildir++ tree (modified UTF-7) and how many of a hundred messages lie there.
var folders = []struct {
	dir   string
	share int
}{
	{"", 50}, {".Sent", 15}, {".Archive", 10}, {".Archive.2019", 8}, {".Archive.2019.Q&-A", 5},
	{".Entw&APw-rfe", 3}, {".&ZeVnLIqe-.&U9dP4Q-", 4}, {".Old Mail (1)", 5},
}

// A manifest tells what an account holds: how often each digest.
type manifest struct {
	messages int
	octets   int64          // of the wire form
	exact    map[digest]int // as Dovecot keeps it, lines ended by LF
	trimmed  map[digest]int // less the line ends at the very end, where POP3 adds one
}

type digest [12]byte

func newManifest() *manifest { return &manifest{exact: map[digest]int{}, trimmed: map[digest]int{}} }

func (m *manifest) add(octets []byte) {
	m.messages++
	m.octets += int64(len(octets) + bytes.Count(octets, []byte("\n")))
	m.exact[digestOf(octets)]++
	m.trimmed[digestOf(bytes.TrimRight(octets, "\r\n"))]++
}

func digestOf(octets []byte) digest {
	sum := sha256.Sum256(octets)
	return digest(sum[:12])
}

// plant makes messages first to last of the mail that seed stands for and puts them into a Maildir++ tree, all into INBOX
// where flat, and into the manifest.
func plant(ctx context.Context, root string, seed uint64, first, last int, flat bool, in *manifest) error {
	for _, folder := range folders {
		if flat && folder.dir != "" {
			continue
		}
		if err := makeFolder(filepath.Join(root, folder.dir), folder.dir != ""); err != nil {
			return err
		}
	}
	press := newPress(seed, pressOctets)
	for i := first; i <= last; i++ {
		if err := context.Cause(ctx); err != nil {
			return err
		}
		r := rand.New(rand.NewPCG(seed, uint64(i)))
		dir := root
		if n := r.IntN(100); !flat {
			dir = filepath.Join(root, folderOf(n))
		}
		letter := press.letter(r, i)
		if err := put(dir, i, letter); err != nil {
			return err
		}
		in.add(letter.octets)
	}
	return nil
}

// plantHuge puts one message of about so many octets into a new tree.
func plantHuge(root string, seed uint64, size int, in *manifest) error {
	if err := makeFolder(root, false); err != nil {
		return err
	}
	letter := newPress(seed, pressOctets).withAttachment(rand.New(rand.NewPCG(seed, 0)), 0, size)
	in.add(letter.octets)
	return put(root, 1, letter)
}

func folderOf(n int) string {
	for _, folder := range folders {
		if n < folder.share {
			return folder.dir
		}
		n -= folder.share
	}
	return ""
}

func makeFolder(dir string, below bool) error {
	for _, part := range []string{"", "cur", "new", "tmp"} {
		path := filepath.Join(dir, part)
		if err := os.MkdirAll(path, 0o700); err != nil {
			return err
		}
		if err := os.Chown(path, mailUID, mailGID); err != nil {
			return err
		}
	}
	files := map[string]string{"dovecot-keywords": "0 $Forwarded\n1 $Label1\n"}
	if below {
		files["maildirfolder"] = ""
	}
	for name, text := range files {
		path := filepath.Join(dir, name)
		if _, err := os.Lstat(path); err == nil {
			continue
		}
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			return err
		}
		if err := os.Chown(path, mailUID, mailGID); err != nil {
			return err
		}
	}
	return nil
}

// put writes a letter as Dovecot would name it.
func put(dir string, number int, l letter) error {
	slices.Sort(l.flags)
	size := len(l.octets)
	name := fmt.Sprintf("%d.M%dP1.bench,S=%d,W=%d:2,%s", l.date.Unix(), number, size, size+bytes.Count(l.octets, []byte("\n")), strings.Join(l.flags, ""))
	path := filepath.Join(dir, "cur", name)
	if err := os.WriteFile(path, l.octets, 0o600); err != nil {
		return err
	}
	if err := os.Chtimes(path, l.date, l.date); err != nil {
		return err
	}
	return os.Chown(path, mailUID, mailGID)
}
