//go:build linux

package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"time"

	"postcask/migrate/testserver"
)

// A bench is the server with its accounts, and what is measured on it.
type bench struct {
	dir            string
	postcask, self string // programs
	scale          scale
	tell           io.Writer // of how far it is

	server           *testserver.Server
	imapFar, pop3Far *delayLine // the same server, a long way off
	manifests        map[string]*manifest
	peers            map[string]string // the version of each that is there
}

// roundTrip is how far off the far server is: a continent away.
const roundTrip = 50 * time.Millisecond

const password = "secret"

// seed of the accounts' mail, and of what comes in later.
const corpusSeed = 1

// The accounts that are worked on.
const (
	large    = "large"
	small    = "small"
	largePOP = "large-pop" // half as many messages, all in INBOX
	smallPOP = "small-pop"
	huge     = "huge" // one message
)

// open starts the server and fills it.
func (b *bench) open(ctx context.Context) (err error) {
	if b.self, err = os.Executable(); err != nil {
		return err
	}
	dir := filepath.Join(b.dir, "dovecot")
	if err := os.Mkdir(dir, 0o755); err != nil {
		return err
	}
	// As Debian installs it, but that it offers to compress, and that all mail is made safe as a server has to. Everybody
	// logs in with the password as it is: what hides it takes a round trip or two more, and not all of them know it.
	b.server, err = testserver.RunDovecot(dir, testserver.DovecotOptions{Location: "maildir:~/Maildir", Mechanisms: []string{"plain", "login"},
		Extra: "mail_fsync = optimized\nmail_plugins = zlib\nprotocol imap {\n mail_plugins = zlib imap_zlib\n}"})
	if err != nil {
		return err
	}
	if err := b.fill(ctx); err != nil {
		return errors.Join(err, b.close())
	}
	return nil
}

func (b *bench) fill(ctx context.Context) (err error) {
	if b.imapFar, err = newDelayLine(b.server.IMAPAddr, roundTrip/2); err != nil {
		return err
	}
	if b.pop3Far, err = newDelayLine(b.server.POP3Addr, roundTrip/2); err != nil {
		return err
	}
	b.manifests, b.peers = map[string]*manifest{}, findPeers()
	if err := b.addUsers(); err != nil {
		return err
	}
	for _, account := range []struct {
		name     string
		messages int
		flat     bool
	}{{large, b.scale.large, false}, {small, b.scale.small, false}, {largePOP, b.scale.large / 2, true}, {smallPOP, b.scale.small / 2, true}} {
		fmt.Fprintf(b.tell, "filling %s: %d messages\n", account.name, account.messages)
		m := newManifest()
		if err := plant(ctx, b.maildir(account.name), corpusSeed, 1, account.messages, account.flat, m); err != nil {
			return err
		}
		b.manifests[account.name] = m
	}
	b.manifests[huge] = newManifest()
	if err := plantHuge(b.maildir(huge), corpusSeed, b.scale.huge, b.manifests[huge]); err != nil {
		return err
	}
	return b.warm()
}

// warm has the server make its own indexes, so that no program has to wait for that.
func (b *bench) warm() error {
	for name := range b.manifests {
		if out, err := b.server.Doveadm("-o", "mail_fsync=never", "index", "-u", name, "*"); err != nil {
			return fmt.Errorf("warm up %s: %w: %s", name, err, out)
		}
	}
	return nil
}

func (b *bench) close() error {
	var errs []error
	for _, line := range []*delayLine{b.imapFar, b.pop3Far} {
		if line != nil {
			errs = append(errs, line.close())
		}
	}
	return errors.Join(append(errs, b.server.Stop())...)
}

// mostRooms is how many programs at most do one job.
const mostRooms = 8

// addUsers makes all accounts before the server is first asked for one: it looks into the file once a second at most.
func (b *bench) addUsers() error {
	names := []string{large, small, largePOP, smallPOP, huge}
	for i := range mostRooms {
		names = append(names, sourceOf(i), destinationOf(i))
	}
	for _, name := range names {
		if err := b.server.AddUser(name, password); err != nil {
			return err
		}
		if err := b.empty(name); err != nil {
			return err
		}
	}
	return nil
}

// The accounts of the program in the nth room.
func sourceOf(n int) string      { return fmt.Sprintf("source-%d", n) }
func destinationOf(n int) string { return fmt.Sprintf("destination-%d", n) }

// empty takes all mail from an account.
func (b *bench) empty(user string) error {
	home := b.home(user)
	if err := os.RemoveAll(home); err != nil {
		return err
	}
	if err := os.Mkdir(home, 0o700); err != nil {
		return err
	}
	return os.Chown(home, mailUID, mailGID)
}

func (b *bench) home(user string) string    { return filepath.Join(b.server.Dir(), "mail", user) }
func (b *bench) maildir(user string) string { return filepath.Join(b.home(user), "Maildir") }

// clone gives an account the mail and the server's indexes of another: messages as hard links, since nobody writes to
// one, and the rest as copies.
func (b *bench) clone(from, to string) error {
	if err := b.empty(to); err != nil {
		return err
	}
	source, target := b.home(from), b.home(to)
	return filepath.WalkDir(source, func(path string, entry fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		relative, err := filepath.Rel(source, path)
		if err != nil || relative == "." {
			return err
		}
		there := filepath.Join(target, relative)
		switch {
		case entry.IsDir():
			err = os.Mkdir(there, 0o700)
		case isMessage(path):
			return os.Link(path, there)
		default:
			var octets []byte
			if octets, err = os.ReadFile(path); err == nil {
				err = os.WriteFile(there, octets, 0o600)
			}
		}
		if err != nil {
			return err
		}
		return os.Chown(there, mailUID, mailGID)
	})
}

// isMessage tells whether a file of a Maildir holds a message.
func isMessage(path string) bool {
	switch filepath.Base(filepath.Dir(path)) {
	case "cur", "new":
		return !strings.HasPrefix(filepath.Base(path), "dovecot")
	}
	return false
}

// imapAddr is where an IMAP client is to connect; pop3Addr the same for POP3.
func (b *bench) imapAddr(far bool) string {
	if far {
		return b.imapFar.addr
	}
	return b.server.IMAPAddr
}

func (b *bench) pop3Addr(far bool) string {
	if far {
		return b.pop3Far.addr
	}
	return b.server.POP3Addr
}
