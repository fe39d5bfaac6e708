//go:build integration

package main_test

import (
	"bytes"
	"crypto/sha256"
	"fmt"
	"io/fs"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"postcask/migrate/testserver"
)

// The whole circle on each real server: account → archive → another account → archive again, in both formats, with
// octets, internal dates, flags, keywords and names equal message by message, and nothing moved by a second run. What
// the accounts hold is read by testserver's own client, what the archives hold by a reader of this file's own.

// circled is how many messages go around: some groups of one mailbox, and some mailboxes.
const circled = 800

func TestCircle(t *testing.T) {
	t.Parallel()
	bin := binary(t)
	for _, name := range testserver.Named(t) {
		t.Run(name, func(t *testing.T) {
			t.Parallel() // most of it is waiting for the server's disk
			server := testserver.Start(t, name)
			server.Users(t, "old", "newmaildir", "newmbox", "oncemore", "popped")
			seed(t, server, "old", circled)
			want := account(t, server, "old")
			for _, format := range []string{"maildir", "mbox"} {
				t.Run(format, func(t *testing.T) { circle(t, bin, server, format, want) })
			}
			t.Run("migrate", func(t *testing.T) {
				from, to := imapURL(server, "old"), imapURL(server, "oncemore")
				env := state(t)
				first := bin.summary(t, env, "migrate", from, to)
				first.expect(t, 0, circled, circled)
				sameAccount(t, want, account(t, server, "oncemore"))
				bin.summary(t, env, "migrate", from, to).expect(t, 0, circled, 0)
				bin.summary(t, state(t), "migrate", from, to).expect(t, 0, circled, 0) // with its ledger lost
				sameAccount(t, want, account(t, server, "oncemore"))
			})
			t.Run("pop3", func(t *testing.T) { popCircle(t, bin, server, want) })
		})
	}
}

func circle(t *testing.T, bin *program, server *testserver.Server, format string, want mail) {
	from, to := imapURL(server, "old"), imapURL(server, "new"+format)
	first, second := filepath.Join(t.TempDir(), "first"), filepath.Join(t.TempDir(), "second")
	env := state(t)
	bin.summary(t, env, "backup", from, first, "--format", format).expect(t, 0, circled, circled)
	bin.summary(t, env, "backup", from, first).expect(t, 0, circled, 0)
	sameArchive(t, want, read(t, first, format))
	bin.ok(t, env, "verify", first)
	bin.ok(t, env, "verify", first, "--against", from)

	bin.summary(t, env, "restore", first, to).expect(t, 0, circled, circled)
	sameAccount(t, want, account(t, server, "new"+format))
	bin.summary(t, env, "restore", first, to).expect(t, 0, circled, 0)
	bin.summary(t, state(t), "restore", first, to).expect(t, 0, circled, 0) // with its ledger lost
	sameAccount(t, want, account(t, server, "new"+format))

	bin.summary(t, env, "backup", to, second, "--format", format).expect(t, 0, circled, circled)
	sameArchive(t, want, read(t, second, format))
	bin.ok(t, env, "verify", second, "--against", from)
}

