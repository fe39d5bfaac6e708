//go:build integration

package main_test

import (
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"postcask/migrate/testserver"
)

// The real program against real servers, killed by SIGKILL at random moments; each time the same command is run again
// and everything is verified. POSTCASK_KILLS says how often for each job and server (make torture wants 200 and more),
// POSTCASK_SEED repeats the moments of an earlier run as far as the machine is as fast.

// torturedMessages is how many messages a job has to move.
const torturedMessages = 120

// A torture is one job under torture.
type torture struct {
	bin    *program
	server *testserver.Server
	env    environment
	random *rand.Rand
	want   mail
	kills  int
	early  int           // how many runs had ended before the kill
	usual  time.Duration // about how long a run takes, as the machine is now
}

// usualKills is how often a job is killed where POSTCASK_KILLS does not say.
var usualKills = map[string]int{"dovecot": 8, "cyrus": 4, "courier": 4}

func TestTorture(t *testing.T) {
	t.Parallel()
	bin, seed := binary(t), number(t, "POSTCASK_SEED", int(time.Now().UnixNano()%1e9))
	t.Logf("POSTCASK_SEED=%d", seed)
	for _, name := range testserver.Named(t) {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			tortureWith(t, bin, testserver.Start(t, name), number(t, "POSTCASK_KILLS", usualKills[name]), uint64(seed))
		})
	}
}

func tortureWith(t *testing.T, bin *program, server *testserver.Server, kills int, seed uint64) {
	server.Users(t, "old")
	for n := range 3*kills + 1 { // before anybody logs in, since a server may look only so often who has come
		server.Users(t, fmt.Sprint("r", n), fmt.Sprint("m", n), fmt.Sprint("p", n))
	}
	seedSmall(t, server, "old", torturedMessages)
	want := account(t, server, "old")
	filled := filepath.Join(t.TempDir(), "filled")
	began := time.Now()
	bin.ok(t, state(t), "backup", imapURL(server, "old"), filled)
	usual := time.Since(began)
	for i, job := range []struct {
		name string
		once func(t *testing.T, x *torture, n int)
	}{
		{"backup to maildir", func(t *testing.T, x *torture, _ int) { x.backup(t, "maildir") }},
		{"backup to mbox", func(t *testing.T, x *torture, _ int) { x.backup(t, "mbox") }},
		{"restore", func(t *testing.T, x *torture, n int) { x.into(t, fmt.Sprint("r", n), "restore", filled) }},
		{"migrate", func(t *testing.T, x *torture, n int) {
			x.into(t, fmt.Sprint("m", n), "migrate", imapURL(server, "old"))
		}},
		{"POP3 with delete", popOnce},
	} {
		t.Run(job.name, func(t *testing.T) {
			t.Parallel()
			x := &torture{usual: usual, bin: bin, server: server, env: state(t), random: rand.New(rand.NewPCG(seed, uint64(i))), want: want}
			for n := 0; x.kills < kills && !t.Failed(); n++ {
				if n > 3*kills {
					t.Fatalf("only %d of %d runs lived long enough to be killed", x.kills, n)
				}
				job.once(t, x, n)
			}
			if t.Failed() {
				return
			}
			t.Logf("%d kills (and %d runs that had ended before): 0 lost, 0 doubled, 0 corrupt", x.kills, x.early)
		})
	}
}

func number(t *testing.T, name string, otherwise int) int {
	t.Helper()
	text := os.Getenv(name)
	if text == "" {
		return otherwise
	}
	n, err := strconv.Atoi(text)
	if err != nil {
		t.Fatalf("%s: %v", name, err)
	}
	return n
}

// seedSmall fills an account with n small messages in a few mailboxes, some of them twins.
func seedSmall(t *testing.T, server *testserver.Server, user string, n int) {
	t.Helper()
	client := testserver.OpenIMAP(t, server, user, "secret")
	defer client.Close()
	names := []string{"INBOX", wireName(server, []string{"Work"}), wireName(server, []string{"Work", "2020"})}
	for _, name := range names[1:] {
		if err := client.Create(name); err != nil {
			t.Fatal(err)
		}
	}
	for i := range n {
		date := time.Date(2015, 1, 1, i%24, i%60, 0, 0, time.UTC).AddDate(0, 0, i).Format(`_2-Jan-2006 15:04:05 -0700`)
		if err := client.Append(names[i%3], []string{`()`, `(\Seen)`, `(\Flagged $Label)`}[i%5%3], date, small(i)); err != nil {
			t.Fatal(err)
		}
	}
}

