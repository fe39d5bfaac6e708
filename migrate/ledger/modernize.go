package ledger

import (
	"context"
	"crypto/sha256"
	"database/sql"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"time"

	"postcask/migrate"
)

// Before version 3 pages had no sums. Beside a database lay a seal of the whole: a token that the database held too, and
// the SHA-256 of all pages as the last writer had left them. It counted only while the token was the same.
const (
	sealSuffix = ".sum"
	sealKey    = "seal"
)

const newSuffix = ".new"

// modernize makes a file whose pages have sums of one of an older version: a copy beside it, which takes its name once
// it is durable. Cut off anywhere, it leaves the old file or the new one, whole. Nobody may have it open meanwhile.
func modernize(ctx context.Context, path string, busy time.Duration) (err error) {
	old, err := connect(path, busy, "mode=rw", "locking_mode(exclusive)")
	if err != nil {
		return err
	}
	old.SetMaxOpenConns(1)
	defer func() { err = errors.Join(err, old.Close()) }()
	if err := checkSeal(ctx, old, path+sealSuffix); err != nil {
		return err
	}
	var mode string
	if err := old.QueryRowContext(ctx, `PRAGMA journal_mode = delete`).Scan(&mode); err != nil {
		return err
	}
	if mode != "delete" { // a log would outlive the exchange of the file, and be taken for the new one's
		return &migrate.Error{Kind: migrate.Locked, Err: errors.New("others read it, so it cannot be brought to the present version"), Hint: lockedHint}
	}
	fresh := path + newSuffix
	if err := os.Remove(fresh); err != nil && !errors.Is(err, fs.ErrNotExist) { // of a run that was cut off
		return err
	}
	if err := copyAnew(ctx, old, fresh, busy); err != nil {
		_ = os.Remove(fresh)
		return err
	}
	if err := os.Rename(fresh, path); err != nil {
		return err
	}
	_ = os.Remove(path + sealSuffix) // it counts for nothing now
	return syncDir(filepath.Dir(path))
}

// copyAnew makes at path, durably, a database of the present version that holds what old does.
func copyAnew(ctx context.Context, old *sql.DB, path string, busy time.Duration) error {
	file, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL|noFollow, 0o600)
	if err != nil {
		return err
	}
	if err := errors.Join(file.Chmod(0o600), file.Close()); err != nil {
		return err
	}
	into := url.URL{Scheme: "file", Path: filepath.ToSlash(path), RawQuery: fmt.Sprintf("reserve=%d", sumSize)}
	if _, err := old.ExecContext(ctx, `VACUUM INTO ?`, into.String()); err != nil {
		return err
	}
	fresh, err := connect(path, busy, "mode=rw&_txlock=immediate")
	if err != nil {
		return err
	}
	fresh.SetMaxOpenConns(1)
	tx, err := fresh.BeginTx(ctx, nil)
	if err == nil {
		if err = upgrade(ctx, tx); err == nil {
			err = tx.Commit()
		} else {
			_ = tx.Rollback()
		}
	}
	if err = errors.Join(err, fresh.Close()); err != nil {
		return err
	}
	if file, err = os.OpenFile(path, os.O_RDWR|noFollow, 0); err != nil {
		return err
	}
	return errors.Join(file.Sync(), file.Close())
}

// checkSeal compares a database of an older version with its seal, where there is one that counts.
func checkSeal(ctx context.Context, old *sql.DB, path string) error {
	have, err := readSeal(path)
	if err != nil || have == "" {
		return err
	}
	var token string
	err = old.QueryRowContext(ctx, `SELECT value FROM meta WHERE key = ?`, sealKey).Scan(&token)
	if errors.Is(err, sql.ErrNoRows) || err == nil && !strings.HasPrefix(have, token+" ") {
		return nil
	}
	if err != nil {
		return err
	}
	pages, err := old.QueryContext(ctx, `SELECT data FROM sqlite_dbpage`)
	if err != nil {
		return err
	}
	defer pages.Close()
	hasher := sha256.New()
	for pages.Next() {
		var page sql.RawBytes
		if err := pages.Scan(&page); err != nil {
			return err
		}
		hasher.Write(page)
	}
	if err := pages.Err(); err != nil {
		return err
	}
	if have != token+" "+hex.EncodeToString(hasher.Sum(nil))+"\n" {
		return damaged("it is not as it was left: its SHA-256 is not the one in %q", filepath.Base(path))
	}
	return nil
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
	return string(text), err
}
