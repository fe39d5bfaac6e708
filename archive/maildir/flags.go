package maildir

import (
	"slices"
	"strings"

	"postcask/migrate"
)

// Flags of Maildir in the order of their letters, which is how names have them. "P" (passed) is the keyword
// $Forwarded, and Dovecot, which does not know it, gets a keyword letter besides.
var systemLetters = []struct {
	letter byte
	flag   string
}{
	{'D', `\Draft`}, {'F', `\Flagged`}, {'P', forwarded}, {'R', `\Answered`}, {'S', `\Seen`}, {'T', `\Deleted`},
}

const forwarded = "$Forwarded"

// Letters gives the letters for flags, in the order of ASCII. A keyword without a letter is left out.
func Letters(flags migrate.Flags, keywords *Keywords) string {
	var letters []byte
	for _, known := range systemLetters {
		if flags.Has(known.flag) {
			letters = append(letters, known.letter)
		}
	}
	for _, name := range flags.Keywords() {
		if letter, ok := keywords.Letter(name); ok {
			letters = append(letters, letter)
		}
	}
	slices.Sort(letters)
	return string(slices.Compact(letters))
}

// Flags gives the flags that letters stand for; letters that stand for nothing are passed by.
func Flags(letters string, keywords *Keywords) migrate.Flags {
	var names []string
	for _, letter := range []byte(letters) {
		if i := slices.IndexFunc(systemLetters, func(k struct {
			letter byte
			flag   string
		}) bool {
			return k.letter == letter
		}); i >= 0 {
			names = append(names, systemLetters[i].flag)
		} else if name, ok := keywords.Name(letter); ok {
			names = append(names, name)
		}
	}
	flags := migrate.NewFlags(names...)
	return slices.CompactFunc(flags, strings.EqualFold)
}
