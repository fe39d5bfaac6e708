package wire

import (
	"testing"
	"unicode"
	"unicode/utf8"
)

// Nothing that a server says moves the cursor, turns or hides text, or fills the screen.
func FuzzClean(f *testing.F) {
	for _, seed := range []string{"plain", "\x1b]52;c;x\x07", "a\r\nb", "\u202egpj.exe", "\u200b", "\xff\xfe", "\u0085\u009b2J", "é 日本", "\u2028", "\U000e0041"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, text string) {
		shown := Clean(text)
		if !utf8.ValidString(shown) || len(shown) > cleanLimit+16 {
			t.Errorf("%q is shown as %q", text, shown)
		}
		for _, r := range shown {
			if unicode.IsControl(r) || unicode.In(r, unicode.Cf, unicode.Zl, unicode.Zp) {
				t.Errorf("%q is shown with %U", text, r)
			}
		}
	})
}
