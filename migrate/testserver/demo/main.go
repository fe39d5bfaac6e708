// Command demo shows what postcask does, with nothing installed: it starts mail servers in memory that hold sample mail
// and runs the built binary against them, as a user would.
//
//	go run ./migrate/testserver/demo bin/postcask
package main

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"postcask/migrate/testserver"
)

func main() {
	if len(os.Args) != 2 {
		fmt.Fprintln(os.Stderr, "demo: error: the path of the postcask binary is wanted")
		os.Exit(2)
	}
	if err := run(os.Args[1]); err != nil {
		fmt.Fprintln(os.Stderr, "demo: error:", err)
		os.Exit(1)
	}
}

// password opens every account of the demo; commands get it by POSTCASK_PASSWORD.
const password = "demo"

func run(binary string) (err error) {
	binary, err = filepath.Abs(binary)
	if err != nil {
		return err
	}
	dir, err := os.MkdirTemp("", "postcask-demo-")
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(dir)) }()
	old, err := testserver.RunIMAP(testserver.IMAPOptions{})
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, old.Stop()) }()
	provider, err := testserver.RunIMAP(testserver.IMAPOptions{})
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, provider.Stop()) }()
	maildrop, err := testserver.RunPOP3(testserver.POP3Options{})
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, maildrop.Stop()) }()
	if err := fill(old, provider, maildrop); err != nil {
		return err
	}
	d := demo{binary: binary, dir: dir}
	from := d.endpoint("imaps", old.IMAPSAddr, old.CAFile, "old.pem")
	drop := d.endpoint("pop3s", maildrop.POP3SAddr, maildrop.CAFile, "drop.pem")
	to := d.endpoint("imaps", provider.IMAPSAddr, provider.CAFile, "new.pem")

	d.say("An IMAP account is saved into an archive of plain Maildirs.")
	d.do("backup", from, "mail")
	d.say("Again, as cron would each night: nothing is new, nothing moves.")
	d.do("backup", from, "mail")
	d.say("A POP3 maildrop is saved too, as mbox. Its mail stays on the server.")
	d.do("backup", drop, "maildrop", "--format", "mbox")
	d.say("What is in the archive?")
	d.do("ls", "mail")
	d.say("May the account be closed? Every octet is hashed again, and every message of the server looked for.")
	d.do("verify", "mail", "--against", from)
	d.say("The archive goes into an empty account elsewhere. There, sent mail is called \"Sent Items\".")
	d.do("restore", "mail", to)
	d.say("The maildrop goes straight there, server to server, into a folder of its own.")
	d.do("migrate", drop, to, "--under", "From POP3")
	d.say("Once more: nothing is doubled.")
	d.do("restore", "mail", to)
	if d.err != nil {
		return d.err
	}
	return compare(old, provider, maildrop)
}

// demo runs commands one after the other, until one fails.
type demo struct {
	binary, dir string
	err         error
}

// endpoint gives the URL of an account, with its server's authority at hand as name.
func (d *demo) endpoint(scheme, addr, ca, name string) string {
	pem, err := os.ReadFile(ca)
	if err == nil {
		err = os.WriteFile(filepath.Join(d.dir, name), pem, 0o600)
	}
	d.err = errors.Join(d.err, err)
	return scheme + "://me%40example.org@" + addr + "?ca=" + name
}

func (d *demo) say(text string) {
	if d.err == nil {
		fmt.Printf("\n# %s\n", text)
	}
}

func (d *demo) do(args ...string) {
	if d.err != nil {
		return
	}
	quoted := slices.Clone(args)
	for i, arg := range quoted {
		if strings.ContainsAny(arg, " ?&") {
			quoted[i] = "'" + arg + "'"
		}
	}
	fmt.Printf("$ postcask %s\n", strings.Join(quoted, " "))
	cmd := exec.Command(d.binary, args...)
	cmd.Dir, cmd.Stdout, cmd.Stderr = d.dir, os.Stdout, os.Stderr
	cmd.Env = append(os.Environ(), "POSTCASK_PASSWORD="+password, "POSTCASK_SOURCE_PASSWORD="+password, "POSTCASK_DESTINATION_PASSWORD="+password,
		"XDG_STATE_HOME="+filepath.Join(d.dir, "state"), "XDG_CONFIG_HOME="+d.dir)
	if err := cmd.Run(); err != nil {
		d.err = fmt.Errorf("postcask %s: %w", args[0], err)
	}
}

