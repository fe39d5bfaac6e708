//go:build unix

package main

import (
	"errors"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"postcask/migrate/testserver"
)

// Nobody but the user can read what the program leaves behind: archives, ledgers, locks, sums and the log file, whatever
// the umask.
func TestNobodyElseReadsWhatIsWritten(t *testing.T) {
	t.Parallel()
	server, next := testserver.StartIMAP(t), testserver.StartIMAP(t)
	for _, s := range []*testserver.IMAP{server, next} {
		if err := s.AddUser("me", canary); err != nil {
			t.Fatal(err)
		}
	}
	for i := range 4 {
		if _, err := server.Deliver("me", "INBOX", testserver.Mail{Flags: someFlags(i), Date: someDay(i), Octets: letter("INBOX", i)}); err != nil {
			t.Fatal(err)
		}
	}
	from, to := "imaps://me@"+server.IMAPSAddr+"?ca="+server.CAFile, "imaps://me@"+next.IMAPSAddr+"?ca="+next.CAFile
	for _, mask := range []string{"000", "022", "077"} {
		t.Run(mask, func(t *testing.T) {
			t.Parallel()
			dir := t.TempDir()
			for _, args := range [][]string{
				{"backup", from, "maildir"}, {"backup", from, "mbox", "--format", "mbox"}, {"migrate", from, to}, {"restore", "maildir", to}, {"verify", "mbox", "--against", from},
			} {
				args = append(args, "--log-file", "log", "-vv", "--quiet")
				cmd := exec.Command("sh", append([]string{"-c", "umask " + mask + ` && exec postcask "$@"`, "sh"}, args...)...)
				cmd.Dir = dir
				cmd.Env = append(os.Environ(), "POSTCASK_PASSWORD="+canary, "XDG_STATE_HOME="+filepath.Join(dir, "state"), "HOME="+dir)
				if out, err := cmd.CombinedOutput(); err != nil {
					t.Fatalf("%v: %v\n%s", args, err, out)
				}
			}
			seen := map[string]bool{}
			err := filepath.WalkDir(dir, func(path string, e fs.DirEntry, err error) error {
				if err != nil || path == dir || path == filepath.Join(dir, "state") && e.IsDir() {
					return err
				}
				info, err := e.Info()
				if err == nil && info.Mode().Perm()&0o077 != 0 {
					t.Errorf("%s has mode %v", path, info.Mode())
				}
				seen[filepath.Base(path)] = true
				return err
			})
			names := make([]string, 0, len(seen))
			for name := range seen {
				names = append(names, name)
			}
			all := strings.Join(names, " ")
			for _, name := range []string{"index.db", "archive.json", "lock", "log", "INBOX.mbox", "cur", ".db.lock"} {
				if !strings.Contains(all, name) {
					err = errors.Join(err, errors.New("there is no "+name))
				}
			}
			if err != nil {
				t.Error(err)
			}
		})
	}
}
