package imap

import (
	"fmt"
	"strconv"
	"strings"

	"postcask/migrate"
	"postcask/migrate/wire"
)

// A status is a status response (RFC 9051, section 7.1) without its tag.
type status struct {
	kind string // OK, NO, BAD, BYE, PREAUTH
	code string // of the response code, in capitals, such as APPENDUID
	args string // what follows in the brackets
	text string
}

func isStatus(word string) bool {
	switch word {
	case "OK", "NO", "BAD", "BYE", "PREAUTH":
		return true
	}
	return false
}

// parseStatus reads what follows kind. A code whose bracket is never closed is text.
func parseStatus(kind, rest string) status {
	st := status{kind: kind, text: rest}
	inner, ok := strings.CutPrefix(rest, "[")
	if !ok {
		return st
	}
	// A keyword of PERMANENTFLAGS may hold "]", as Gmail's do; the list is over at its parenthesis.
	end := strings.IndexByte(inner, ']')
	if hasPrefixFold(inner, "PERMANENTFLAGS") {
		if list := strings.LastIndex(inner, ")]"); list >= 0 {
			end = list + 1
		}
	}
	if end < 0 {
		return st
	}
	code, args, _ := strings.Cut(strings.TrimSpace(inner[:end]), " ")
	st.code, st.args = strings.ToUpper(code), strings.TrimSpace(args)
	st.text = strings.TrimPrefix(inner[end+1:], " ")
	return st
}

// hasPrefixFold is strings.HasPrefix without regard to the case of ASCII letters.
func hasPrefixFold(s, prefix string) bool {
	return len(s) >= len(prefix) && strings.EqualFold(s[:len(prefix)], prefix)
}

// ok tells whether the command was done.
func (st status) ok() bool { return st.kind == "OK" }

// number gives the code's first argument as a number of 32 bits that is not zero.
func (st status) number() (uint32, bool) {
	word, _, _ := strings.Cut(st.args, " ")
	n, err := strconv.ParseUint(word, 10, 32)
	return uint32(n), err == nil && n != 0
}

// String gives the words of the server, made safe to show: `NO [OVERQUOTA] Mailbox is full`.
func (st status) String() string {
	var b strings.Builder
	b.WriteString(st.kind)
	if st.code != "" {
		b.WriteString(" [" + st.code)
		if st.args != "" {
			b.WriteString(" " + st.args)
		}
		b.WriteByte(']')
	}
	if st.text != "" {
		b.WriteString(" " + st.text)
	}
	return wire.Clean(b.String())
}

// refusal makes an error of a NO or BAD, with the kind that its code stands for (RFC 5530) and the pause that the
// server asks for.
func (st status) refusal(what string) error {
	err := fmt.Errorf("%s: %s", what, st)
	if plea, ok := wire.PleaOf(st.code, st.text, false); ok {
		return plea.Error(err)
	}
	kind := migrate.Failed
	switch st.code {
	case "OVERQUOTA", "NOPERM":
		kind = migrate.Refused
	case "":
		if st.kind == "NO" && strings.Contains(strings.ToLower(st.text), "quota") {
			kind = migrate.Refused // servers older than RFC 5530
		}
	}
	return &migrate.Error{Kind: kind, Err: err}
}

// farewell makes an error of a BYE: it ends the connection, not the hope for another.
func (st status) farewell(what string, login bool) error {
	err := fmt.Errorf("%s: %s", what, st)
	if plea, ok := wire.PleaOf(st.code, st.text, login); ok {
		return plea.Error(err)
	}
	return &migrate.Error{Kind: migrate.Unavailable, Err: err}
}

// at puts the mailbox into an error.
func at(path migrate.Path, err error) error {
	if err == nil {
		return nil
	}
	return &migrate.Error{Mailbox: path, Err: err}
}
