package archive

import (
	"errors"
	"io/fs"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"postcask/migrate"
)

func TestEncodePart(t *testing.T) {
	for part, want := range map[string]string{
		"INBOX": "INBOX", "Work": "Work", "Entwürfe": "Entwürfe", "日本語": "日本語", "a b": "a b", "R&D": "R&D",
		"": "%-", ".": "%2E", "..": "%2E%2E", "...": "%2E.%2E", "/": "%2F", "a/b": "a%2Fb", `a\b`: "a%5Cb", "%": "%25", "50%": "50%25",
		"a\x00b": "a%00b", "a\nb": "a%0Ab", "\x7f": "%7F", "\u0085": "%C2%85", "\xff": "%FF", " a": "%20a", "a ": "a%20", ".a": "%2Ea", "a.": "a%2E", " ": "%20",
		"cur": "%63ur", "New": "%4Eew", "TMP": "%54MP", "current": "current", ".postcask": "%2Epostcask", ".postcask-name-x": "%2Epostcask-name-x",
		"CON": "%43ON", "con.txt": "%63on.txt", "Aux": "%41ux", "COM1": "%43OM1", "lpt9.x": "%6Cpt9.x", "COM10": "COM10", "company": "company", "COM²": "%43OM²",
		"x.mbox": "x%2Embox", "x.MBOX": "x%2EMBOX", ".mbox": "%2Embox", "con.mbox": "%63on%2Embox", "mbox": "mbox", "x.mbox.y": "x.mbox.y",
		"C:x": "C%3Ax", "a*?": "a%2A%3F", "dovecot-keywords": "%64ovecot-keywords", "dovecot": "dovecot", "subscriptions": "%73ubscriptions",
	} {
		if got := encodePart(part); got != want {
			t.Errorf("%q: got %q, want %q", part, got, want)
		}
		checkName(t, part)
	}
}

// checkName makes sure that the name of a part is harmless and leads back.
func checkName(t interface {
	Helper()
	Fatalf(string, ...any)
}, part string) {
	t.Helper()
	name := encodePart(part)
	lower := asciiLower(name)
	for _, suffix := range []string{"", mboxSuffix, "%~999999", "%~2" + mboxSuffix} {
		full := name + suffix
		if len(full) > 255 || full == "" || full == "." || full == ".." || !fs.ValidPath(full) || full[0] == '.' || strings.ContainsAny(full, "/\\\x00:") {
			t.Fatalf("%q gives the name %q", part, full)
		}
	}
	if reserved(lower) || strings.HasSuffix(lower, mboxSuffix) || strings.HasSuffix(name, ".") || strings.HasSuffix(name, " ") || name[0] == ' ' {
		t.Fatalf("%q gives the name %q", part, name)
	}
	whole := func(string) (string, error) { return escapeAll(part), nil }
	for _, n := range []string{name, twin(name, 2), twin(name, 17)} {
		back, err := decodePart(n, whole)
		if err != nil || back != part {
			t.Fatalf("%q gives %q, which gives %q, %v", part, n, back, err)
		}
	}
}

func TestLongNames(t *testing.T) {
	for _, long := range []string{strings.Repeat("a", 4000), strings.Repeat("ü", 200), strings.Repeat("/", 300), strings.Repeat("😀", 100), strings.Repeat("a", 242)} {
		for _, part := range []string{long, "x" + long, "xy" + long, long + "."} {
			checkName(t, part)
			if encodePart(part) == encodePart(part+"a") {
				t.Errorf("two long names are one: %.20q", part)
			}
		}
	}
	if name := encodePart(strings.Repeat("a", longest)); strings.Contains(name, longMark) {
		t.Errorf("%q was cut", name)
	}
}

func TestDecodeRefuses(t *testing.T) {
	whole := func(string) (string, error) { return "", errors.New("there is no such file") }
	for _, name := range []string{"", "%", "%2", "%zz", "%2f", "%41", "a%~", "a%~1", "a%~02", "a%~x", "a%=0123", ".", "..", "cur", "a/b", "x.mbox", "a%-", "%~2"} {
		if part, err := decodePart(name, whole); err == nil {
			t.Errorf("%q is taken for %q", name, part)
		}
	}
}

func TestTwins(t *testing.T) {
	root := newTree("")
	seen := map[string]string{}
	for _, part := range []string{"Work", "work", "WORK", "Caf\u00e9", "Cafe\u0301", "CAFE\u0301", "K", "\u212a", "k", "s", "\u017f", "a\u200db", "ab", "Σ", "σ", "ς"} {
		name := root.find(part).name
		if root.find(part).name != name {
			t.Errorf("%q has two names", part)
		}
		if other, taken := seen[fold(name)]; taken {
			t.Errorf("%q and %q would be one on some file systems: %q", part, other, name)
		}
		seen[fold(name)] = part
		back, err := decodePart(name, nil)
		if err != nil || back != part {
			t.Errorf("%q gives %q, which gives %q, %v", part, name, back, err)
		}
	}
	if name := root.find("work").name; name != "work%~2" {
		t.Errorf("the second of Work and work is called %q", name)
	}
}

func TestNamesOfAnything(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		pieces := []string{"a", "A", ".", " ", "%", "/", "\\", "~", "-", "=", "2", "E", "cur", "con", "com1", ".mbox", "\x00", "\xff", "ü", "u\u0308", ":", ".postcask"}
		draw := func(label string) string {
			if rapid.Bool().Draw(t, label+" free") {
				return rapid.String().Draw(t, label)
			}
			return strings.Join(rapid.SliceOf(rapid.SampledFrom(pieces)).Draw(t, label), "")
		}
		one, other := draw("one"), draw("other")
		checkName(t, one)
		checkName(t, other)
		if one != other && encodePart(one) == encodePart(other) {
			t.Fatalf("%q and %q have the same name", one, other)
		}
	})
}

func FuzzNames(f *testing.F) {
	for _, seed := range []string{"INBOX", "..", "a/b", "con.mbox", "\xff", strings.Repeat("ü", 300)} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, part string) {
		checkName(t, part)
		if name := encodePart(part); name != part {
			if other := encodePart(name); other == name {
				t.Fatalf("%q and %q have the same name", part, name)
			}
		}
	})
}

// The place that a damaged or forged index names leads nowhere outside.
func TestElements(t *testing.T) {
	for _, file := range []string{"", ".", "..", "../x", "/etc/x", "a/../b", "a//b", "a/", `..\x`, "a\x00b", ".postcask", ".postcask/index.db"} {
		if names, err := elements(file); err == nil || migrate.KindOf(err) != migrate.Damaged {
			t.Errorf("%q gives %q, %v", file, names, err)
		}
	}
}
