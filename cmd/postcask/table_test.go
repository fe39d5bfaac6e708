package main

import (
	"strings"
	"testing"

	"github.com/rivo/uniseg"
)

func TestColumnsLineUpWhateverTheScript(t *testing.T) {
	var out strings.Builder
	columns := table{out: &out}
	for _, name := range []string{"MAILBOX", "INBOX", "日本語/受信", "Entwürfe", "e\u0301te\u0301", "Family 👩‍👩‍👧"} {
		columns.row([]string{name, "24", "x"})
	}
	columns.flush()
	var at int
	for line := range strings.Lines(out.String()) {
		before, _, ok := strings.Cut(line, "24")
		if width := uniseg.StringWidth(before); !ok || at != 0 && width != at {
			t.Errorf("the second column begins at cell %d, not %d: %q", width, at, line)
		} else {
			at = width
		}
	}
}

func TestLongTextsAreCutToTheCell(t *testing.T) {
	for text, want := range map[string]string{
		"short":                        "short",
		"12345678":                     "12345678",
		"123456789":                    "1234567…",
		"日本語受信箱":                       "日本語…",
		"e\u0301e\u0301e\u0301e\u0301": "e\u0301e\u0301e\u0301e\u0301",
	} {
		if got := shorten(text, 8); got != want {
			t.Errorf("%q became %q", text, got)
		}
	}
}
