package pop3

import (
	"testing"
	"time"

	"postcask/migrate"
)

func TestServerWantsTimeBetweenTwoLogIns(t *testing.T) {
	for _, test := range []struct {
		name, code string
		announced  []string
		want       time.Duration
	}{
		{"named in the refusal", "LOGIN-DELAY 30", []string{"900"}, 30 * time.Second},
		{"announced by CAPA", "LOGIN-DELAY", []string{"900"}, 15 * time.Minute},
		{"announced for each user", "LOGIN-DELAY", []string{"60", "USER"}, time.Minute},
		{"announced as nonsense", "LOGIN-DELAY", []string{"-1"}, time.Minute},
		{"not announced", "LOGIN-DELAY", nil, time.Minute},
		{"beyond measure", "LOGIN-DELAY 99999999999999999999999", nil, time.Minute},
		{"for years", "LOGIN-DELAY 99999999", nil, longestDelay},
	} {
		s := &Session{capabilities: map[string][]string{}}
		if test.announced != nil {
			s.capabilities["LOGIN-DELAY"] = test.announced
		}
		err := s.refused(&Refusal{Command: "PASS", Code: test.code, Text: "minimum time between mail checks violation"}, migrate.Auth)
		advice, pause := migrate.AdviceOf(err)
		if migrate.KindOf(err) != migrate.Unavailable || advice != migrate.Later || pause != test.want {
			t.Errorf("%s: %v after %v, want %v", test.name, advice, pause, test.want)
		}
	}
}
