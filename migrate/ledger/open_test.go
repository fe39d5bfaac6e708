package ledger

import (
	"bytes"
	"context"
	"database/sql"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"postcask/migrate"
)

const filledRows = 600

// filled gives the path of a closed database with some entries.
func filled(t *testing.T) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "test.db")
	db, err := Open(t.Context(), path, Options{Create: true})
	must(t, err)
	entries, _ := many(filledRows, "INBOX")
	must(t, ledgerOf(t, db).Record(t.Context(), "INBOX", entries))
	must(t, db.Close())
	return path
}

func execute(t *testing.T, path, statement string) {
	t.Helper()
	raw, err := sql.Open("sqlite", "file:"+path+"?vfs="+vfsName)
	must(t, err)
	_, err = raw.ExecContext(t.Context(), statement)
	must(t, errors.Join(err, raw.Close()))
}

func TestWhatIsNoLedgerIsRefused(t *testing.T) {
	tests := []struct {
		name    string
		prepare func(t *testing.T, path string)
		create  bool
		says    string
		hint    string
	}{
		{name: "missing", prepare: func(t *testing.T, path string) { must(t, os.Remove(path)) }, says: "no such file", hint: "doctor --rebuild"},
		{name: "empty", prepare: func(t *testing.T, path string) { must(t, os.Truncate(path, 0)) }, says: "empty", hint: "doctor --rebuild"},
		{name: "garbage", prepare: func(t *testing.T, path string) {
			must(t, os.WriteFile(path, bytes.Repeat([]byte("mail "), 5000), 0o600))
		},
			create: true, says: "not a database", hint: "doctor --rebuild"},
		{name: "cut to a few octets", prepare: func(t *testing.T, path string) { must(t, os.Truncate(path, 50)) }, create: true, says: "malformed", hint: "doctor --rebuild"},
		{name: "cut to a few pages", prepare: func(t *testing.T, path string) { must(t, os.Truncate(path, 3*4096)) }, create: true, says: "malformed", hint: "doctor --rebuild"},
		{name: "another program's", prepare: func(t *testing.T, path string) { execute(t, path, "PRAGMA application_id = 7") },
			create: true, says: "not one of postcask", hint: "doctor --rebuild"},
		{name: "newer", prepare: func(t *testing.T, path string) { execute(t, path, "PRAGMA user_version = 4") },
			create: true, says: "version is 4, this program knows 3", hint: "newer postcask"},
		{name: "a version that never was", prepare: func(t *testing.T, path string) { execute(t, path, "PRAGMA user_version = -1") },
			create: true, says: "version is -1", hint: "doctor --rebuild"},
		{name: "directory", prepare: func(t *testing.T, path string) { must(t, errors.Join(os.Remove(path), os.Mkdir(path, 0o700))) },
			create: true, says: "a directory", hint: "doctor --rebuild"},
		{name: "pipe", prepare: func(t *testing.T, path string) { must(t, errors.Join(os.Remove(path), syscall.Mkfifo(path, 0o600))) },
			create: true, says: "a device or pipe", hint: "doctor --rebuild"},
		{name: "link", prepare: func(t *testing.T, path string) {
			must(t, errors.Join(os.Rename(path, path+".real"), os.Symlink(path+".real", path)))
		}, create: true, says: "a link", hint: "doctor --rebuild"},
		{name: "link to nowhere", prepare: func(t *testing.T, path string) {
			must(t, errors.Join(os.Remove(path), os.Symlink(path+".target", path)))
		}, create: true, says: "a link", hint: "doctor --rebuild"},
	}
	whole, err := os.ReadFile(filled(t))
	must(t, err)
	for _, test := range tests {
		for _, o := range []Options{{Create: test.create}, {ReadOnly: true}} {
			t.Run(fmt.Sprintf("%s, %+v", test.name, o), func(t *testing.T) {
				path := filepath.Join(t.TempDir(), "test.db")
				must(t, os.WriteFile(path, whole, 0o600))
				test.prepare(t, path)
				db, err := Open(t.Context(), path, o)
				if err == nil {
					closeDB(t, db)
					t.Fatal("opened")
				}
				if migrate.KindOf(err) != migrate.Damaged || !strings.Contains(err.Error(), test.says) || !strings.Contains(migrate.HintOf(err), test.hint) {
					t.Errorf("kind %d: %v\nhint: %s", migrate.KindOf(err), err, migrate.HintOf(err))
				}
				if _, err := os.Lstat(path + ".target"); !errors.Is(err, fs.ErrNotExist) {
					t.Error("written through a link")
				}
			})
		}
	}
}

