package imap

import (
	"bytes"
	"fmt"
	"io"
	"strconv"
	"strings"
)

// tokenKind sorts tokens.
type tokenKind uint8

const (
	tokenEnd     tokenKind = iota // of the response
	tokenAtom                     // also numbers, NIL, flags and "BODY[…]"
	tokenQuoted                   // text is unescaped
	tokenLiteral                  // size tells its octets; they are read from the reader, what is left is skipped
	tokenOpen
	tokenClose
)

// A token is one piece of a response. Its text is valid until the next call of next.
type token struct {
	kind tokenKind
	text []byte
	size int64
}

// is tells whether the token is the atom word, in any case.
func (t token) is(word string) bool {
	return t.kind == tokenAtom && strings.EqualFold(string(t.text), word)
}

// number gives the token's value as an unsigned number of at most bits bits.
func (t token) number(bits int) (uint64, bool) {
	n, err := strconv.ParseUint(string(t.text), 10, bits)
	return n, err == nil && t.kind != tokenLiteral
}

// next gives the next token; what is left of a literal is skipped first.
func (r *reader) next() (token, error) {
	if r.inside {
		if err := r.leaveLiteral(); err != nil {
			return token{}, err
		}
	}
	r.skipSpace()
	if r.pos >= len(r.line) {
		if r.pending {
			r.pending, r.inside = false, true
			return token{kind: tokenLiteral, size: r.left}, nil
		}
		return token{kind: tokenEnd}, nil
	}
	switch c := r.line[r.pos]; c {
	case '(':
		r.pos++
		return token{kind: tokenOpen}, nil
	case ')':
		r.pos++
		return token{kind: tokenClose}, nil
	case '"':
		return r.quoted(), nil
	default:
		return r.atom(), nil
	}
}

// leaveLiteral skips what is left of the literal and reads the line that goes on behind it. That line is read no
// sooner: a body is whole when its last octet is there, whatever becomes of the connection then.
func (r *reader) leaveLiteral() error {
	if r.left > 0 {
		n, err := io.Copy(io.Discard, io.LimitReader(r, skipLimit-r.skipped+1))
		if err != nil {
			return err
		}
		if r.skipped += n; r.skipped > skipLimit {
			return errWithoutEnd
		}
	}
	r.inside = false
	if err := r.readLine(); err != nil {
		return err
	}
	return r.findLiteral()
}

// Read reads from the current literal; io.EOF is its end, io.ErrUnexpectedEOF the connection's.
func (r *reader) Read(p []byte) (int, error) {
	if r.left == 0 {
		return 0, io.EOF
	}
	n, err := r.br.Read(p[:min(int64(len(p)), r.left)])
	r.left -= int64(n)
	if err == io.EOF {
		err = io.ErrUnexpectedEOF
	}
	return n, err
}

// quoted reads a quoted string. One that is never closed ends with its line.
func (r *reader) quoted() token {
	text := r.unquoted[:0]
	r.pos++
	for r.pos < len(r.line) {
		c := r.line[r.pos]
		r.pos++
		if c == '"' {
			break
		}
		if c == '\\' && r.pos < len(r.line) {
			c = r.line[r.pos]
			r.pos++
		}
		text = append(text, c)
	}
	r.unquoted = text
	return token{kind: tokenQuoted, text: text}
}

// atom reads up to a space or a parenthesis. A section in brackets, which may hold both, is part of it.
func (r *reader) atom() token {
	start := r.pos
	for r.pos < len(r.line) {
		switch r.line[r.pos] {
		case ' ', '\t', '(', ')':
			return token{kind: tokenAtom, text: r.line[start:r.pos]}
		case '[':
			if end := bytes.IndexByte(r.line[r.pos:], ']'); end > 0 && !r.flat {
				r.pos += end
			}
		}
		r.pos++
	}
	return token{kind: tokenAtom, text: r.line[start:r.pos]}
}

// str reads the next token as a string of at most limit octets (RFC 9051, section 4.3). ok is false for NIL and for
// what is no string; then a list has been walked over.
func (r *reader) str(limit int64) (text string, ok bool, err error) {
	t, err := r.next()
	if err != nil {
		return "", false, err
	}
	switch t.kind {
	case tokenQuoted:
		return string(t.text), true, nil
	case tokenAtom:
		return string(t.text), !t.is("NIL"), nil
	case tokenLiteral:
		octets, err := r.literal(t, limit)
		return string(octets), true, err
	case tokenOpen:
		return "", false, r.skipList()
	}
	return "", false, nil
}

// literal reads all of a literal that may have at most limit octets.
func (r *reader) literal(t token, limit int64) ([]byte, error) {
	if t.size > limit {
		return nil, fmt.Errorf("the server sends a string of %d octets where at most %d make sense", t.size, limit)
	}
	octets := make([]byte, t.size)
	_, err := io.ReadFull(r, octets)
	return octets, err
}

// skipValue walks over the next value, whatever it is.
func (r *reader) skipValue() error {
	t, err := r.next()
	if err == nil && t.kind == tokenOpen {
		return r.skipList()
	}
	return err
}

// skipList walks over the rest of a list whose opening was read; without recursion, however deep it goes.
func (r *reader) skipList() error {
	for depth := 1; depth > 0; {
		t, err := r.next()
		if err != nil {
			return err
		}
		switch t.kind {
		case tokenOpen:
			depth++
		case tokenClose:
			depth--
		case tokenEnd:
			return nil
		}
	}
	return nil
}

// bareWords reads the rest of a response as words.
func (r *reader) bareWords() (words []string, err error) {
	for {
		t, err := r.next()
		if err != nil || t.kind == tokenEnd {
			return words, err
		}
		words = append(words, string(t.text))
	}
}

// words reads a list of words, such as flags or attributes: atoms or strings, with or without the parentheses.
func (r *reader) words() ([]string, error) {
	r.flat = true
	defer func() { r.flat = false }()
	t, err := r.next()
	if err != nil || t.kind != tokenOpen {
		return nil, err
	}
	var words []string
	for {
		t, err := r.next()
		switch {
		case err != nil:
			return nil, err
		case t.kind == tokenEnd, t.kind == tokenClose:
			return words, nil
		case t.kind == tokenOpen:
			err = r.skipList()
		case t.kind == tokenLiteral:
			var octets []byte
			octets, err = r.literal(t, lineLimit)
			words = append(words, string(octets))
		case len(t.text) > 0:
			words = append(words, string(t.text))
		}
		if err != nil {
			return nil, err
		}
	}
}
