package archive

import (
	"bytes"
	"errors"
	"fmt"
	"syscall"
	"testing"

	"postcask/migrate"
)

// Octets that were sent on their way before the group is settled are no safer for it: what the disk says at the sync counts,
// and after a refusal the file ends where it did.
func TestHurriedOctetsAreSyncedAllTheSame(t *testing.T) {
	a := newArchive(t, Mbox)
	body := bytes.Repeat([]byte("a line of some length, and another\r\n"), 40_000)
	full := func() error {
		s := a.Sink()
		defer s.Close()
		for i := range 5 {
			octets := append(fmt.Appendf(nil, "Subject: %d\r\n\r\n", i), body...)
			if err := s.Append(t.Context(), "INBOX", migrate.Message{}, migrate.Body{Reader: bytes.NewReader(octets), Size: int64(len(octets))}); err != nil {
				return err
			}
		}
		if hurried := s.(*sink).group.(*mboxGroup).hurried; hurried < hurryOctets {
			t.Errorf("%d octets were sent on their way", hurried)
		}
		_, err := s.Commit(t.Context())
		return err
	}
	synced := 0
	a.disk.fault = func(op, _ string) error {
		if op == "sync" {
			synced++
			return syscall.EIO
		}
		return nil
	}
	if err := full(); !errors.Is(err, syscall.EIO) || synced != 1 {
		t.Errorf("got %v after %d syncs", err, synced)
	}
	a.disk.fault = nil
	if err := full(); err != nil {
		t.Fatal(err)
	}
	verifyClean(t, a)
}
