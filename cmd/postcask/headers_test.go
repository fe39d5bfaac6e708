package main

import (
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestDecodeWords(t *testing.T) {
	for text, want := range map[string]string{
		"plain":                                       "plain",
		"=?iso-8859-1?Q?Gr=FC=DFe?=":                  "Grüße",
		"=?utf-8?B?R3LDvMOfZQ==?= und mehr":           "Grüße und mehr",
		"=?windows-1252?Q?=80_5?=":                    "€ 5",
		"=?koi8-r?B?8NLJ18XU?=":                       "Привет",
		"=?iso-2022-jp?B?GyRCRnxLXBsoQg==?=":          "日本",
		"=?gb2312?B?xOO6ww==?= =?gb2312?B?xOO6ww==?=": "你好你好",
		"=?x-unknown?Q?abc?=":                         "=?x-unknown?Q?abc?=",
		"=?utf-8?B?!!!?=":                             "=?utf-8?B?!!!?=",
		"bare Gr\xfc\xdfe":                            "bare Grüße",
		"bare Grüße":                                  "bare Grüße",
		"=?iso-8859-1?Q?=46rom=3A?= <me@example.org>": "From: <me@example.org>",
	} {
		if got := decodeWords(text); got != want {
			t.Errorf("%q: %q, want %q", text, got, want)
		}
	}
}

func TestHeaderFields(t *testing.T) {
	got := headerFields([]byte("Received: x\r\nSUBJECT: one\r\n\ttwo\r\n three\r\nno field\r\n continued\r\nFrom : a@example.org\nfrom: b@example.org\r\nSubject: again\r\n more\r\nX-To: c\r\n\r\nTo: body\r\n"))
	want := map[string]string{"subject": "one two three", "from": "a@example.org"}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
}
