package pop3

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"postcask/migrate"
)

// On a distant link time is what is waited for: all that needs no answer before goes together.
func TestADistantMaildropIsReadInFewRoundTrips(t *testing.T) {
	answers := map[string]string{
		"CAPA": "+OK\r\nUIDL\r\nUSER\r\nUTF8\r\nPIPELINING\r\n.\r\n", "STAT": "+OK 2 6\r\n", "LIST": "+OK\r\n1 3\r\n2 3\r\n.\r\n",
		"UIDL": "+OK\r\n1 one\r\n2 two\r\n.\r\n", "RETR": "+OK\r\na\r\n.\r\n",
	}
	var flights []string
	t.Cleanup(func() { // when the server has ended
		want := []string{"CAPA", "UTF8, USER me, PASS secret", "STAT, LIST, UIDL", "RETR 1, RETR 2", "QUIT"}
		if diff := cmp.Diff(want, flights); diff != "" {
			t.Error(diff)
		}
	})
	cfg, _ := serve(t, func(s *server) error {
		if err := s.say("+OK ready\r\n"); err != nil {
			return err
		}
		for b := make([]byte, 4096); ; {
			n, err := s.Conn.Read(b)
			if err != nil {
				return nil
			}
			said := strings.TrimSpace(string(b[:n]))
			flights = append(flights, strings.ReplaceAll(said, "\r\n", ", "))
			var answer string
			for line := range strings.SplitSeq(said, "\r\n") {
				verb, _, _ := strings.Cut(line, " ")
				if text, ok := answers[verb]; ok {
					answer += text
				} else {
					answer += "+OK\r\n"
				}
			}
			if err := s.say(answer); err != nil {
				return err
			}
		}
	})
	cfg.Auth = "auto"
	s, err := New(cfg).Open(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if status, err := s.Status(t.Context(), migrate.Inbox); err != nil || status.Messages != 2 {
		t.Errorf("%+v, %v", status, err)
	}
	uidls, err := names(s)
	if err != nil {
		t.Fatal(err)
	}
	if got, err := fetch(t.Context(), s, uidls...); err != nil || len(got) != 2 {
		t.Errorf("%q, %v", got, err)
	}
	s.Close()
}
