package archive

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"postcask/migrate"
)

// What is set aside after a run that was cut off goes into the quarantine itself, never to where a link in its place
// leads; nor does a link under a name that a cut left behind, or in place of the log of the index, lead anywhere.
func TestLinksBesideTheMail(t *testing.T) {
	for name, plant := range map[string]string{
		"quarantine": ".postcask/quarantine", "log of the index": ".postcask/index.db-wal", "left over": ".postcask/.postcask-abcde.tmp",
	} {
		t.Run(name, func(t *testing.T) {
			a := newArchive(t, Mbox)
			store(t, a, "INBOX", "A: 1\r\n\r\none\r\n")
			a.soil()
			if err := a.Close(); err != nil {
				t.Fatal(err)
			}
			mail := filepath.Join(a.Dir(), "INBOX.mbox")
			f, err := os.OpenFile(mail, os.O_APPEND|os.O_WRONLY, 0)
			if err != nil {
				t.Fatal(err)
			}
			if _, err := f.WriteString("From torn"); err != nil {
				t.Fatal(err)
			}
			f.Close()
			target := filepath.Join(t.TempDir(), "target")
			if name == "quarantine" {
				err = os.Mkdir(target, 0o700)
			} else {
				err = os.WriteFile(target, []byte("precious"), 0o600)
			}
			if err != nil {
				t.Fatal(err)
			}
			planted := filepath.Join(a.Dir(), filepath.FromSlash(plant))
			if err := os.RemoveAll(planted); err != nil {
				t.Fatal(err)
			}
			if err := os.Symlink(target, planted); err != nil {
				t.Fatal(err)
			}
			before := snapshot(t, target)
			b, err := Open(t.Context(), a.Dir(), Options{})
			if err == nil {
				s := b.Sink()
				if err = s.Append(t.Context(), "INBOX", migrate.Message{}, bodyOf("A: 2\r\n\r\ntwo\r\n")); err == nil {
					_, err = s.Commit(t.Context())
				}
				s.Close()
				b.Close()
			}
			if diff := cmp.Diff(before, snapshot(t, target)); diff != "" {
				t.Error(diff)
			}
			if name == "left over" { // nothing has to be written there: the link itself is taken away, or stays
				if err != nil {
					t.Error(err)
				}
			} else if err == nil || !strings.Contains(err.Error(), filepath.Base(strings.TrimSuffix(plant, "-wal"))) {
				t.Errorf("the link was followed, or not named: %v", err)
			}
		})
	}
}