// small makes a small message; some have a twin in their mailbox.
func small(i int) []byte {
	if i%10 == 3 || i%10 == 6 {
		i = 3
	}
	return fmt.Appendf(nil, "From: me@example.org\r\nSubject: %d\r\nMessage-ID: <%d@example.org>\r\n\r\n%s\r\n", i, i, strings.Repeat("From me\r\n", i%30))
}

// kill runs a command and kills it at a random moment of what such a run takes. It tells how long it ran, and whether it
// had ended before.
func (x *torture) kill(t *testing.T, env environment, args ...string) (took time.Duration, early bool) {
	t.Helper()
	cmd := exec.Command(x.bin.path, args...)
	cmd.Env = env
	began := time.Now()
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	timer := time.AfterFunc(time.Duration(x.random.Int64N(int64(x.usual))), func() { cmd.Process.Kill() })
	err := cmd.Wait()
	timer.Stop()
	if took = time.Since(began); err == nil {
		x.early++
		return took, true
	}
	if cmd.ProcessState.ExitCode() != -1 {
		t.Fatalf("postcask %s: %v before it was killed", strings.Join(args, " "), err)
	}
	x.kills++
	return took, false
}

// twice kills a command some times and then lets it end.
func (x *torture) twice(t *testing.T, args ...string) {
	t.Helper()
	env := append(x.env, "XDG_STATE_HOME="+t.TempDir())
	if took, early := x.kill(t, env, args...); early { // as when the machine has less to do than it had
		x.usual = min(x.usual, took) * 4 / 5
	} else {
		x.usual += x.usual / 12 // so that now and then one ends before
	}
	if x.random.IntN(3) == 0 {
		x.kill(t, env, args...) // the cure too
	}
	if s := x.bin.summary(t, env, args...); s.Exit != 0 || s.Failed+s.Quarantined+s.Filtered != 0 {
		t.Errorf("the run after it: %+v", s)
	}
}

func (x *torture) backup(t *testing.T, format string) {
	archive := filepath.Join(t.TempDir(), "mail")
	x.twice(t, "backup", imapURL(x.server, "old"), archive, "--format", format)
	sameArchive(t, x.want, read(t, archive, format))
	x.whole(t, archive, torturedMessages)
}

// whole verifies an archive: so many messages, nothing damaged, no octets too many.
func (x *torture) whole(t *testing.T, archive string, messages int) {
	t.Helper()
	r := x.bin.run(t, x.env, "verify", archive, "--json")
	lines := strings.Split(strings.TrimSpace(r.stdout), "\n")
	var last struct{ Messages, Damaged, Unnamed int }
	if err := json.Unmarshal([]byte(lines[len(lines)-1]), &last); err != nil || r.exit != 0 || last.Messages != messages || last.Damaged+last.Unnamed != 0 {
		t.Errorf("verify: exit %d, %v, want %d messages\n%s%s", r.exit, err, messages, head(r.stdout), head(r.stderr))
	}
	if err := os.RemoveAll(archive); err != nil {
		t.Error(err)
	}
}

// into moves all mail into a new account of the same server.
func (x *torture) into(t *testing.T, user, command, from string) {
	x.twice(t, command, from, imapURL(x.server, user))
	sameLetters(t, x.want, account(t, x.server, user))
	if err := os.RemoveAll(filepath.Join(x.server.Dir(), "mail", user)); err != nil {
		t.Error(err)
	}
}

// popOnce downloads and deletes a maildrop of its own.
func popOnce(t *testing.T, x *torture, n int) {
	const messages = 40
	user, archive := fmt.Sprint("p", n), filepath.Join(t.TempDir(), "mail")
	client := testserver.OpenIMAP(t, x.server, user, "secret")
	var want []letter
	for i := range messages {
		if err := client.Append("INBOX", `()`, "01-Jan-2020 00:00:00 +0000", small(i)); err != nil {
			t.Fatal(err)
		}
		want = append(want, letter{mailbox: "INBOX", octets: digest(small(i))})
	}
	client.Close()
	x.twice(t, "backup", popURL(x.server, user), archive, "--delete-after", "0")
	got := read(t, archive, "maildir").letters
	for i := range got {
		got[i].date, got[i].flags = time.Time{}, ""
	}
	if diff := cmp.Diff(sorted(want), sorted(got), letters); diff != "" {
		t.Errorf("%d messages, want %d: %s", len(got), len(want), head(diff))
	}
	x.whole(t, archive, messages)
	if left := account(t, x.server, user).letters; len(left) > 0 {
		t.Errorf("%d messages are left on the server", len(left))
	}
	if err := os.RemoveAll(filepath.Join(x.server.Dir(), "mail", user)); err != nil {
		t.Error(err)
	}
}
