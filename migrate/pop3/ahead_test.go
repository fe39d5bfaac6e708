package pop3

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"postcask/migrate"
)

// What is asked for ahead comes before anybody asks for it, is asked for once, and stands in nobody's way.
func TestFetchAhead(t *testing.T) {
	const body1, body2, body3 = "s: +OK\r\na\r\n.\r\n", "s: +OK\r\nb\r\n..\r\n.\r\n", "s: +OK\r\nc\r\n.\r\n"
	asked := []string{"C: RETR 1", "C: RETR 2", "C: RETR 3"}
	for name, c := range map[string]struct {
		answers []string
		fetch   []string
		want    []string
	}{
		"as foretold":             {[]string{body1, body2, body3}, []string{"1", "2", "3"}, []string{"1: a\r\n", "2: b\r\n.\r\n", "3: c\r\n"}},
		"and one more":            {[]string{body1, body2, body3, "C: RETR 4", "s: +OK\r\nd\r\n.\r\n"}, []string{"1", "2", "3", "4"}, []string{"1: a\r\n", "2: b\r\n.\r\n", "3: c\r\n", "4: d\r\n"}},
		"fewer":                   {[]string{body1, body2, body3}, []string{"1"}, []string{"1: a\r\n"}},
		"not the first":           {[]string{"C: RETR 2", "C: RETR 3", body1, body2, body3, body2, body3}, []string{"2", "3"}, []string{"2: b\r\n.\r\n", "3: c\r\n"}},
		"not the second":          {[]string{"C: RETR 3", body1, body2, body3, body3}, []string{"1", "3"}, []string{"1: a\r\n", "3: c\r\n"}},
		"others":                  {[]string{"C: RETR 4", body1, "S: -ERR no such message", body3, "s: +OK\r\nd\r\n.\r\n"}, []string{"4"}, []string{"4: d\r\n"}},
		"one vanished meanwhile":  {[]string{body1, "S: -ERR no such message", body3}, []string{"1", "2", "3"}, []string{"1: a\r\n", "3: c\r\n"}},
		"one is not in the drop":  {[]string{body1, body2, body3}, []string{"1", "nobody", "2", "3"}, []string{"1: a\r\n", "2: b\r\n.\r\n", "3: c\r\n"}},
		"one that cannot be read": {[]string{body1, "S: -ERR [SYS/PERM] broken", body3}, []string{"1", "2", "3"}, []string{"1: a\r\n", "2! RETR 2: -ERR [SYS/PERM] broken", "3: c\r\n"}},
	} {
		t.Run(name, func(t *testing.T) {
			come := make(chan struct{})
			cfg, _ := serve(t, func(s *server) error {
				if err := s.play(loggedIn("PIPELINING UIDL", join(flight(listOf("1", "2", "3", "4")), asked)...)...); err != nil {
					return err
				}
				close(come)
				return s.play(append(c.answers, bye...)...)
			})
			s := openAt(t, cfg)
			if _, err := names(s); err != nil {
				t.Fatal(err)
			}
			s.FetchAhead(t.Context(), migrate.Inbox, messages("1", "2", "3"))
			select {
			case <-come:
			case <-time.After(10 * time.Second):
				t.Fatal("nothing is asked for ahead")
			}
			got, err := fetch(t.Context(), s, c.fetch...)
			if diff := cmp.Diff(c.want, got); diff != "" || err != nil {
				t.Errorf("%v, -want +got:\n%s", err, diff)
			}
			if err := s.settle(); err != nil {
				t.Error(err)
			}
		})
	}
}

// flight puts what listOf says into the order of one flight: commands, then answers.
func flight(script []string) (ordered []string) {
	for _, first := range []byte("CS") {
		for _, line := range script {
			if isCommand := line[0] == 'C'; isCommand == (first == 'C') {
				ordered = append(ordered, line)
			}
		}
	}
	return ordered
}

// Nothing is asked for ahead where commands are not to be sent together, or before messages are known.
func TestFetchAheadThatCannotBe(t *testing.T) {
	t.Run("no PIPELINING", func(t *testing.T) {
		s := open(t, loggedIn("UIDL", join(listOf("1"), []string{"C: QUIT", "S: +OK", "END"})...)...)
		if _, err := names(s); err != nil {
			t.Fatal(err)
		}
		s.FetchAhead(t.Context(), migrate.Inbox, messages("1"))
		s.Close()
	})
	t.Run("not listed", func(t *testing.T) {
		s := open(t, loggedIn("PIPELINING UIDL", bye...)...)
		s.FetchAhead(t.Context(), migrate.Inbox, messages("1"))
		s.Close()
	})
}

// The connection breaks while nobody waits: that is told by Fetch, as it would be without asking ahead.
func TestFetchAheadOverALineThatBreaks(t *testing.T) {
	s := open(t, loggedIn("PIPELINING UIDL", join(flight(listOf("1", "2")), []string{"C: RETR 1", "C: RETR 2", "s: +OK\r\na\r\n.\r\n+OK\r\nhal"})...)...)
	if _, err := names(s); err != nil {
		t.Fatal(err)
	}
	s.FetchAhead(t.Context(), migrate.Inbox, messages("1", "2"))
	got, err := fetch(t.Context(), s, "1", "2")
	if diff := cmp.Diff([]string{"1: a\r\n"}, got); diff != "" || err == nil || !migrate.IsTemporary(err) {
		t.Errorf("%v, -want +got:\n%s", err, diff)
	}
}
