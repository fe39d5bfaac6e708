package imap

import (
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"postcask/migrate"
)

func TestModifiedUTF7(t *testing.T) {
	tests := []struct {
		raw, text string
		exact     bool
	}{
		{"INBOX", "INBOX", true}, {"Entw&APw-rfe", "Entwürfe", true}, {"Q&-A", "Q&A", true}, {"&-", "&", true}, {"~peter/mail/&U,BTFw-/&ZeVnLIqe-", "~peter/mail/台北/日本語", true},
		{"&2D3eAA-", "😀", true}, {"", "", true},
		{"R&D", "R&D", false}, {"&AGE-", "&AGE-", false}, {"&AOQ-&AOQ-", "&AOQ-&AOQ-", false}, {"&", "&", false}, {"&A-", "&A-", false}, {"&2D0-", "&2D0-", false},
		{"Entw\xfcrfe", "Entwürfe", false}, {"Entwürfe", "Entwürfe", false}, {"&AOR-x", "&AOR-x", false},
	}
	for _, test := range tests {
		text, exact := decodeName(test.raw)
		if text != test.text || exact != test.exact {
			t.Errorf("%q: %q, %v", test.raw, text, exact)
		}
		if exact && encodeName(text) != test.raw {
			t.Errorf("%q goes out as %q", test.raw, encodeName(text))
		}
	}
}

func FuzzModifiedUTF7(f *testing.F) {
	for _, seed := range []string{"INBOX", "&-", "&APw-", "R&D", "&2D3eAA-", "\xff", "&&--"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, raw string) {
		if text, exact := decodeName(raw); exact && encodeName(text) != raw {
			t.Errorf("%q goes out as %q", raw, encodeName(text))
		}
		if text, ok := decodeUTF7(encodeName(showable(raw))); !ok || text != showable(raw) {
			t.Errorf("%q comes back as %q", showable(raw), text)
		}
	})
}

// FuzzReader feeds the reader with anything: it must come to an end, without panic, holding little.
func FuzzReader(f *testing.F) {
	for _, seed := range []string{
		"* 1 FETCH (UID 5 BODY[] {3}\r\nabc FLAGS (\\Seen a]))\r\n", "* LIST (\\Noselect) \"/\" {3}\r\na b\r\n", "* OK [CODE never closed\r\n", "T1 OK\r\n", "+\r\n",
		"* 1 FETCH (BODY[HEADER.FIELDS (DATE \"x\")] ~{1+}\r\nx)\r\n", "* NAMESPACE ((\"\" \"/\")) NIL NIL\r\n", "* 5\r\n", "*\r\n", "* LIST () \"\\\" x\r\n", "{5}\r\n", "* X {9999999}\r\n",
		"* VANISHED (EARLIER) 1:4294967295,7,9:8\r\n", "* VANISHED (\r\n", "* VANISHED {3}\r\n1:2\r\n", "* VANISHED 0:*\r\n",
	} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, said string) {
		in := newReader(strings.NewReader(said))
		for {
			resp, err := in.response()
			if err != nil {
				return
			}
			switch resp.word {
			case "FETCH":
				err = readItems(in, new(migrate.Message))
			case "LIST":
				_, _, err = readRow(in)
			case "NAMESPACE":
				_, err = readNamespaces(in)
			case "STATUS":
				err = readState(in, map[string]told{})
			case "VANISHED":
				var said remark
				err = (&Session{in: in, vanishes: true}).readVanished(&said)
				if gone, count := said.gone.all(); err == nil && count < uint64(len(gone)) {
					t.Errorf("%d UIDs in %d stretches", count, len(gone))
				}
			}
			if err != nil {
				return
			}
		}
	})
}

