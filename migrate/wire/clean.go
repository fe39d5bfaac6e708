package wire

import (
	"fmt"
	"strings"
	"unicode"
	"unicode/utf8"
)

const cleanLimit = 500

// Clean makes text that came from a server fit to be shown: one line, at most 500 octets or so, with control
// characters, broken UTF-8 and marks that turn or hide text written as escapes.
func Clean(text string) string {
	var b strings.Builder
	for len(text) > 0 {
		if b.Len() > cleanLimit {
			b.WriteString("…")
			break
		}
		r, size := utf8.DecodeRuneInString(text)
		switch {
		case r == utf8.RuneError && size == 1, unicode.IsControl(r):
			fmt.Fprintf(&b, `\x%02x`, text[size-1])
		case unicode.In(r, unicode.Cf, unicode.Zl, unicode.Zp):
			fmt.Fprintf(&b, `\u%04x`, r)
		default:
			b.WriteRune(r)
		}
		text = text[size:]
	}
	return b.String()
}