const user = "me@example.org"

// fill puts sample mail on the servers.
func fill(old, provider *testserver.IMAP, maildrop *testserver.POP3) error {
	for _, add := range []func(name, password string) error{old.AddUser, provider.AddUser, maildrop.AddUser} {
		if err := add(user, password); err != nil {
			return err
		}
	}
	if err := provider.CreateMailbox(user, "Sent Items", `\Sent`); err != nil {
		return err
	}
	flags := [][]string{{`\Seen`}, {}, {`\Seen`, `\Answered`}, {`\Flagged`, "$Forwarded"}, {`\Seen`, "$Label1"}}
	for i, mailbox := range []string{"INBOX", "Sent", "Work", "Work/2019", "Work/2020", "Familie & Freunde", "日本語"} {
		if mailbox != "INBOX" {
			var attributes []string
			if mailbox == "Sent" {
				attributes = []string{`\Sent`}
			}
			if err := old.CreateMailbox(user, mailbox, attributes...); err != nil {
				return err
			}
		}
		for n := range 40 + 30*(i%3) {
			date := time.Date(2012+i, time.Month(1+n%12), 1+n%28, n%24, n%60, 0, 0, time.FixedZone("", 3600*(i-3)))
			if _, err := old.Deliver(user, mailbox, testserver.Mail{Flags: flags[n%len(flags)], Date: date, Octets: sample(mailbox, n, date)}); err != nil {
				return err
			}
		}
	}
	for n := range 25 {
		date := time.Date(2021, 3, 1+n, 9, 30, 0, 0, time.UTC)
		maildrop.Deliver(user, sample("maildrop", n, date))
	}
	return nil
}

// sample makes a message with the lines that careless tools change.
func sample(mailbox string, n int, date time.Time) []byte {
	return fmt.Appendf(nil, "Date: %s\r\nFrom: Someone <someone@example.net>\r\nTo: %s\r\nSubject: message %d\r\nMessage-ID: <%d.%x@example.net>\r\n\r\n"+
		"From the beginning of a line\r\n>From one quoted before\r\n.\r\n..and dots\r\n%s\r\n",
		date.Format(time.RFC1123Z), user, n, n, mailbox, strings.Repeat("text of the message\r\n", n*n))
}

// compare looks into the servers themselves: each message has to be there exactly once, with octets, date and flags.
func compare(old, provider *testserver.IMAP, maildrop *testserver.POP3) error {
	count := 0
	for _, mailbox := range old.Mailboxes(user) {
		want, err := old.Messages(user, mailbox)
		if err != nil {
			return err
		}
		there := mailbox
		if mailbox == "Sent" {
			there = "Sent Items"
		}
		got, err := provider.Messages(user, there)
		if err != nil {
			return err
		}
		if len(got) != len(want) {
			return fmt.Errorf("%s: %d messages arrived of %d", mailbox, len(got), len(want))
		}
		left := map[string]int{}
		for _, m := range want {
			left[fingerprint(m)]++
		}
		for _, m := range got {
			if left[fingerprint(m)]--; left[fingerprint(m)] < 0 {
				return fmt.Errorf("%s: a message did not come through as it was", mailbox)
			}
		}
		count += len(want)
	}
	drop := maildrop.Messages(user)
	moved, err := provider.Messages(user, "From POP3/INBOX")
	if err != nil {
		return err
	}
	if len(moved) != len(drop) {
		return fmt.Errorf("%d messages of the maildrop arrived of %d", len(moved), len(drop))
	}
	for i, m := range moved {
		if string(m.Octets) != string(drop[i].Octets) {
			return fmt.Errorf("a message of the maildrop did not come through as it was")
		}
	}
	fmt.Printf("\nLooked at from inside the servers: all %d messages of the IMAP account and all %d of the maildrop are in the new account,\n"+
		"exactly once, the same to the octet; those from IMAP with their dates, flags and keywords.\n", count, len(drop))
	return nil
}

func fingerprint(m testserver.Mail) string {
	flags := slices.Clone(m.Flags)
	slices.Sort(flags)
	return fmt.Sprintf("%d %q %q", m.Date.Unix(), flags, m.Octets)
}
