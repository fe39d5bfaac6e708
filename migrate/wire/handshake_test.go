package wire

import (
	"context"
	"io"
	"net"
	"testing"
	"testing/synctest"
	"time"

	"postcask/migrate"
)

// TestAServerThatNeverShakesHandsIsSilent dials a server that takes all and says nothing: that it gave no answer is what the
// user is told, and what to do, whichever clock runs out first.
func TestAServerThatNeverShakesHandsIsSilent(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ours, theirs := net.Pipe()
		go io.Copy(io.Discard, theirs)
		cfg := &Config{Host: "mail.example.org", Port: 993, TLS: Implicit, Timeout: 3 * time.Second,
			Dial: func(context.Context, string, string) (net.Conn, error) {
				time.Sleep(time.Second) // so that not both clocks run out at once
				return ours, nil
			}}
		_, err := Dial(t.Context(), cfg)
		if err == nil || err.Error() != "no answer for 3s" || migrate.KindOf(err) != migrate.Unavailable || migrate.HintOf(err) == "" {
			t.Errorf("got %v", err)
		}
	})
}
