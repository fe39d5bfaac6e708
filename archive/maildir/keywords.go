package maildir

import (
	"bytes"
	"fmt"
	"strconv"
	"strings"
)

// KeywordsFile is the name of the file in a Maildir that tells the keywords' letters, as Dovecot has it.
const KeywordsFile = "dovecot-keywords"

// letters is how many keywords a Maildir can have: a to z.
const letters = 26

// Keywords are the keywords that have a letter in one Maildir. The zero Keywords has none.
type Keywords struct{ names [letters]string }

// ParseKeywords reads a dovecot-keywords file: lines of a number, 0 to 25, a space and a keyword. Other lines are
// passed by, as Dovecot does.
func ParseKeywords(text []byte) *Keywords {
	k := new(Keywords)
	for line := range bytes.Lines(text) {
		number, name, ok := strings.Cut(strings.TrimRight(string(line), "\r\n"), " ")
		n, err := strconv.Atoi(number)
		if ok && err == nil && n >= 0 && n < letters && valid(name) && k.names[n] == "" {
			k.names[n] = name
		}
	}
	return k
}

// Format gives the file.
func (k *Keywords) Format() []byte {
	var b bytes.Buffer
	for n, name := range k.names {
		if name != "" {
			fmt.Fprintf(&b, "%d %s\n", n, name)
		}
	}
	return b.Bytes()
}

// Letter gives the letter of the keyword name, compared without regard to case (RFC 9051, section 2.3.2).
func (k *Keywords) Letter(name string) (byte, bool) {
	for n, have := range k.names {
		if have != "" && strings.EqualFold(have, name) {
			return byte('a' + n), true
		}
	}
	return 0, false
}

// Name gives the keyword that letter stands for.
func (k *Keywords) Name(letter byte) (string, bool) {
	if letter < 'a' || letter >= 'a'+letters || k.names[letter-'a'] == "" {
		return "", false
	}
	return k.names[letter-'a'], true
}

// Add gives each of names a letter that has none yet, as far as letters go and the file can hold them, and tells
// whether anything changed.
func (k *Keywords) Add(names ...string) bool {
	changed := false
	for _, name := range names {
		if _, have := k.Letter(name); have || !valid(name) {
			continue
		}
		for n := range k.names {
			if k.names[n] == "" {
				k.names[n] = name
				changed = true
				break
			}
		}
	}
	return changed
}

// valid tells whether name can stand on a line of the file: an IMAP atom as far as that matters (RFC 9051, section 9).
func valid(name string) bool {
	return name != "" && len(name) <= 200 && strings.IndexFunc(name, func(r rune) bool {
		return r <= ' ' || r >= 0x7f || strings.ContainsRune(`(){%*"\]`, r)
	}) < 0
}