func TestALogThatIsALinkIsNotFollowed(t *testing.T) {
	path := filled(t)
	victim := filepath.Join(t.TempDir(), "victim")
	must(t, os.WriteFile(victim, []byte("precious"), 0o600))
	for _, suffix := range []string{"-wal", "-shm"} {
		must(t, os.Symlink(victim, path+suffix))
		db, err := Open(t.Context(), path, Options{})
		if err == nil {
			must(t, ledgerOf(t, db).Record(t.Context(), "INBOX", []migrate.Entry{arrived(1, "A")}))
			closeDB(t, db)
		}
		content, err := os.ReadFile(victim)
		must(t, err)
		same(t, "behind "+suffix, string(content), "precious")
		if err := os.Remove(path + suffix); err != nil && !errors.Is(err, fs.ErrNotExist) {
			t.Fatal(err)
		}
	}
}

func TestCheckFindsDamage(t *testing.T) {
	path := filled(t)
	must(t, func() error {
		db, err := Open(t.Context(), path, Options{})
		if err != nil {
			return err
		}
		return errors.Join(db.Check(t.Context()), db.Close())
	}())
	octets, err := os.ReadFile(path)
	must(t, err)
	for at := len(octets) - 6*4096; at < len(octets); at += 4096 {
		copy(octets[at:at+64], bytes.Repeat([]byte{0xa5}, 64)) // heads of pages
	}
	must(t, os.WriteFile(path, octets, 0o600))
	for _, o := range []Options{{}, {ReadOnly: true}} {
		db, err := Open(t.Context(), path, o)
		must(t, err)
		if err := db.Check(t.Context()); migrate.KindOf(err) != migrate.Damaged {
			t.Errorf("%+v: check says %v", o, err)
		}
		var met error
		for _, err := range ledgerOf(t, db).Entries(t.Context(), "INBOX") {
			met = err
		}
		if migrate.KindOf(met) != migrate.Damaged {
			t.Errorf("%+v: reading says %v", o, met)
		}
		closeDB(t, db)
	}
}

func TestCheckFindsARowWithoutItsOwner(t *testing.T) {
	path := filled(t)
	execute(t, path, "PRAGMA foreign_keys = 0; DELETE FROM boxes WHERE side = 1")
	db := openAt(t, path)
	if err := db.Check(t.Context()); migrate.KindOf(err) != migrate.Damaged {
		t.Errorf("check says %v", err)
	}
}