// popCircle moves INBOX by POP3, into an archive and into another account.
func popCircle(t *testing.T, bin *program, server *testserver.Server, want mail) {
	var inbox []letter
	for _, l := range want.letters {
		if l.mailbox == "INBOX" {
			l.flags = ""         // POP3 knows neither flags
			l.date = time.Time{} // nor the internal date
			inbox = append(inbox, l)
		}
	}
	archive := filepath.Join(t.TempDir(), "archive")
	env := state(t)
	from := popURL(server, "old")
	bin.summary(t, env, "backup", from, archive).expect(t, 0, len(inbox), len(inbox))
	bin.summary(t, env, "backup", from, archive).expect(t, 0, len(inbox), 0)
	bin.ok(t, env, "verify", archive, "--against", from)
	undated := func(letters []letter) []letter {
		for i := range letters {
			letters[i].date, letters[i].flags = time.Time{}, ""
		}
		return sorted(letters)
	}
	if diff := cmp.Diff(sorted(inbox), undated(read(t, archive, "maildir").letters), letters); diff != "" {
		t.Errorf("the archive is not as the maildrop: %s", head(diff))
	}
	bin.summary(t, env, "migrate", from, imapURL(server, "popped")).expect(t, 0, len(inbox), len(inbox))
	bin.summary(t, env, "migrate", from, imapURL(server, "popped")).expect(t, 0, len(inbox), 0)
	if diff := cmp.Diff(sorted(inbox), undated(account(t, server, "popped").letters), letters); diff != "" {
		t.Errorf("the account is not as the maildrop: %s", head(diff))
	}
	bin.summary(t, env, "backup", imapURL(server, "old")+"&connections=1", archive, "--folder", "INBOX").expect(t, 0, len(inbox), 0) // the same mail over IMAP
}

// A letter is a message in a form that can be compared: which octets, where, when, with which flags.
type letter struct {
	mailbox string // parts joined by "/"
	octets  string // SHA-256
	date    time.Time
	flags   string
}

var letters = cmp.AllowUnexported(letter{})

// mail is all that an account or an archive holds.
type mail struct {
	mailboxes  []string
	subscribed []string
	letters    []letter
}

func sorted(letters []letter) []letter {
	slices.SortFunc(letters, func(a, b letter) int {
		return strings.Compare(a.mailbox+a.octets+a.date.String()+a.flags, b.mailbox+b.octets+b.date.String()+b.flags)
	})
	return letters
}

func sameAccount(t *testing.T, want, got mail) {
	t.Helper()
	if diff := cmp.Diff(want.mailboxes, got.mailboxes); diff != "" {
		t.Errorf("mailboxes: %s", head(diff))
	}
	if diff := cmp.Diff(want.subscribed, got.subscribed); diff != "" {
		t.Errorf("subscriptions: %s", head(diff))
	}
	sameLetters(t, want, got)
}

func sameLetters(t *testing.T, want, got mail) {
	t.Helper()
	if diff := cmp.Diff(want.letters, got.letters, letters); diff != "" {
		t.Errorf("%d messages, want %d: %s", len(got.letters), len(want.letters), head(diff))
	}
}

// sameArchive compares what files can carry: an mbox has no flags.
func sameArchive(t *testing.T, want, got mail) {
	t.Helper()
	if len(got.letters) > 0 && got.letters[0].flags == "-" {
		want.letters = slices.Clone(want.letters)
		for i := range want.letters {
			want.letters[i].flags = "-"
		}
		sorted(want.letters)
	}
	if diff := cmp.Diff(want.mailboxes, got.mailboxes); diff != "" {
		t.Errorf("mailboxes: %s", head(diff))
	}
	sameLetters(t, want, got)
}

func head(text string) string { return text[:min(len(text), 3000)] }

