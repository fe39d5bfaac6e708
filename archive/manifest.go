package archive

import (
	"bufio"
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"strings"
	"time"

	"postcask/archive/maildir"
	"postcask/archive/mbox"
	"postcask/migrate"
)

// A Format tells how an archive lays out its mail.
type Format string

// The formats.
const (
	Maildir Format = "maildir" // one Maildir for each mailbox
	Mbox    Format = "mbox"    // one mboxrd file for each mailbox
)

// Names in the archive.
const (
	ownDir        = ".postcask"
	manifestFile  = "archive.json"
	indexFile     = "index.db"
	lockFile      = "lock"
	quarantineDir = "quarantine"
)

const (
	formatName    = "postcask archive"
	formatVersion = 1
)

// A manifest is archive.json.
type manifest struct {
	Format   string    `json:"format"`
	Version  int       `json:"version"`
	ID       string    `json:"id"`
	Layout   Format    `json:"layout"`
	Created  time.Time `json:"created"`
	MadeFrom string    `json:"made_from"`
	Sum      string    `json:"sum"` // SHA-256 of archive.json with this empty: a bit that flips in the id would go unnoticed
}

// sum gives the sum of archive.json, whose own sum is have.
func sum(text []byte, have string) string {
	digest := sha256.Sum256(bytes.Replace(text, []byte(`"`+have+`"`), []byte(`""`), 1))
	return hex.EncodeToString(digest[:])
}

// Detect tells whether dir is an archive of ours, of any version, by its archive.json alone. One whose archive.json is
// damaged is an archive too: Open tells what is wrong.
func Detect(dir string) bool {
	_, err := readManifest(dir)
	return err == nil || migrate.HintOf(err) != missingHint
}

const (
	missingHint = "give the directory of an archive; backup makes a new one"
	newerHint   = "it was written by a newer postcask; use that one"
	damagedHint = "postcask doctor --rebuild ARCHIVE makes the index anew from the mail itself"
)

func readManifest(dir string) (manifest, error) {
	if info, err := os.Stat(dir); err != nil || !info.IsDir() {
		if err == nil {
			err = errors.New("not a directory")
		}
		return manifest{}, &migrate.Error{Kind: migrate.Damaged, Err: broken("open archive", dir, err), Hint: missingHint}
	}
	m, err := parseManifest(dir)
	var told *migrate.Error
	switch {
	case err == nil:
		return m, nil
	case errors.Is(err, fs.ErrNotExist) && lostIndex(dir):
		return m, &migrate.Error{
			Kind: migrate.Damaged, Hint: damagedHint,
			Err: fmt.Errorf("%q looks like an archive, but %s/%s is gone", dir, ownDir, manifestFile),
		}
	case errors.Is(err, fs.ErrNotExist):
		return m, &migrate.Error{Kind: migrate.Damaged, Err: fmt.Errorf("%q is no archive: no %s/%s", dir, ownDir, manifestFile), Hint: missingHint}
	case errors.As(err, &told):
		return m, err
	}
	return m, &migrate.Error{Kind: migrate.Damaged, Err: fmt.Errorf("%q: %s: %w", dir, manifestFile, err), Hint: damagedHint}
}

func parseManifest(dir string) (m manifest, err error) {
	top, err := openFolder(dir)
	if err != nil {
		return m, err
	}
	defer top.close()
	own, err := top.sub(ownDir)
	if err != nil {
		return m, err
	}
	defer own.close()
	f, err := own.open(manifestFile, os.O_RDONLY)
	if err != nil {
		return m, err
	}
	defer f.Close()
	text, err := io.ReadAll(io.LimitReader(f, 1<<20))
	if err != nil {
		return m, err
	}
	if err := json.Unmarshal(text, &m); err != nil {
		return m, err
	}
	switch {
	case m.Format != formatName:
		return m, fmt.Errorf("format is %.80q, not %q", m.Format, formatName)
	case m.Version > formatVersion:
		return m, &migrate.Error{Kind: migrate.Damaged, Err: fmt.Errorf("%q is an archive of version %d, and this program knows %d", dir, m.Version, formatVersion), Hint: newerHint}
	case m.Version < 1 || m.ID == "" || m.Layout != Maildir && m.Layout != Mbox:
		return m, fmt.Errorf("version %d, id %.80q, layout %.80q", m.Version, m.ID, m.Layout)
	}
	if m.Sum != "" && m.Sum != sum(text, m.Sum) { // the first archives have none
		return m, errors.New("it is not as it was written: its SHA-256 differs")
	}
	return m, nil
}

