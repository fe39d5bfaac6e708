package testserver

import (
	"os"
	"strings"
	"testing"
)

// Named gives the real servers to test against: those listed in POSTCASK_SERVERS, separated by commas, and where it is
// unset all three. A name that is unknown ends the test.
func Named(tb testing.TB) []string {
	tb.Helper()
	list, set := os.LookupEnv("POSTCASK_SERVERS")
	if !set {
		return []string{"dovecot", "cyrus", "courier"}
	}
	names := strings.FieldsFunc(list, func(r rune) bool { return r == ',' || r == ' ' })
	for _, name := range names {
		if name != "dovecot" && name != "cyrus" && name != "courier" {
			tb.Fatalf("POSTCASK_SERVERS names %q; dovecot, cyrus and courier are known", name)
		}
	}
	return names
}

// Start runs the real server of that name, with its defaults, until the test ends.
func Start(tb testing.TB, name string) *Server {
	tb.Helper()
	switch name {
	case "dovecot":
		return StartDovecot(tb)
	case "cyrus":
		return StartCyrus(tb)
	case "courier":
		return StartCourier(tb)
	}
	tb.Fatalf("there is no server %q", name)
	return nil
}
