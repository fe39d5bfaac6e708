package archive

import (
	"bytes"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"unicode/utf8"

	"postcask/migrate"
)

// Headers of any kind give a Message-ID that is text and of bearable length, and end where they end.
func FuzzHeader(f *testing.F) {
	for _, seed := range []string{
		"Message-ID: <1@example.org>\r\n\r\nbody", "message-id:\r\n <1@example.org>\r\n (comment)\r\n\r\n", "MESSAGE-ID : a b\n\nMessage-ID: <2@example.org>\n", "\r\nMessage-ID: <body@example.org>\r\n",
		"Message-ID:\n\n", "Message-ID", ": x\n", "X: 1\r\n\tMessage-ID: <folded@example.org>\r\n\r\n", "Message-ID: <\xff\x00>\r\n", "Message-ID: " + strings.Repeat("x", 2000), "\n\r\n", "a\r\r\n\r\n",
	} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, text []byte) {
		if id := messageID(text); !utf8.ValidString(id) || len(id) > 3*998 || strings.ContainsAny(id, "\r\n") && !bytes.Contains(text, []byte(id)) {
			t.Errorf("%q has the Message-ID %q", text, id)
		}
		end := headerEnd(text, 0)
		if end > len(text) {
			t.Fatalf("the header of %q ends at %d", text, end)
		}
		if end > 0 && text[end-1] != '\n' {
			t.Errorf("the header of %q ends at %d, within a line", text, end)
		}
		if end > 0 && messageID(text[:end]) != messageID(text) {
			t.Errorf("%q: what is behind the header gives another Message-ID", text)
		}
	})
}

// What stands on the disk as a name may be of any program's making: it is refused, or is the name of exactly what it
// stands for.
func FuzzDiskNames(f *testing.F) {
	for _, seed := range []string{"INBOX", "%2E%2E", "Work%~2", "a%=" + strings.Repeat("0", 2*digestSize), "%", "..", "a/b", "con", "x.mbox", "%63ur", "\xff", "%-", "a%2fb"} {
		f.Add(seed)
	}
	none := func(string) (string, error) { return "", errors.New("there is no such file") }
	f.Fuzz(func(t *testing.T, name string) {
		part, err := decodePart(name, none)
		if err != nil {
			return
		}
		if bare := encodePart(part); name != bare && !strings.HasPrefix(name, bare) {
			t.Errorf("%q stands for %q, which is called %q", name, part, bare)
		}
		if _, err := elements(name); err != nil || strings.Contains(name, "/") {
			t.Errorf("%q stands for %q, and leads astray: %v", name, part, err)
		}
	})
}

// An archive.json that is torn or forged is refused as damage, and never a fault.
func FuzzManifest(f *testing.F) {
	for _, seed := range []string{
		`{"format":"postcask archive","version":1,"id":"x","layout":"maildir"}`, `{"format":"postcask archive","version":2,"id":"x","layout":"maildir"}`, ``, `{`, `null`, `[]`,
		`{"format":"postcask archive","version":1e9,"id":"x","layout":"../x"}`, `{"format":"postcask archive","version":1,"id":"x","layout":"mbox","created":"yesterday"}`, strings.Repeat("[", 20000),
	} {
		f.Add([]byte(seed))
	}
	dir := f.TempDir()
	if err := os.Mkdir(filepath.Join(dir, ownDir), 0o700); err != nil {
		f.Fatal(err)
	}
	f.Fuzz(func(t *testing.T, text []byte) {
		if err := os.WriteFile(filepath.Join(dir, ownDir, manifestFile), text, 0o600); err != nil {
			t.Fatal(err)
		}
		m, err := readManifest(dir)
		switch {
		case err != nil && (migrate.KindOf(err) != migrate.Damaged || migrate.HintOf(err) == ""):
			t.Errorf("%q: %v", text, err)
		case err == nil && (m.Version != formatVersion || m.Layout != Maildir && m.Layout != Mbox || m.ID == ""):
			t.Errorf("%q is taken as %+v", text, m)
		}
	})
}