func (d *disk) writeManifest(own *folder, m manifest) error {
	m.Sum = ""
	text, err := json.MarshalIndent(m, "", "  ")
	if err != nil {
		return err
	}
	text = append(text, '\n')
	text = bytes.Replace(text, []byte(`"sum": ""`), fmt.Appendf(nil, `"sum": %q`, sum(text, "")), 1)
	return d.replace(own, manifestFile, text)
}

// lostIndex tells whether dir holds mail as postcask lays it out, seen by the first mailbox that is met, or an index.
func lostIndex(dir string) bool {
	if _, err := os.Lstat(filepath.Join(dir, ownDir, indexFile)); err == nil {
		if entries, err := os.ReadDir(dir); err == nil && len(entries) > 1 { // more than the making of one that was cut off
			return true
		}
	}
	top, err := openFolder(dir)
	if err != nil {
		return false
	}
	defer top.close()
	return hasMail(top, 4)
}

// hasMail looks, down to a depth, for a file that only postcask writes.
func hasMail(dir *folder, depth int) (found bool) {
	_ = eachEntry(dir, func(e fs.DirEntry) error { // what cannot be read tells nothing
		name := e.Name()
		switch {
		case e.Type().IsRegular() && strings.HasSuffix(name, mboxSuffix):
			found = oursByFirstLine(dir, name)
		case e.Type().IsRegular():
			base, _ := maildir.Split(name)
			found = path.Base(dir.name) == "cur" && maildir.Run(base) != ""
		case e.IsDir() && name[0] != '.' && depth > 0:
			if sub, err := dir.sub(name); err == nil {
				found = hasMail(sub, depth-1)
				_ = sub.close() // it was only read
			}
		}
		if found {
			return errStop
		}
		return nil
	})
	return found
}

func oursByFirstLine(dir *folder, name string) bool {
	f, err := dir.open(name, os.O_RDONLY)
	if err != nil {
		return false
	}
	defer f.Close()
	line, err := bufio.NewReaderSize(f, 200).ReadSlice('\n')
	if err != nil {
		return false
	}
	_, _, err = mbox.ParseFromLine(line)
	return err == nil
}

// Lost tells, as an error of kind Damaged with the way out, that dir is an archive whose archive.json is gone or cannot
// be read; nil for everything else.
func Lost(dir string) error {
	if _, err := readManifest(dir); migrate.HintOf(err) == damagedHint {
		return err
	}
	return nil
}

// claim makes sure that a new archive may be made in dir: it is missing, or empty but for what a Create that was cut
// off, or the file system itself, put there.
func claim(dir string) error {
	entries, err := os.ReadDir(dir)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return broken("open", dir, err)
	}
	if err := Lost(dir); err != nil {
		return err
	}
	for _, e := range entries {
		if e.Name() == ownDir && e.IsDir() {
			_, err := os.Lstat(filepath.Join(dir, ownDir, manifestFile))
			if errors.Is(err, fs.ErrNotExist) {
				continue
			}
			return migrate.Errorf(migrate.Unsafe, "%q is an archive already", dir)
		}
		if e.Name() != "lost+found" {
			return &migrate.Error{
				Kind: migrate.Unsafe,
				Err:  fmt.Errorf("%q is neither empty nor an archive", dir),
				Hint: "give a new or an empty directory",
			}
		}
	}
	return nil
}
