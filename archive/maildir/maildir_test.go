package maildir

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"postcask/migrate"
)

func TestBase(t *testing.T) {
	unique := Unique(time.Unix(1700000000, 123456789), 42, 7, "k3jx", Host("mail.example.org"))
	n := Name{Unique: unique, Disk: 10, Wire: 12}
	want := "1700000000.M123456P42Q7Rk3jx.mail.example.org,S=10,W=12"
	if n.Base() != want {
		t.Errorf("got %q, want %q", n.Base(), want)
	}
	back, err := ParseBase(want)
	if err != nil || back != n {
		t.Errorf("%q reads as %v, %v", want, back, err)
	}
	if run := Run(want); run != "k3jx" {
		t.Errorf("run is %q", run)
	}
	for _, bad := range []string{"", "x", "x,S=1", "x,W=1", "x,S=-1,W=1", "x,S=01,W=1", "x,S=1,W=99999999999999999999", ",S=1,W=1", "x,S=1,W=1,V=2"} {
		if _, err := ParseBase(bad); err == nil {
			t.Errorf("%q is taken for a base name", bad)
		}
	}
	for _, other := range []string{"", "1700000000.R12_1.host", "1700000000.M1P2.host,S=1,W=1", "x.M1P2Q3Rabc.host", "1700000000.M1P2Q3Rabc"} {
		if run := Run(other); run != "" {
			t.Errorf("%q is taken for a file of run %q", other, run)
		}
	}
}

func TestHost(t *testing.T) {
	for name, want := range map[string]string{
		"mail.example.org": "mail.example.org", "": "localhost", "..": "localhost", "a/b:c,d": "a_b_c_d", "ü": "_",
		strings.Repeat("a", 100): strings.Repeat("a", 64), "../../x": "_.._x",
	} {
		if got := Host(name); got != want {
			t.Errorf("%q: got %q, want %q", name, got, want)
		}
	}
}

func TestSplit(t *testing.T) {
	for name, want := range map[string][2]string{
		"b,S=1,W=1:2,FS": {"b,S=1,W=1", "FS"}, "b:2,": {"b", ""}, "b": {"b", ""}, "b:1,x": {"b", ""},
	} {
		base, letters := Split(name)
		if base != want[0] || letters != want[1] {
			t.Errorf("%q: got %q and %q", name, base, letters)
		}
	}
	if got := Join("b", "FS"); got != "b:2,FS" {
		t.Errorf("got %q", got)
	}
}

func TestKeywords(t *testing.T) {
	k := new(Keywords)
	if !k.Add("$Forwarded", "NonJunk", "has space", "line\nend", "ümlaut", "", "nonjunk") {
		t.Error("nothing was added")
	}
	if got, want := string(k.Format()), "0 $Forwarded\n1 NonJunk\n"; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
	if k.Add("NONJUNK") {
		t.Error("a keyword got two letters")
	}
	for i := range 40 {
		k.Add(fmt.Sprintf("k%d", i))
	}
	if _, ok := k.Letter("k23"); !ok {
		t.Error("the 26th keyword has no letter")
	}
	if _, ok := k.Letter("k24"); ok {
		t.Error("the 27th keyword has a letter")
	}
	if diff := cmp.Diff(k.Format(), ParseKeywords(k.Format()).Format()); diff != "" {
		t.Error(diff)
	}
	odd := ParseKeywords([]byte("3 c\r\n-1 x\n26 y\nz\n3 again\n4\n5 two words\n"))
	if got := string(odd.Format()); got != "3 c\n" {
		t.Errorf("got %q", got)
	}
}

func TestLetters(t *testing.T) {
	k := new(Keywords)
	k.Add("$Forwarded", "NonJunk")
	for _, c := range []struct {
		flags   migrate.Flags
		letters string
	}{
		{migrate.NewFlags(), ""},
		{migrate.NewFlags(`\Seen`, `\Answered`, `\Flagged`, `\Draft`, `\Deleted`), "DFRST"},
		{migrate.NewFlags(`\Seen`, "NonJunk"), "Sb"},
		{migrate.NewFlags("$Forwarded"), "Pa"},
	} {
		if got := Letters(c.flags, k); got != c.letters {
			t.Errorf("%v: got %q, want %q", c.flags, got, c.letters)
		}
		if diff := cmp.Diff(c.flags, Flags(c.letters, k)); diff != "" {
			t.Errorf("%q: %s", c.letters, diff)
		}
	}
	if got := Letters(migrate.NewFlags("unheard-of", `\Odd`), k); got != "" {
		t.Errorf("got %q", got)
	}
	if got := Flags("Zz:", k); len(got) != 0 {
		t.Errorf("got %v", got)
	}
}
