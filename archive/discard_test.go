package archive

import (
	"os"
	"path/filepath"
	"testing"

	"postcask/migrate"
)

func TestANewArchiveThatNothingCameIntoLeavesNothing(t *testing.T) {
	for _, format := range []Format{Maildir, Mbox} {
		dir := filepath.Join(t.TempDir(), "mail")
		a, err := Create(t.Context(), dir, format, "")
		if err != nil {
			t.Fatal(err)
		}
		if err := a.Discard(t.Context()); err != nil {
			t.Fatal(err)
		}
		if entries, err := os.ReadDir(dir); err != nil || len(entries) > 0 {
			t.Errorf("%s: %v is left, %v", format, entries, err)
		}
	}
}

func TestAnArchiveWithAMailboxIsNotTakenAway(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "mail")
	a, err := Create(t.Context(), dir, Maildir, "")
	if err != nil {
		t.Fatal(err)
	}
	sink := a.Sink()
	if err := sink.Create(t.Context(), migrate.Mailbox{Path: "INBOX"}); err != nil {
		t.Fatal(err)
	}
	if err := sink.Close(); err != nil {
		t.Fatal(err)
	}
	if err := a.Discard(t.Context()); err != nil {
		t.Fatal(err)
	}
	if a, err = Open(t.Context(), dir, Options{}); err != nil {
		t.Fatal(err)
	}
	if err := a.Close(); err != nil {
		t.Error(err)
	}
}
