package maildir

import (
	"bytes"
	"strings"
	"testing"
)

// Any program may put any name into a Maildir: each is taken apart and put together again without loss, and what
// passes for a name of ours is one.
func FuzzFileName(f *testing.F) {
	for _, seed := range []string{
		"1700000000.M1P2Q3Rabcde.mail.example.org,S=10,W=12:2,FS", "1700000000.V1I2.example.org:2,", "x", "", ":", ":2,", "a:1,x", "a:2,b:2,c", ",S=1,W=1",
		"a,S=01,W=1", "a,S=-1,W=1", "a,S=9223372036854775808,W=1", "1.MQR.", ".M", "9.MQ1R.x,S=1", "\xff\x00:2,\n", strings.Repeat("a", 300) + ":2,S",
	} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, name string) {
		base, letters := Split(name)
		if strings.Contains(base, ":") || !strings.HasPrefix(name, base) || !strings.Contains(name, letters) {
			t.Fatalf("%q falls into %q and %q", name, base, letters)
		}
		if again, same := Split(Join(base, letters)); again != base || same != letters {
			t.Errorf("%q and %q give %q and %q", base, letters, again, same)
		}
		if n, err := ParseBase(base); err == nil && (n.Base() != base || n.Disk < 0 || n.Wire < 0) {
			t.Errorf("%q reads as %+v, which is called %q", base, n, n.Base())
		}
		if run := Run(base); run != "" && !strings.Contains(base, "R"+run+".") {
			t.Errorf("%q is of run %q", base, run)
		}
		if host := Host(name); host == "" || len(host) > 64 || strings.ContainsAny(host, "/:,\x00\n") || host[0] == '.' {
			t.Errorf("%q gives the host %q", name, host)
		}
	})
}

// A keywords file that another program wrote, or that is torn, gives the same keywords when it is written again, and no
// letter stands for two.
func FuzzKeywords(f *testing.F) {
	for _, seed := range []string{"0 $Forwarded\n1 NonJunk\n", "0 a\n0 b\n1 A\n", "25 z\n26 y\n-1 x\n+1 w\n", "1\n1 \n 1 a\n", "0 a\r\n1 b", "\x00", "0 (\n1 a b\n", "00 a\n"} {
		f.Add([]byte(seed), "bcS", "NonJunk")
	}
	f.Fuzz(func(t *testing.T, text []byte, letters, name string) {
		k := ParseKeywords(text)
		form := k.Format()
		if again := ParseKeywords(form).Format(); !bytes.Equal(form, again) {
			t.Errorf("%q gives %q, which gives %q", text, form, again)
		}
		if k.Add(name) {
			letter, ok := k.Letter(name)
			back, known := k.Name(letter)
			if !ok || !known || back != name {
				t.Errorf("%q got the letter %q, which stands for %q", name, letter, back)
			}
			if _, kept := ParseKeywords(k.Format()).Letter(name); !kept {
				t.Errorf("%q does not come back from the file", name)
			}
		}
		flags := Flags(letters, k)
		if again := Flags(Letters(flags, k), k); !strings.EqualFold(strings.Join(again, " "), strings.Join(flags, " ")) {
			t.Errorf("letters %q stand for %q, whose letters stand for %q", letters, flags, again)
		}
	})
}
