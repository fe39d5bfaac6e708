package ledger

import (
	"bytes"
	"crypto/sha256"
	"database/sql"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"testing"

	sqlite3 "modernc.org/sqlite/lib"

	"postcask/migrate"
)

// aged gives the path of a ledger as a program of that version left it: its pages without sums, and a seal beside it.
func aged(t *testing.T, was int) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "old.db")
	execute(t, filled(t), fmt.Sprintf(`VACUUM INTO 'file:%s?reserve=0&vfs=disk'`, path))
	old, err := sql.Open("sqlite", "file:"+path)
	must(t, err)
	steps := []string{
		`DROP TRIGGER entries_insert`, `DROP TRIGGER entries_delete`, `DROP TRIGGER entries_update`,
		`ALTER TABLE boxes DROP COLUMN arrived`,
		`CREATE INDEX messages_trimmed ON messages (trimmed, mailbox)`,
		`INSERT INTO meta VALUES ('seal', 'TOKEN')`,
	}
	if was == 1 {
		for _, column := range []string{"listed_size", "listed_date", "tried", "program", `"limit"`} {
			steps = append(steps, "ALTER TABLE entries DROP COLUMN "+column)
		}
	}
	for _, step := range append(steps, fmt.Sprintf(`PRAGMA user_version = %d`, was), `PRAGMA journal_mode = wal`) {
		_, err := old.ExecContext(t.Context(), step)
		must(t, err)
	}
	must(t, old.Close())
	octets, err := os.ReadFile(path)
	must(t, err)
	sum := sha256.Sum256(octets)
	must(t, os.WriteFile(path+sealSuffix, []byte("TOKEN "+hex.EncodeToString(sum[:])+"\n"), 0o600))
	return path
}

// files names what lies beside path, without the part they have in common.
func filesOf(t *testing.T, path string) []string {
	t.Helper()
	names, err := filepath.Glob(path + "*")
	must(t, err)
	for i := range names {
		names[i] = strings.TrimPrefix(names[i], path)
	}
	return names
}

func TestALedgerOfAnOlderVersionIsReadAsItIsAndUpgraded(t *testing.T) {
	for was := 1; was < version; was++ {
		t.Run(fmt.Sprint(was), func(t *testing.T) {
			path := aged(t, was)
			want, keys := many(filledRows, "INBOX")
			before, err := os.ReadFile(path)
			must(t, err)
			reader, err := Open(t.Context(), path, Options{ReadOnly: true})
			must(t, err)
			l := ledgerOf(t, reader)
			same(t, "read only", lookup(t, l, "INBOX", keys...), want)
			same(t, "read only, all", all(t, l.Entries(t.Context(), "INBOX")), want)
			same(t, "read only, claims", all(t, l.Claims(t.Context(), "INBOX")), want)
			n, err := l.Count(t.Context(), "INBOX")
			must(t, errors.Join(err, reader.Check(t.Context()), reader.Close()))
			same(t, "read only, count", n, int64(filledRows))
			after, err := os.ReadFile(path)
			must(t, err)
			if !bytes.Equal(before, after) {
				t.Error("to read has changed it")
			}

			must(t, os.WriteFile(path+newSuffix, []byte("of an upgrade that was cut off"), 0o644))
			db := openAt(t, path)
			same(t, "upgraded", lookup(t, ledgerOf(t, db), "INBOX", keys...), want)
			n, err = ledgerOf(t, db).Count(t.Context(), "INBOX")
			must(t, err)
			same(t, "count", n, int64(filledRows))
			want[0].Listed = migrate.Listed{Size: 12}
			must(t, ledgerOf(t, db).Record(t.Context(), "INBOX", want[:1]))
			same(t, "written to", lookup(t, ledgerOf(t, db), "INBOX", keys[:2]...), want[:2])
			must(t, errors.Join(db.Check(t.Context()), db.Close()))
			same(t, "files", filesOf(t, path), []string{""})
			info, err := os.Stat(path)
			must(t, err)
			same(t, "permissions", info.Mode().Perm(), fs.FileMode(0o600))
			must(t, opened(t, path, Options{}))
		})
	}
}

// What the seal of an older version tells to be damaged is not given sums that say it is sound.
func TestADamagedLedgerOfAnOlderVersionIsNotUpgraded(t *testing.T) {
	path := aged(t, 2)
	whole, err := os.ReadFile(path)
	must(t, err)
	whole[len(whole)-1] ^= 1
	must(t, os.WriteFile(path, whole, 0o600))
	if _, err := Open(t.Context(), path, Options{}); migrate.KindOf(err) != migrate.Damaged {
		t.Errorf("got %v", err)
	}
	must(t, os.WriteFile(path+sealSuffix, []byte("OTHER 00\n"), 0o600)) // of another state, as after a crash
	must(t, opened(t, path, Options{}))
}

// A seal or a copy that is a link leads nowhere.
func TestALinkBesideALedgerOfAnOlderVersionIsNotFollowed(t *testing.T) {
	path := aged(t, 2)
	victim := filepath.Join(t.TempDir(), "victim")
	must(t, os.WriteFile(victim, []byte("precious"), 0o600))
	must(t, os.Remove(path+sealSuffix))
	must(t, os.Symlink(victim, path+sealSuffix))
	if err := opened(t, path, Options{}); migrate.KindOf(err) != migrate.Unsafe {
		t.Errorf("got %v", err)
	}
	must(t, os.Remove(path+sealSuffix))
	must(t, os.Symlink(victim, path+newSuffix))
	must(t, opened(t, path, Options{}))
	content, err := os.ReadFile(victim)
	must(t, err)
	same(t, "behind the link", string(content), "precious")
}

// While somebody reads a ledger of an older version, nobody exchanges it.
func TestALedgerOfAnOlderVersionThatIsReadIsLocked(t *testing.T) {
	path := aged(t, 2)
	reader, err := Open(t.Context(), path, Options{ReadOnly: true})
	must(t, err)
	defer closeDB(t, reader)
	if _, err := open(t.Context(), path, Options{}, 0); migrate.KindOf(err) != migrate.Locked {
		t.Errorf("got %v", err)
	}
	_, keys := many(filledRows, "INBOX")
	same(t, "read meanwhile", lookup(t, ledgerOf(t, reader), "INBOX", keys[9])[0].State, migrate.Arrived)
}

// An upgrade that fails at any call of the disk leaves the old ledger or the new one, and the next run does it.
func TestAnUpgradeThatFailsAnywhereLosesNothing(t *testing.T) {
	want, keys := many(filledRows, "INBOX")
	source := aged(t, 2)
	octets, err := os.ReadFile(source)
	must(t, err)
	failed := 0
	for n := 1 + rand.IntN(2*every); ; n += 2 * every {
		path := filepath.Join(t.TempDir(), "old.db")
		must(t, os.WriteFile(path, octets, 0o600))
		rest := watch(breakdown{at: n, stays: true, short: true, code: sqlite3.SQLITE_FULL})
		db, err := Open(t.Context(), path, Options{})
		if err == nil {
			_ = db.Close()
		} else {
			failed++
		}
		calls := len(rest())
		db, err = Open(t.Context(), path, Options{})
		if err != nil {
			t.Fatalf("failed at call %d: %v", n, err)
		}
		same(t, "entries", lookup(t, ledgerOf(t, db), "INBOX", keys...), want)
		must(t, errors.Join(db.Check(t.Context()), db.Close()))
		same(t, "files", filesOf(t, path), []string{""})
		if n > calls {
			break
		}
	}
	if failed < 2 {
		t.Errorf("failed only %d times", failed)
	}
}
