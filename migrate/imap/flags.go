package imap

import (
	"strings"

	"postcask/migrate"
)

// readFlags makes flags of the words of a FLAGS list, however odd: they are shown as they are, but for octets that are
// no text.
func readFlags(words []string) migrate.Flags {
	clean := make([]string, 0, len(words))
	for _, word := range words {
		word = strings.Map(func(r rune) rune {
			if r < 0x20 || r == 0x7f {
				return -1
			}
			return r
		}, showable(word))
		if word != "" && !strings.EqualFold(word, "NIL") {
			clean = append(clean, word)
		}
	}
	return migrate.NewFlags(clean...)
}

// keepable splits flags into those that can be sent to the mailbox v and those that it cannot keep: keywords that are
// no atoms or that PERMANENTFLAGS rules out (RFC 9051, section 7.1), and system flags nobody has defined.
func (v *view) keepable(flags migrate.Flags) (kept, dropped []string) {
	for _, flag := range flags {
		switch {
		case strings.HasPrefix(flag, `\`):
			switch flag {
			case `\Answered`, `\Deleted`, `\Draft`, `\Flagged`, `\Seen`:
				kept = append(kept, flag)
			case `\Recent`:
			default:
				dropped = append(dropped, flag)
			}
		case isAtom(flag) && v.keeps(flag):
			kept = append(kept, flag)
		default:
			dropped = append(dropped, flag)
		}
	}
	return kept, dropped
}

// isAtom tells whether s is an atom (RFC 9051, section 9).
func isAtom(s string) bool {
	for i := range len(s) {
		if c := s[i]; c <= ' ' || c >= 0x7f || strings.IndexByte(`(){%*"\]`, c) >= 0 {
			return false
		}
	}
	return s != ""
}
