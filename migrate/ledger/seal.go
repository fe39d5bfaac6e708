package ledger

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"database/sql"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"postcask/migrate"
)

// A seal is a small file beside a database: a token that the database holds too, and the SHA-256 of all pages as the
// last writer left them. SQLite finds a page that makes no sense, but not the bit that turns one flag, date or UID into
// another; the seal finds each. Whoever writes changes the token first, so that the seal of an older state, as after a
// crash, counts for nothing.
const sealSuffix = ".sum"

const sealKey = "seal"

// unseal changes the token, in the first transaction that changes anything.
func unseal(ctx context.Context, tx *sql.Tx) error {
	_, err := tx.ExecContext(ctx, `INSERT INTO meta VALUES (?, ?) ON CONFLICT (key) DO UPDATE SET value = excluded.value`, sealKey, rand.Text())
	return err
}

// sealOf gives what the seal of the database as it is now has to be, or "" where it has no token. The pages come from
// SQLite: to open and close the file here would drop the locks that SQLite holds in this process.
func (db *DB) sealOf(ctx context.Context) (string, error) {
	tx, err := db.read.BeginTx(ctx, &sql.TxOptions{ReadOnly: true})
	if err != nil {
		return "", err
	}
	defer func() { _ = tx.Rollback() }() // nothing was written
	var token string
	err = tx.QueryRowContext(ctx, `SELECT value FROM meta WHERE key = ?`, sealKey).Scan(&token)
	if errors.Is(err, sql.ErrNoRows) {
		return "", nil
	}
	if err != nil {
		return "", err
	}
	pages, err := tx.QueryContext(ctx, `SELECT data FROM sqlite_dbpage`)
	if err != nil {
		return "", err
	}
	defer pages.Close()
	hasher := sha256.New()
	for pages.Next() {
		var page sql.RawBytes
		if err := pages.Scan(&page); err != nil {
			return "", err
		}
		hasher.Write(page)
	}
	return token + " " + hex.EncodeToString(hasher.Sum(nil)) + "\n", pages.Err()
}

// checkSeal compares the database with its seal, where there is one that counts. The error is of kind Damaged.
func (db *DB) checkSeal(ctx context.Context) error {
	have, err := readSeal(db.path + sealSuffix)
	if err != nil || have == "" {
		return err
	}
	want, err := db.sealOf(ctx)
	if err != nil {
		return err
	}
	token, _, sealed := strings.Cut(want, " ")
	if before, _, _ := strings.Cut(have, " "); !sealed || before != token || have == want {
		return nil
	}
	return damaged("it is not as it was left: its SHA-256 is not the one in %q", filepath.Base(db.path)+sealSuffix)
}

// readSeal gives what is in the file of a seal, or "" where there is none.
func readSeal(path string) (string, error) {
	info, err := os.Lstat(path)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return "", nil
	case err != nil:
		return "", err
	case !info.Mode().IsRegular():
		return "", migrate.Errorf(migrate.Unsafe, "%q: not a plain file but %s", path, fileKind(info.Mode()))
	}
	file, err := os.OpenFile(path, os.O_RDONLY|noFollow, 0)
	if err != nil {
		return "", err
	}
	defer file.Close()
	text, err := io.ReadAll(io.LimitReader(file, 1<<10))
	if err != nil {
		return "", fmt.Errorf("read %q: %w", path, err)
	}
	return string(text), nil
}

// writeSeal is for a writer that is done. What goes wrong is told to nobody: without a seal everything works, and the
// old one counts for nothing.
func writeSeal(path, text string) {
	beside := path + ".tmp"
	_ = os.Remove(beside) // of a run that was cut off
	file, err := os.OpenFile(beside, os.O_WRONLY|os.O_CREATE|os.O_EXCL|noFollow, 0o600)
	if err != nil {
		return
	}
	err = file.Chmod(0o600) // an umask may have taken more than it should
	if err == nil {
		_, err = file.WriteString(text)
	}
	if err == nil {
		err = file.Sync()
	}
	if err = errors.Join(err, file.Close()); err == nil {
		err = os.Rename(beside, path)
	}
	if err != nil {
		_ = os.Remove(beside)
		return
	}
	_ = syncDir(filepath.Dir(path))
}