func TestReadOnly(t *testing.T) {
	path := filled(t)
	writer := openAt(t, path)
	reader, err := Open(t.Context(), path, Options{ReadOnly: true, Create: true})
	must(t, err)
	defer closeDB(t, reader)
	extra := arrived(5000, "INBOX")
	must(t, ledgerOf(t, writer).Record(t.Context(), "INBOX", []migrate.Entry{extra}))
	same(t, "what another has just written", lookup(t, ledgerOf(t, reader), "INBOX", extra.Key), []migrate.Entry{extra})
	for name, err := range map[string]error{
		"Record":     ledgerOf(t, reader).Record(t.Context(), "INBOX", []migrate.Entry{extra}),
		"SetMeta":    reader.SetMeta(t.Context(), "k", "v"),
		"PutMailbox": reader.PutMailbox(t.Context(), Mailbox{}),
	} {
		if err == nil || !strings.Contains(err.Error(), "read only") {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// A link where SQLite's shared memory should be has the effect of a medium that cannot be written.
func TestReadOnlyWhereNothingCanBeWritten(t *testing.T) {
	path := filled(t)
	must(t, os.Symlink(path+".target", path+"-shm"))
	before, err := os.ReadFile(path)
	must(t, err)
	db, err := Open(t.Context(), path, Options{ReadOnly: true})
	must(t, err)
	must(t, db.Check(t.Context()))
	same(t, "entries", len(all(t, ledgerOf(t, db).Entries(t.Context(), "INBOX"))), filledRows)
	must(t, db.Close())
	after, err := os.ReadFile(path)
	must(t, err)
	if !bytes.Equal(before, after) {
		t.Error("the file has changed")
	}
	must(t, os.WriteFile(path+"-wal", before[:4096], 0o600)) // what is in a log must not be left out in silence
	if db, err := Open(t.Context(), path, Options{ReadOnly: true}); err == nil {
		closeDB(t, db)
		t.Error("opened without the log")
	}
}

func TestABusyDatabaseIsLocked(t *testing.T) {
	path := filled(t)
	other, err := sql.Open("sqlite", "file:"+path+"?vfs="+vfsName)
	must(t, err)
	defer other.Close()
	conn, err := other.Conn(t.Context())
	must(t, err)
	defer conn.Close()
	_, err = conn.ExecContext(t.Context(), "BEGIN IMMEDIATE")
	must(t, err)
	db, err := open(t.Context(), path, Options{}, 20*time.Millisecond)
	must(t, err)
	defer closeDB(t, db)
	err = ledgerOf(t, db).Record(t.Context(), "INBOX", []migrate.Entry{arrived(1, "A")})
	if migrate.KindOf(err) != migrate.Locked || migrate.HintOf(err) == "" {
		t.Errorf("got %v", err)
	}
	same(t, "readers do not wait", len(all(t, ledgerOf(t, db).Entries(t.Context(), "INBOX"))), filledRows)
	_, err = conn.ExecContext(t.Context(), "ROLLBACK")
	must(t, err)
	must(t, ledgerOf(t, db).Record(t.Context(), "INBOX", []migrate.Entry{arrived(1, "A")}))
}

func TestAFullDiskIsToldAndSurvived(t *testing.T) {
	db := openAt(t, filled(t))
	var pages int
	must(t, db.write.QueryRowContext(t.Context(), "PRAGMA page_count").Scan(&pages))
	_, err := db.write.ExecContext(t.Context(), fmt.Sprintf("PRAGMA max_page_count = %d", pages+1))
	must(t, err)
	entries, _ := many(2000, "Full")
	err = ledgerOf(t, db).Record(t.Context(), "Full", entries)
	if !errors.Is(err, syscall.ENOSPC) || migrate.KindOf(err) != migrate.Refused || migrate.HintOf(err) == "" {
		t.Fatalf("got %v", err)
	}
	same(t, "of the group", len(all(t, ledgerOf(t, db).Entries(t.Context(), "Full"))), 0)
	_, err = db.write.ExecContext(t.Context(), "PRAGMA max_page_count = 1000000")
	must(t, err)
	must(t, ledgerOf(t, db).Record(t.Context(), "Full", entries))
	must(t, db.Check(t.Context()))
}

func TestFilesAreForTheOwnerAlone(t *testing.T) {
	for _, mask := range []int{0o000, 0o022, 0o077, 0o277} {
		t.Run(fmt.Sprintf("umask %03o", mask), func(t *testing.T) {
			t.Setenv("XDG_STATE_HOME", filepath.Join(t.TempDir(), "state"))
			old := syscall.Umask(mask &^ 0o200) // directories must stay of use
			defer syscall.Umask(old)
			path, err := DefaultPath("a", "b")
			must(t, err)
			syscall.Umask(mask)
			release, err := Lock(path + ".lock")
			must(t, err)
			defer release()
			db, err := Open(t.Context(), path, Options{Create: true})
			must(t, err)
			defer closeDB(t, db)
			must(t, ledgerOf(t, db).Record(t.Context(), "INBOX", []migrate.Entry{arrived(1, "A")}))
			modes(t, filepath.Dir(path), map[string]fs.FileMode{
				".": 0o700, "db": 0o600, "db-wal": 0o600, "db-shm": 0o600, "db.lock": 0o600 &^ fs.FileMode(mask),
			})
		})
	}
}

// modes compares the permissions in dir, where names are those behind the first dot.
func modes(t *testing.T, dir string, want map[string]fs.FileMode) {
	t.Helper()
	got := map[string]fs.FileMode{}
	info, err := os.Stat(dir)
	must(t, err)
	got["."] = info.Mode().Perm()
	names, err := os.ReadDir(dir)
	must(t, err)
	for _, entry := range names {
		info, err := entry.Info()
		must(t, err)
		_, suffix, _ := strings.Cut(entry.Name(), ".")
		got[suffix] = info.Mode().Perm()
	}
	same(t, "permissions", got, want)
}

func TestPermissionsOfOthersAreTakenAway(t *testing.T) {
	path := filled(t)
	must(t, os.Chmod(path, 0o666))
	reader, err := Open(t.Context(), path, Options{ReadOnly: true})
	must(t, err)
	closeDB(t, reader)
	info, err := os.Stat(path)
	must(t, err)
	same(t, "read only changes nothing", info.Mode().Perm(), fs.FileMode(0o666))
	for _, suffix := range []string{"-wal", "-shm"} { // those that a reader may have left behind
		if err := os.Remove(path + suffix); err != nil && !errors.Is(err, fs.ErrNotExist) {
			t.Fatal(err)
		}
	}
	db := openAt(t, path)
	must(t, db.SetMeta(t.Context(), "k", "v"))
	modes(t, filepath.Dir(path), map[string]fs.FileMode{".": 0o755, "db": 0o600, "db-wal": 0o600, "db-shm": 0o600})
}

func TestOpenTwiceInOneProcess(t *testing.T) {
	path := filepath.Join(t.TempDir(), "test.db")
	first, second := openAt(t, path), openAt(t, path)
	for i := range uint32(20) {
		must(t, ledgerOf(t, first).Record(t.Context(), "A", []migrate.Entry{arrived(2*i+1, "A")}))
		must(t, ledgerOf(t, second).Record(t.Context(), "A", []migrate.Entry{arrived(2*i+2, "A")}))
	}
	entries, _ := many(40, "A")
	same(t, "entries", all(t, ledgerOf(t, first).Entries(t.Context(), "A")), entries)
}

func TestACreationThatWasCutOffIsTakenUp(t *testing.T) {
	path := filepath.Join(t.TempDir(), "test.db")
	must(t, os.WriteFile(path, nil, 0o600))
	db := openAt(t, path)
	must(t, ledgerOf(t, db).Record(context.Background(), "A", []migrate.Entry{arrived(1, "A")}))
}
