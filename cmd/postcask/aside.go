package main

import (
	"path/filepath"

	"postcask/archive"
	"postcask/migrate/ledger"
)

// asideInArchive is where an archive keeps what could not be stored in it; empty for no archive.
func asideInArchive(dir string, store *archive.Archive) string {
	if store == nil {
		return ""
	}
	return filepath.Join(dir, ".postcask", "quarantine")
}

// asideByLedger is where a run without an archive to write to keeps what could not move: beside its ledger.
func asideByLedger(file, source, destination string) string {
	if file == "" {
		var err error
		if file, err = ledger.DefaultPath(source, destination); err != nil {
			return "" // the ledger has no place either, which is told
		}
	}
	return file + ".quarantine"
}
