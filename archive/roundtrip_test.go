package archive

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"postcask/migrate"
)

// nasty are bodies that formats on disk like to change.
var nasty = []string{
	"", "\r\n", "\n", "\r", "\r\n\r\n", "x", "Subject: x", "Subject: x\r\n", "Subject: x\r\n\r\n", "Subject: x\r\n\r\nno newline at the end",
	"A: b\r\n\r\nFrom me\r\n>From you\r\n>>>From all\r\nFrom", "From the first line\r\n", "From MAILER-DAEMON Sat Feb  1 02:30:09 2020\r\n\r\nx\r\n\r\nFrom MAILER-DAEMON Sat Feb  1 02:30:09 2020\r\n",
	"A: b\n\nbare LF\nFrom me\n", "A: b\n\nbare LF, no newline", "A: b\r\n\r\nCR at the end\r", "a\r\r\nb\r\n", "a\r\n\rb\r\n", "A: b\r\n\r\none bare\nLF\r\n", "From \n>From \r\n\rFrom ",
	"A: b\r\n\r\n.\r\n..\r\n.dot\r\n", "A: b\r\n\r\nNUL \x00 and \xff\xfe\r\n\x00", "A: b\r\n\r\n\r\n\r\n\r\n", "A: b\r\n\r\nblank lines\r\n\r\n\r\n",
	strings.Repeat("From x\r\n", 20000), strings.Repeat("From x\r\n", 20000) + "\n", strings.Repeat(">", 70000) + "From x\r\n",
	strings.Repeat("0123456789abcdef", 10<<20/16), strings.Repeat("long and longer\r\n", 100000), strings.Repeat("long and longer\r\n", 100000) + "x\r",
}

func TestRoundTrip(t *testing.T) {
	inEach(t, func(t *testing.T, a *Archive) {
		store(t, a, "INBOX", nasty...)
		if diff := cmp.Diff(nasty, texts(t, a, "INBOX")); diff != "" {
			t.Errorf("%.2000s", diff)
		}
		a = reopen(t, a)
		if diff := cmp.Diff(nasty, texts(t, a, "INBOX")); diff != "" {
			t.Errorf("after opening again: %.2000s", diff)
		}
		if totals := verifyClean(t, a); totals.Messages != int64(len(nasty)) || totals.Mailboxes != 1 {
			t.Errorf("verify counts %+v", totals)
		}
	})
}

func TestRoundTripOfAnything(t *testing.T) {
	inEach(t, func(t *testing.T, a *Archive) {
		var want []string
		s := a.Sink()
		defer s.Close()
		rapid.Check(t, func(r *rapid.T) {
			parts := rapid.SliceOf(rapid.SampledFrom([]string{"\r\n", "\r\n", "\n", "\r", "From ", ">", "x", "\x00", "Subject: y"})).Draw(r, "parts")
			text := strings.Join(parts, "")
			if err := s.Append(t.Context(), "Work/2020", migrate.Message{InternalDate: arrived}, bodyOf(text)); err != nil {
				r.Fatal(err)
			}
			want = append(want, text)
		})
		commit(t, s)
		if diff := cmp.Diff(want, texts(t, a, "Work/2020")); diff != "" {
			t.Errorf("%.2000s", diff)
		}
		verifyClean(t, a)
	})
}

// The mail of the corpus, as its files are and with their line ends as on the wire, comes back octet for octet.
func TestCorpus(t *testing.T) {
	corpus := os.Getenv("POSTCASK_CORPUS")
	if corpus == "" {
		if os.Getenv("CI") == "true" {
			t.Fatal("POSTCASK_CORPUS names no corpus, and CI must have one")
		}
		corpus = "testdata"
	}
	var want []string
	for _, name := range files(t, filepath.Join(corpus, "eml"), "*") {
		text, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		wire := bytes.ReplaceAll(bytes.ReplaceAll(text, []byte("\r\n"), []byte("\n")), []byte("\n"), []byte("\r\n"))
		want = append(want, string(text), string(wire))
	}
	if len(want) == 0 {
		t.Fatalf("no mail in %q", corpus)
	}
	inEach(t, func(t *testing.T, a *Archive) {
		stored := store(t, a, "Corpus", want...)
		if len(stored) != len(want) {
			t.Errorf("%d of %d are told to be stored", len(stored), len(want))
		}
		a = reopen(t, a)
		got := texts(t, a, "Corpus")
		if len(got) != len(want) {
			t.Fatalf("%d of %d come back", len(got), len(want))
		}
		for i := range want {
			if got[i] != want[i] {
				t.Errorf("message %d comes back changed: %.200q, want %.200q", i, got[i], want[i])
			}
		}
		verifyClean(t, a)
	})
}