// seed fills an account through the raw client: n messages in 8 mailboxes, half of them in INBOX.
func seed(t *testing.T, server *testserver.Server, user string, n int) {
	t.Helper()
	client := testserver.OpenIMAP(t, server, user, "secret")
	mailboxes := [][]string{{"INBOX"}, {"Work"}, {"Work", "2019"}, {"Work", "2019", "Q&A"}, {"Entwürfe"}, {"日本語", "受信"}, {"Old Mail (1)"}, {"Archiv", "~x & y", "Ünï [2]"}}
	names := make([]string, len(mailboxes))
	for i, parts := range mailboxes {
		names[i] = wireName(server, parts)
		if i > 0 {
			if err := client.Create(names[i]); err != nil {
				t.Fatal(err)
			}
		}
		if i%2 == 0 {
			if err := client.Subscribe(names[i]); err != nil {
				t.Fatal(err)
			}
		}
	}
	random := rand.New(rand.NewPCG(1, uint64(n)))
	flagSets := []string{`()`, `(\Seen)`, `(\Seen \Answered)`, `(\Flagged $Forwarded)`, `(\Seen $Label1 NonJunk)`, `(\Draft)`, `(\Deleted \Seen)`}
	zones := []int{0, 3600, -5 * 3600, 19800, 12 * 3600}
	for i := range n {
		at := i % len(mailboxes)
		if i%2 == 0 {
			at = 0
		}
		date := time.Date(2010, 1, 1, 0, 0, 0, 0, time.UTC).Add(time.Duration(i) * 15 * 365 * 24 * time.Hour / time.Duration(n)).
			Truncate(time.Second).In(time.FixedZone("", zones[i%len(zones)]))
		if err := client.Append(names[at], flagSets[random.IntN(len(flagSets))], date.Format(`_2-Jan-2006 15:04:05 -0700`), body(i, random)); err != nil {
			t.Fatal(err)
		}
	}
}

// body makes a message; one in forty has a twin.
func body(i int, random *rand.Rand) []byte {
	if i%40 == 39 {
		return []byte("Subject: twin\r\nMessage-ID: <twin@example.org>\r\n\r\nthe same octets\r\n")
	}
	var b bytes.Buffer
	fmt.Fprintf(&b, "From: Someone <someone@example.org>\r\nTo: me@example.net\r\nSubject: =?utf-8?q?n=C2=BA?= %d\r\nMessage-ID: <%d@example.org>\r\n"+
		"Date: Tue, 01 Jan 2019 10:00:00 +0000\r\nMIME-Version: 1.0\r\nContent-Type: text/plain; charset=utf-8\r\nContent-Transfer-Encoding: 8bit\r\n\r\n", i, i)
	lines := []string{"From the beginning", ">From quoted", ">>From twice", ".", "..", ".dot", "", "Grüße, 日本語", " From indented", strings.Repeat("long ", 100)}
	for range random.IntN(60) {
		b.WriteString(lines[random.IntN(len(lines))] + "\r\n")
	}
	if i%100 == 50 {
		b.WriteString(strings.Repeat(strings.Repeat("0123456789abcdef", 4)+"\r\n", 8000)) // half a megabyte
	}
	return b.Bytes()
}

// account reads all that an account holds.
func account(t *testing.T, server *testserver.Server, user string) mail {
	t.Helper()
	client := testserver.OpenIMAP(t, server, user, "secret")
	defer client.Close()
	mailboxes, err := client.Mailboxes()
	if err != nil {
		t.Fatal(err)
	}
	var all mail
	for _, mbox := range mailboxes {
		path := plainName(t, server, mbox.Name)
		if slices.Contains(mbox.Attributes, `\Noselect`) || slices.Contains(mbox.Attributes, `\NonExistent`) {
			continue
		}
		all.mailboxes = append(all.mailboxes, path)
		messages, err := client.Messages(mbox.Name)
		if err != nil {
			t.Fatalf("%s: %v", mbox.Name, err)
		}
		for _, m := range messages {
			date, err := time.Parse(`_2-Jan-2006 15:04:05 -0700`, m.InternalDate)
			if err != nil {
				t.Fatal(err)
			}
			slices.Sort(m.Flags)
			all.letters = append(all.letters, letter{path, digest(m.Body), date.UTC(), strings.Join(m.Flags, " ")})
		}
	}
	names, err := client.Subscribed()
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range names {
		all.subscribed = append(all.subscribed, plainName(t, server, name))
	}
	slices.Sort(all.mailboxes)
	slices.Sort(all.subscribed)
	all.subscribed = slices.Compact(all.subscribed)
	sorted(all.letters)
	return all
}

func digest(octets []byte) string { return fmt.Sprintf("%x", sha256.Sum256(octets)) }

