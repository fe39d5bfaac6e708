package imap

import (
	"bytes"
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

const (
	listsLimit = 1000 // lists of flags that are remembered
	listLimit  = 500  // octets of one of them
)

// flags reads a list of flags. Messages with the same list share one value.
func (r *reader) flags() (migrate.Flags, error) {
	r.skipSpace()
	var list string
	rest := r.line[r.pos:]
	end := bytes.IndexByte(rest, ')')
	if end > 0 && end < listLimit && rest[0] == '(' && bytes.IndexByte(rest[1:end], '(') < 0 && bytes.IndexByte(rest[:end], '"') < 0 {
		if flags, ok := r.lists[string(rest[1:end])]; ok {
			r.pos += end + 1
			return flags, nil
		}
		list = string(rest[1:end])
	}
	words, err := r.words()
	if err != nil {
		return nil, err
	}
	flags := readFlags(words)
	if list != "" && len(r.lists) < listsLimit {
		if r.lists == nil {
			r.lists = map[string]migrate.Flags{}
		}
		r.lists[list] = flags
	}
	return flags, nil
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
