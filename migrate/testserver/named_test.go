package testserver

import (
	"slices"
	"testing"
)

func TestNamed(t *testing.T) {
	t.Setenv("POSTCASK_SERVERS", "cyrus, dovecot")
	if got := Named(t); !slices.Equal(got, []string{"cyrus", "dovecot"}) {
		t.Errorf("named %q", got)
	}
	t.Setenv("POSTCASK_SERVERS", "")
	if got := Named(t); len(got) != 0 {
		t.Errorf("none named, got %q", got)
	}
}