// read reads an archive's files, as docs/archive-format.md tells any reader to.
func read(t *testing.T, dir, format string) mail {
	t.Helper()
	var all mail
	err := filepath.WalkDir(dir, func(path string, entry fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		name := plainDir(t, dir, path)
		switch {
		case entry.Name() == ".postcask":
			return filepath.SkipDir
		case format == "maildir" && entry.IsDir() && entry.Name() == "cur":
			name = plainDir(t, dir, filepath.Dir(path))
			all.mailboxes = append(all.mailboxes, name)
			all.letters = append(all.letters, readMaildir(t, name, filepath.Dir(path))...)
			return nil
		case format == "mbox" && strings.HasSuffix(path, ".mbox"):
			name = strings.TrimSuffix(name, ".mbox")
			all.mailboxes = append(all.mailboxes, name)
			all.letters = append(all.letters, readMbox(t, name, path)...)
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	slices.Sort(all.mailboxes)
	sorted(all.letters)
	return all
}

func readMaildir(t *testing.T, mailbox, dir string) []letter {
	t.Helper()
	keywords := map[byte]string{}
	if table, err := os.ReadFile(filepath.Join(dir, "dovecot-keywords")); err == nil {
		for line := range strings.Lines(string(table)) {
			var n int
			var keyword string
			if _, err := fmt.Sscan(line, &n, &keyword); err != nil {
				t.Fatal(err)
			}
			keywords[byte('a'+n)] = keyword
		}
	}
	system := map[byte]string{'D': `\Draft`, 'F': `\Flagged`, 'R': `\Answered`, 'S': `\Seen`, 'T': `\Deleted`}
	entries, err := os.ReadDir(filepath.Join(dir, "cur"))
	if err != nil {
		t.Fatal(err)
	}
	var all []letter
	for _, entry := range entries {
		file := filepath.Join(dir, "cur", entry.Name())
		octets, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		info, err := entry.Info()
		if err != nil {
			t.Fatal(err)
		}
		_, info2, _ := strings.Cut(entry.Name(), ":2,")
		var flags []string
		for i := range len(info2) {
			if flag, ok := system[info2[i]]; ok {
				flags = append(flags, flag)
			} else if info2[i] != 'P' { // "passed" stands beside the keyword $Forwarded
				flags = append(flags, keywords[info2[i]])
			}
		}
		slices.Sort(flags)
		all = append(all, letter{mailbox, digest(wireForm(octets)), info.ModTime().UTC(), strings.Join(flags, " ")})
	}
	return all
}

// readMbox splits an mboxrd file: every line that begins with "From " begins a message, since those inside are quoted.
func readMbox(t *testing.T, mailbox, file string) []letter {
	t.Helper()
	octets, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	var all []letter
	texts := strings.Split("\n"+string(octets), "\nFrom ")[1:]
	for i, text := range texts {
		first, rest, _ := strings.Cut(text, "\n")
		date, err := time.Parse("Mon Jan _2 15:04:05 2006", first[strings.IndexByte(first, ' ')+1:])
		if err != nil {
			t.Fatalf("%s: message %d: %v", file, i, err)
		}
		if i == len(texts)-1 { // the others lost the line end of their blank line to the separator
			rest = strings.TrimSuffix(rest, "\n")
		}
		var lines []string
		for line := range strings.SplitSeq(rest, "\n") {
			if strings.HasPrefix(line, ">") && strings.HasPrefix(strings.TrimLeft(line, ">"), "From ") {
				line = line[1:]
			}
			lines = append(lines, line)
		}
		all = append(all, letter{mailbox, digest(wireForm([]byte(strings.Join(lines, "\n")))), date.UTC(), "-"})
	}
	return all
}

// wireForm turns LF into CRLF; the seeded messages have no other line ends.
func wireForm(octets []byte) []byte { return bytes.ReplaceAll(octets, []byte("\n"), []byte("\r\n")) }
