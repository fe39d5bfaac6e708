package testserver

import (
	"fmt"
	"os"
	"path/filepath"
)

// prepare readies dir for a server: open to the users that the server drops to, with a folder "mail" that belongs to
// uid, a log that all may write, and a certificate.
func prepare(dir string, uid, gid int) (credentials, error) {
	mail, log := filepath.Join(dir, "mail"), filepath.Join(dir, "log")
	err := firstError(
		os.Chmod(dir, 0o755),
		os.MkdirAll(mail, 0o755),
		os.Chown(mail, uid, gid),
		os.WriteFile(log, nil, 0o666),
		os.Chmod(log, 0o666),
	)
	if err != nil {
		return credentials{}, fmt.Errorf("ready %s: %w", dir, err)
	}
	return writeCredentials(dir)
}

// appendLine adds a line to a file in one write, so that a server reads it whole or not at all.
func appendLine(path, line string) error {
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_APPEND|os.O_CREATE, 0o644)
	if err != nil {
		return err
	}
	_, err = f.WriteString(line + "\n")
	if closeErr := f.Close(); err == nil {
		err = closeErr
	}
	return err
}

// copyFile copies a program.
func copyFile(to, from string) error {
	octets, err := os.ReadFile(from)
	if err != nil {
		return err
	}
	return os.WriteFile(to, octets, 0o755)
}

// firstError gives the first of errs that is one.
func firstError(errs ...error) error {
	for _, err := range errs {
		if err != nil {
			return err
		}
	}
	return nil
}

// only gives the one element of opts, or the zero value.
func only[T any](opts []T) T {
	var zero T
	if len(opts) > 0 {
		return opts[0]
	}
	return zero
}

func or(s, otherwise string) string {
	if s == "" {
		return otherwise
	}
	return s
}
