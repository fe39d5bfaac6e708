package mbox

import (
	"bytes"
	"testing"
)

// Whatever stands where a "From " line should be: what is taken for one of ours is one, to the octet.
func FuzzFromLine(f *testing.F) {
	for _, seed := range []string{
		"From MAILER-DAEMON Sat Feb  1 02:30:09 2020\n", "From POSTCASK-BOTH Sat Feb  1 02:30:09 2020", "From POSTCASK-OPEN Sat Feb 01 02:30:09 2020\n",
		"From someone@example.org Sat Feb  1 02:30:09 2020\n", "From ", "", "\n", "From MAILER-DAEMON \n", "From MAILER-DAEMON Sun Feb  1 02:30:09 2020\n",
		"From MAILER-DAEMON Sat Feb  1 02:30:09 99999\n", "From MAILER-DAEMON Sat Feb  1 02:30:09 2020\n\n", "From \x00 x\n",
	} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, line []byte) {
		mark, date, err := ParseFromLine(line)
		if err != nil {
			return
		}
		back := FromLine(mark, date)
		again, at, err := ParseFromLine(back)
		if err != nil || again != mark || !at.Equal(date) {
			t.Fatalf("%q reads as %+v of %v, whose line %q reads as %+v of %v, %v", line, mark, date, back, again, at, err)
		}
		if len(back) != len(FromLine(Mark{}, date)) || !bytes.HasPrefix(back, from) {
			t.Errorf("%q is not as long as one without marks", back)
		}
	})
}
