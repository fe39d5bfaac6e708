package migrate

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"time"
	"unicode"
)

// NewQuarantine gives the quarantine in a directory, which is made, with mode 0700, when the first message comes. Each
// message has a name of its own, made from where it came: NAME.eml holds its octets as the source gave them, NAME.txt
// tells why it is there. Both are synced, then their directory, when Keep returns. A link in place of the directory is
// refused. It is safe for use by several goroutines.
func NewQuarantine(dir string) Quarantine { return &quarantine{dir: dir} }

type quarantine struct {
	dir string
	mu  sync.Mutex
}

// Keep implements Quarantine.
func (q *quarantine) Keep(ctx context.Context, m SetAsideMessage) (err error) {
	q.mu.Lock()
	defer q.mu.Unlock()
	root, err := q.open()
	if err != nil {
		return fmt.Errorf("quarantine: %w", err)
	}
	defer func() {
		if err = errors.Join(err, root.Close()); err != nil {
			err = fmt.Errorf("quarantine: %w", err)
		}
	}()
	name := nameOf(m)
	hasher := NewHasher()
	if m.Body.Reader != nil {
		if err := put(root, name+".eml", io.TeeReader(m.Body.Reader, hasher)); err != nil {
			return err
		}
	}
	if err := put(root, name+".txt", strings.NewReader(m.note(name, hasher.Identity()))); err != nil {
		return err
	}
	if err := ctx.Err(); err != nil {
		return err
	}
	return syncDir(q.dir)
}

// open makes the directory if need be and opens it.
func (q *quarantine) open() (*os.Root, error) {
	err := os.Mkdir(q.dir, 0o700)
	if err == nil {
		err = errors.Join(os.Chmod(q.dir, 0o700), syncDir(filepath.Dir(q.dir)))
	} else if errors.Is(err, fs.ErrExist) {
		err = nil
	}
	if err != nil {
		return nil, err
	}
	info, err := os.Lstat(q.dir)
	if err != nil {
		return nil, err
	}
	if !info.IsDir() {
		return nil, Errorf(Unsafe, "%q is no directory", q.dir)
	}
	return os.OpenRoot(q.dir)
}

// put writes a file beside, syncs it and renames it into place.
func put(root *os.Root, name string, from io.Reader) error {
	beside := "." + name + ".tmp"
	if err := root.Remove(beside); err != nil && !errors.Is(err, fs.ErrNotExist) { // of a run that was cut off
		return err
	}
	file, err := root.OpenFile(beside, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return err
	}
	if err = file.Chmod(0o600); err == nil { // an umask may have taken more than it should
		_, err = io.Copy(file, from)
	}
	if err == nil {
		err = file.Sync()
	}
	if err = errors.Join(err, file.Close()); err == nil {
		err = root.Rename(beside, name)
	}
	if err != nil {
		return errors.Join(err, root.Remove(beside))
	}
	return nil
}

func syncDir(path string) error {
	dir, err := os.Open(path)
	if err != nil {
		return err
	}
	return errors.Join(dir.Sync(), dir.Close())
}

// nameOf makes a name that the same message gets again, and that no server can choose.
func nameOf(m SetAsideMessage) string {
	key := m.Message.Key
	sum := sha256.Sum256(fmt.Appendf(nil, "%s\x00%s\x00%d\x00%d\x00%s", m.Source, m.Mailbox, key.Validity, key.UID, key.Name))
	return "message-" + hex.EncodeToString(sum[:8])
}

// note is what NAME.txt says.
func (m SetAsideMessage) note(name string, id Identity) string {
	var b strings.Builder
	fmt.Fprintf(&b, "%s\n\n", m.sentence())
	line := func(what, text string) { fmt.Fprintf(&b, "%-14s %s\n", what+":", shown(text)) }
	line("reason", m.Reason)
	line("source", m.Source)
	line("mailbox", fmt.Sprintf("%q", m.Mailbox))
	line("message", m.Message.Key.String())
	if m.Message.Key.Validity != 0 {
		line("UIDVALIDITY", fmt.Sprint(m.Message.Key.Validity))
	}
	line("destination", fmt.Sprintf("%s, mailbox %q", m.Destination, m.To))
	if !m.Message.InternalDate.IsZero() {
		line("internal date", m.Message.InternalDate.Format(time.RFC3339))
	}
	line("flags", strings.Join(m.Message.Flags, " "))
	line("set aside", m.Time.Format(time.RFC3339))
	if m.Body.Reader == nil {
		line("octets", "none, the message could not be read")
		return b.String()
	}
	line("octets", fmt.Sprintf("%d, in %s.eml", id.Size, name))
	line("SHA-256", id.Full.String())
	return b.String()
}

// sentence says in plain words what is the matter.
func (m SetAsideMessage) sentence() string {
	reason := strings.ToLower(m.Reason)
	says := func(words ...string) bool {
		for _, word := range words {
			if strings.Contains(reason, word) {
				return true
			}
		}
		return false
	}
	switch {
	case m.Body.Reader == nil:
		return "The source could not give this message; it was not copied."
	case says("toobig", "too big", "too large", "size limit", "appendlimit", "exceeds"):
		return "This message is larger than the destination takes; it was not copied."
	case says("nul ", "nul-", "null", "\\0"):
		return "This message holds a NUL octet, which the destination does not take; it was not copied."
	case says("8bit", "8-bit", "non-ascii", "header"):
		return "The destination does not take this message's header as it is; it was not copied."
	case says("date"):
		return "The destination does not take this message's date; it was not copied."
	case says("flag", "keyword"):
		return "The destination does not take this message's flags; it was not copied."
	}
	return "The destination refused this message; it was not copied."
}

// shown makes a server's words safe to show: one line, no control characters.
func shown(text string) string {
	return strings.Map(func(r rune) rune {
		if unicode.IsGraphic(r) {
			return r
		}
		return '\uFFFD'
	}, text)
}
