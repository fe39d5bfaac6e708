package mbox

import (
	"bytes"
	"io"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"testing/iotest"
	"time"

	gombox "github.com/emersion/go-mbox"
	"pgregory.net/rapid"
)

var quotable = regexp.MustCompile(`(?m)^(>*From )`)

// quoted is mboxrd's quoting as one would say it.
func quoted(text string) string { return quotable.ReplaceAllString(text, ">$1") }

func quote(t interface{ Fatal(...any) }, text string, piece int) string {
	var b bytes.Buffer
	var q Quoter
	q.Reset(&b)
	for rest := text; rest != ""; {
		n := min(piece, len(rest))
		if _, err := q.Write([]byte(rest[:n])); err != nil {
			t.Fatal(err)
		}
		rest = rest[n:]
	}
	if err := q.Close(); err != nil {
		t.Fatal(err)
	}
	return b.String()
}

func checkQuoting(t interface {
	Fatal(...any)
	Fatalf(string, ...any)
}, text string, piece int) {
	got, want := quote(t, text, piece), quoted(text)
	if got != want {
		t.Fatalf("%.80q in pieces of %d: got %.80q, want %.80q", text, piece, got, want)
	}
	for name, r := range map[string]io.Reader{
		"whole": strings.NewReader(got), "octets": iotest.OneByteReader(strings.NewReader(got)), "with EOF": iotest.DataErrReader(strings.NewReader(got)),
	} {
		back, err := io.ReadAll(NewUnquoter(r))
		if err != nil || string(back) != text {
			t.Fatalf("%s: %.80q comes back as %.80q, %v", name, text, back, err)
		}
	}
}

func TestQuoting(t *testing.T) {
	for _, text := range []string{
		"", "From ", "From", ">From ", ">>>From x", "From x\nFrom y\n", "xFrom ", "x From ", ">x>From ", "\n>From \n", "\r\nFrom \r\n",
		"From From From \n", ">>>>", ">>Fro", "F\nFr\nFro\nFrom\nFrom \n", "\nFFrom ", "From\x20", ">F>From ", "\rFrom ", "a\n>\nFrom ",
		strings.Repeat(">", 200000) + "From x\n", strings.Repeat(">", 200000) + "Frob\n", strings.Repeat("x", 65534) + "\nFrom \n", strings.Repeat("From ", 30000),
	} {
		for _, piece := range []int{1, 2, 3, 5, 7, 65536, 1 << 30} {
			if piece < 8 && len(text) > 1000 {
				continue
			}
			checkQuoting(t, text, piece)
		}
	}
}

func TestQuotingOfAnything(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		parts := rapid.SliceOf(rapid.SampledFrom([]string{">", "From ", "\n", "F", "Fro", "m ", "\r\n", "x", ""})).Draw(t, "parts")
		checkQuoting(t, strings.Join(parts, ""), rapid.IntRange(1, 9).Draw(t, "piece"))
	})
}

func FuzzQuoting(f *testing.F) {
	f.Add("From \n>From x\n", 1)
	f.Fuzz(func(t *testing.T, text string, piece int) { checkQuoting(t, text, max(1, piece)) })
}

func TestFromLine(t *testing.T) {
	zone := time.FixedZone("", -3*3600)
	for want, mark := range map[string]Mark{
		"From MAILER-DAEMON Sat Feb  1 02:30:09 2020\n": {},
		"From POSTCASK-OPEN Sat Feb  1 02:30:09 2020\n": {Open: true},
		"From POSTCASK-ASIS Sat Feb  1 02:30:09 2020\n": {Raw: true},
		"From POSTCASK-BOTH Sat Feb  1 02:30:09 2020\n": {Open: true, Raw: true},
	} {
		date := time.Date(2020, 1, 31, 23, 30, 9, 0, zone)
		line := FromLine(mark, date)
		if string(line) != want {
			t.Errorf("got %q, want %q", line, want)
		}
		back, at, err := ParseFromLine(line)
		if err != nil || back != mark || !at.Equal(date) {
			t.Errorf("%q reads as %v, %v, %v", line, back, at, err)
		}
	}
	for _, line := range []string{"", "From ", "From x", "From someone@example.org Sat Feb  1 02:30:09 2020", "From MAILER-DAEMON yesterday", "from MAILER-DAEMON Sat Feb  1 02:30:09 2020"} {
		if _, _, err := ParseFromLine([]byte(line)); err == nil {
			t.Errorf("%q is taken for a line of ours", line)
		}
	}
}

// The octets lie where they were put, between lines that the go-mbox reader understands as well.
func TestAppender(t *testing.T) {
	path := filepath.Join(t.TempDir(), "INBOX.mbox")
	f, err := os.Create(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	date := time.Date(2020, 2, 1, 2, 30, 9, 0, time.UTC)
	bodies := []string{"Subject: one\n\nFrom me\n", "", "Subject: three\n\nno newline", "\n", "Subject: five\n\nlast\n\n"}
	var a Appender
	for i, body := range bodies {
		start, err := f.Seek(0, io.SeekEnd)
		if err != nil {
			t.Fatal(err)
		}
		if err := a.Begin(f, date); err != nil {
			t.Fatal(err)
		}
		if _, err := io.WriteString(&a, body); err != nil {
			t.Fatal(err)
		}
		if err := a.Flush(); err != nil {
			t.Fatal(err)
		}
		if err := a.End(); err != nil {
			t.Fatal(err)
		}
		if i == 2 {
			if err := Patch(f, start, Mark{Open: true}); err != nil {
				t.Fatal(err)
			}
		}
	}
	got, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	plain := "From MAILER-DAEMON Sat Feb  1 02:30:09 2020\n"
	want := plain + "Subject: one\n\n>From me\n\n" + plain + "\n\n" + "From POSTCASK-OPEN Sat Feb  1 02:30:09 2020\nSubject: three\n\nno newline\n\n" +
		plain + "\n\n" + plain + "Subject: five\n\nlast\n\n\n"
	if string(got) != want {
		t.Fatalf("got\n%s\nwant\n%s", got, want)
	}

	r := gombox.NewReader(bytes.NewReader(got))
	for i, body := range bodies { // it may add blank lines at the end, and strips the quoting of mboxo, which is this here
		m, err := r.NextMessage()
		if err != nil {
			t.Fatalf("go-mbox, message %d: %v", i, err)
		}
		b, err := io.ReadAll(m)
		if err != nil {
			t.Fatal(err)
		}
		seen := strings.TrimRight(strings.ReplaceAll(string(b), "\r\n", "\n"), "\n")
		if seen != strings.TrimRight(body, "\n") {
			t.Errorf("go-mbox reads %q for message %d, want %q", seen, i, body)
		}
	}
	if _, err := r.NextMessage(); err != io.EOF {
		t.Errorf("go-mbox finds one more message, %v", err)
	}
}

func BenchmarkQuoter(b *testing.B) {
	text := bytes.Repeat([]byte(strings.Repeat("x", 70)+"\n"), 15000)
	var q Quoter
	b.SetBytes(int64(len(text)))
	b.ReportAllocs()
	for b.Loop() {
		q.Reset(io.Discard)
		if _, err := q.Write(text); err != nil {
			b.Fatal(err)
		}
	}
}