// Everything about a message but its octets comes back too.
func TestMetadata(t *testing.T) {
	inEach(t, func(t *testing.T, a *Archive) {
		m := migrate.Message{InternalDate: arrived, Flags: migrate.NewFlags(`\Answered`, `\Flagged`, "$Forwarded", "NonJunk", "with space")}
		text := "Message-Id:\r\n <one@example.org> (comment)\r\nSubject: x\r\n\r\nbody\r\n"
		s := a.Sink()
		defer s.Close()
		box := migrate.Mailbox{Path: "Sent", Role: migrate.RoleSent, Subscribed: true}
		if err := s.Create(t.Context(), box); err != nil {
			t.Fatal(err)
		}
		if err := s.Append(t.Context(), "Sent", m, bodyOf(text)); err != nil {
			t.Fatal(err)
		}
		if err := s.Append(t.Context(), "Sent", migrate.Message{}, bodyOf("POP3 tells no date\r\n")); err != nil {
			t.Fatal(err)
		}
		stored := commit(t, s)
		if err := s.Close(); err != nil {
			t.Fatal(err)
		}
		a = reopen(t, a)
		got := held(t, a, "Sent")
		if len(got) != 2 {
			t.Fatalf("%d messages", len(got))
		}
		h := migrate.NewHasher()
		_, _ = h.Write([]byte(text))
		if got[0].Key != stored[0].Key || !got[0].InternalDate.Equal(arrived) || got[0].InternalDate.Format("-0700") != "+0200" ||
			!got[0].Flags.Equal(m.Flags) || got[0].Identity != h.Identity() || got[0].Size != int64(len(text)) {
			t.Errorf("got %+v", got[0])
		}
		if !got[1].InternalDate.IsZero() || len(got[1].Flags) != 0 {
			t.Errorf("got %+v", got[1])
		}
		rows, err := a.Index().ByIdentity(t.Context(), "Sent", h.Identity().Trimmed)
		if err != nil || len(rows) != 1 || rows[0].MessageID != "<one@example.org>" {
			t.Errorf("the index has %+v, %v", rows, err)
		}
		boxes, err := a.Source().Mailboxes(t.Context())
		if diff := cmp.Diff([]migrate.Mailbox{box}, boxes); diff != "" || err != nil {
			t.Error(diff, err)
		}
		if a.Format() == Maildir {
			checkMaildirFile(t, a)
		}
	})
}

func checkMaildirFile(t *testing.T, a *Archive) {
	t.Helper()
	found := files(t, filepath.Join(a.Dir(), "Sent", "cur"), "*:2,FPRab")
	if len(found) != 1 {
		t.Fatalf("files in cur: %q", files(t, filepath.Join(a.Dir(), "Sent"), "*"))
	}
	info, err := os.Stat(found[0])
	if err != nil || !info.ModTime().Equal(arrived) {
		t.Errorf("the file's time is %v, %v", info.ModTime(), err)
	}
	keywords, err := os.ReadFile(filepath.Join(a.Dir(), "Sent", "dovecot-keywords"))
	if string(keywords) != "0 $Forwarded\n1 NonJunk\n" {
		t.Errorf("dovecot-keywords holds %q, %v", keywords, err)
	}
}

func TestMessageID(t *testing.T) {
	for head, want := range map[string]string{
		"Message-ID: <a@example.org>\r\n": "<a@example.org>", "message-id:<a@example.org>\n\n": "<a@example.org>", "Message-Id:\r\n\t<a@example.org>\r\n\r\n": "<a@example.org>",
		"Subject: x\r\nMessage-ID : <b@example.org> trailing\r\n\r\n": "<b@example.org>", "Message-ID: bare@example.org (x)\r\n": "bare@example.org",
		"": "", "\r\nMessage-ID: <body@example.org>\r\n": "", "X: y\r\n Message-ID: <folded@example.org>\r\n\r\n": "", "Message-ID:\r\nX: y\r\n\r\n": "", "Message-ID": "",
		"Message-ID: <\xff@example.org>\r\n": "<\uFFFD@example.org>",
	} {
		if got := messageID([]byte(head)); got != want {
			t.Errorf("%q: got %q, want %q", head, got, want)
		}
	}
}