func TestDates(t *testing.T) {
	at := func(year int, month time.Month, day, hour, minute, second, offset int) string {
		return time.Date(year, month, day, hour, minute, second, 0, time.FixedZone("", offset)).Format(time.RFC3339)
	}
	tests := map[string]string{
		"17-Jul-1996 02:44:25 -0700": at(1996, 7, 17, 2, 44, 25, -7*3600),
		" 1-Jan-2020 00:00:00 +0000": at(2020, 1, 1, 0, 0, 0, 0),
		"1-JAN-2020 00:00:00 +0545":  at(2020, 1, 1, 0, 0, 0, 5*3600+45*60),
		"31-Feb-2020 10:00:00 +0000": at(2020, 3, 2, 10, 0, 0, 0),
		"01-Jan-2020 24:00:00 +0000": at(2020, 1, 2, 0, 0, 0, 0),
		"31-Dec-2016 23:59:60 +0000": at(2017, 1, 1, 0, 0, 0, 0),
		"01-Jan-2020 00:00:00 +9999": at(2020, 1, 1, 0, 0, 0, 0),
		"01-Jan-2020 00:00:00 GMT":   at(2020, 1, 1, 0, 0, 0, 0),
		"01-Jan-2020 00:00:00":       at(2020, 1, 1, 0, 0, 0, 0),
		"01-Jan-99 00:00:00 +0000":   at(1999, 1, 1, 0, 0, 0, 0),
		"01-Jan-20 00:00:00 +0000":   at(2020, 1, 1, 0, 0, 0, 0),
		"":                           "", "NIL": "", "x y": "", "32-Jan-2020 00:00:00 +0000": "", "01-Foo-2020 00:00:00 +0000": "", "01-Jan-2020 25:00:00 +0000": "", "01-Jan-2020 -1:00:00 +0000": "",
	}
	for text, want := range tests {
		got := parseDate(text)
		if shown := got.Format(time.RFC3339); got.IsZero() != (want == "") || want != "" && shown != want {
			t.Errorf("%q: %v, not %q", text, got, want)
		}
	}
	for text, when := range map[string]time.Time{
		" 3-Feb-2001 04:05:06 -0330": time.Date(2001, 2, 3, 4, 5, 6, 7, time.FixedZone("", -(3*3600+30*60))),
		"13-Feb-2001 04:05:06 +0000": time.Date(2001, 2, 13, 4, 5, 6, 0, time.UTC),
		"31-Dec-1899 23:30:00 +0000": time.Date(1900, 1, 1, 0, 0, 17, 0, time.FixedZone("LMT", 30*60+17)),
		"":                           time.Date(10000, 1, 1, 0, 0, 0, 0, time.UTC),
	} {
		if got, _ := formatDate(when); got != text {
			t.Errorf("%v: %q, not %q", when, got, text)
		}
	}
	if _, ok := formatDate(time.Time{}); ok {
		t.Error("the zero time has a form")
	}
}

func TestStatusResponses(t *testing.T) {
	tests := map[string]status{
		"plain words":                     {text: "plain words"},
		"[overquota] full":                {code: "OVERQUOTA", text: "full"},
		"[APPENDUID 1 2:3] done":          {code: "APPENDUID", args: "1 2:3", text: "done"},
		"[PERMANENTFLAGS (a] \\* b)] ok":  {code: "PERMANENTFLAGS", args: "(a] \\* b)", text: "ok"},
		"[CODE never closed":              {text: "[CODE never closed"},
		"[] x":                            {text: "x"},
		"[ x] y":                          {code: "X", text: "y"},
		"[UIDVALIDITY 99999999999] large": {code: "UIDVALIDITY", args: "99999999999", text: "large"},
	}
	for text, want := range tests {
		want.kind = "OK"
		if diff := cmp.Diff(want, parseStatus("OK", text), cmp.AllowUnexported(status{})); diff != "" {
			t.Errorf("%q: %s", text, diff)
		}
	}
	if _, ok := parseStatus("OK", "[UIDVALIDITY 99999999999] x").number(); ok {
		t.Error("a number of more than 32 bits was taken")
	}
}
