package imap

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"strconv"
	"strings"
	"sync/atomic"

	"postcask/migrate"
	"postcask/migrate/wire"
)

const (
	lineLimit     = 64 << 10 // octets of a line, literals not counted
	responseLimit = 1 << 20  // the same for the responses that may be long, over all their lines
	literalLimit  = 1 << 62
	loginLimit    = 1 << 20  // octets of lines that may answer one command before the log-in is over
	answerLimit   = 64 << 20 // and after it
	headWeight    = 48       // what a response counts for among them, beside its lines: it takes time to look at
	skipLimit     = 1 << 30  // octets of literals that nobody wants among them
)

// busyReader lets the clock run while it reads, since only then is somebody waiting; passive, it leaves the clock to
// whoever else decides.
type busyReader struct {
	conn    *wire.Conn
	passive atomic.Bool
}

func (b *busyReader) Read(p []byte) (int, error) {
	if b.passive.Load() {
		return b.conn.ReadBeside(p)
	}
	b.conn.SetBusy(true)
	defer b.conn.SetBusy(false)
	return b.conn.Read(p)
}

// A reader cuts what the server says into responses, and a response into tokens (RFC 9051, section 9). Nothing that a
// server can say makes it lose its place but a line or a literal beyond all measure: what cannot be understood is
// still walked over token by token, literals included. Its own errors end the session.
type reader struct {
	br      *bufio.Reader
	line    []byte // the current line without its end and without the announcement of a literal
	pos     int
	pending bool  // the line ended in a literal that next has not told of
	inside  bool  // a literal was told of; the line behind it has not been read
	left    int64 // octets of the current literal that were not read
	spent   int   // octets of the response's lines so far
	limit   int   // for spent
	walked  int64 // octets of lines since the last command, and headWeight for each response
	skipped int64 // octets of literals that were skipped since then
	most    int64 // for walked
	flat    bool  // "[" is an octet like any other: inside a list of flags
	hidden  []string

	unquoted []byte                   // the last quoted string
	lists    map[string]migrate.Flags // what lists of flags mean that were read before: there are few, and many messages
}

// hide keeps a secret, and what was made of it to log in, out of what the server is quoted with; some say back what they
// were told. What is shorter than any password stays, or words would get lost.
func (r *reader) hide(secrets ...string) {
	for _, secret := range secrets {
		if len(secret) > 3 {
			r.hidden = append(r.hidden, secret)
		}
	}
}

// shown gives text without the secrets in it.
func (r *reader) shown(text string) string {
	for _, secret := range r.hidden {
		text = strings.ReplaceAll(text, secret, "…")
	}
	return text
}

// hush takes the secrets out of the rest of a line that is for people. What an OK has in brackets is for us.
func (r *reader) hush(word string) {
	if len(r.hidden) == 0 {
		return
	}
	from := min(r.pos, len(r.line))
	if word == "OK" || word == "PREAUTH" {
		from = len(r.line) - len(parseStatus(word, strings.TrimPrefix(string(r.line[from:]), " ")).text)
	}
	r.line = append(r.line[:from], r.shown(string(r.line[from:]))...)
}

// newReader reads from r through a buffer of its own.
func newReader(r io.Reader) *reader {
	return &reader{br: bufio.NewReaderSize(r, 64<<10), most: loginLimit}
}

// asked tells that a command has been sent: what may answer it is counted from here.
func (r *reader) asked() { r.walked, r.skipped = 0, 0 }

var errWithoutEnd = errors.New("the server talks without end")

// A response is the head of what the server said at once; its tokens follow from reader.next, unless it is a status.
type response struct {
	tag    string // "*", "+" or that of a command
	number uint32 // as in "* 5 FETCH"
	word   string // what it is, in capitals: FETCH, LIST, OK
	status status // for the words OK, NO, BAD, BYE and PREAUTH, and the text of "+"
}

// response reads the head of the next response; what was left of the one before is skipped.
func (r *reader) response() (*response, error) {
	if err := r.finish(); err != nil {
		return nil, err
	}
	r.spent, r.limit, r.flat = 0, lineLimit, false
	r.walked += headWeight
	for {
		if err := r.readLine(); err != nil {
			return nil, err
		}
		if len(bytes.TrimSpace(r.line)) > 0 { // a blank line says nothing
			break
		}
	}
	resp := &response{tag: r.word()}
	if resp.tag == "+" {
		resp.word = "+"
		resp.status.text = r.rest()
		return resp, nil
	}
	word := r.word()
	if resp.tag == "*" && word != "" && strings.Trim(word, "0123456789") == "" {
		if n, err := strconv.ParseUint(word, 10, 32); err == nil { // a number beyond is no message's
			resp.number = uint32(n)
		}
		word = r.word()
	}
	resp.word = strings.ToUpper(word)
	if isStatus(resp.word) || resp.tag != "*" {
		r.hush(resp.word)
	}
	if isStatus(resp.word) {
		resp.status = parseStatus(resp.word, r.rest())
		return resp, nil
	}
	if resp.tag != "*" {
		resp.status = status{kind: "BAD", text: resp.word + " " + r.rest()} // a tagged line that says nothing we know
		return resp, nil
	}
	return resp, r.findLiteral()
}

// word takes the next run of octets up to a space; it is for the head of a response only.
func (r *reader) word() string {
	r.skipSpace()
	start := r.pos
	for r.pos < len(r.line) && r.line[r.pos] != ' ' && (r.pos == start || r.line[r.pos] != '(') {
		r.pos++
	}
	return string(r.line[start:r.pos])
}

func (r *reader) rest() string {
	text := string(r.line[min(r.pos, len(r.line)):])
	r.pos = len(r.line)
	return strings.TrimPrefix(text, " ")
}

func (r *reader) skipSpace() {
	for r.pos < len(r.line) && (r.line[r.pos] == ' ' || r.line[r.pos] == '\t') {
		r.pos++
	}
}

// readLine reads up to the next LF. A CR before it belongs to the line's end.
func (r *reader) readLine() error {
	r.line, r.pos, r.pending = r.line[:0], 0, false
	if cap(r.line) > lineLimit {
		r.line = nil // one long response does not keep its memory
	}
	for {
		part, err := r.br.ReadSlice('\n')
		r.spent += len(part)
		if r.walked += int64(len(part)); r.walked > r.most {
			return errWithoutEnd
		}
		if r.spent > r.limit && !r.mayBeLong(part) {
			return fmt.Errorf("the server sends a line of more than %d octets", r.limit)
		}
		r.line = append(r.line, part...)
		switch {
		case err == nil:
			r.line = bytes.TrimSuffix(r.line[:len(r.line)-1], []byte("\r"))
			return nil
		case errors.Is(err, bufio.ErrBufferFull):
		case errors.Is(err, io.EOF) && (len(r.line) > 0 || r.spent > 0):
			return io.ErrUnexpectedEOF
		default:
			return err
		}
	}
}

// mayBeLong raises the limit for the responses that are long at honest servers: many flags, long names.
func (r *reader) mayBeLong(part []byte) bool {
	head := r.line
	if len(head) == 0 {
		head = part
	}
	if r.limit == responseLimit || !bytes.HasPrefix(head, []byte("* ")) {
		return false
	}
	r.limit = responseLimit
	return r.spent <= r.limit
}

// findLiteral looks whether the line ends in "{n}", and takes that off.
func (r *reader) findLiteral() error {
	if len(r.line) == 0 || r.line[len(r.line)-1] != '}' {
		return nil
	}
	open := bytes.LastIndexByte(r.line, '{')
	if open < r.pos {
		return nil
	}
	digits := bytes.TrimSuffix(r.line[open+1:len(r.line)-1], []byte("+"))
	if len(digits) == 0 || len(bytes.Trim(digits, "-0123456789")) > 0 {
		return nil // an atom of a server that has its own ideas
	}
	n, err := strconv.ParseInt(string(digits), 10, 64)
	if err != nil || digits[0] == '-' || n > literalLimit {
		return fmt.Errorf("the server announces a literal of %s octets", wire.Clean(string(digits)))
	}
	if open > r.pos && r.line[open-1] == '~' { // literal8 (RFC 3516)
		open--
	}
	r.line = r.line[:open]
	r.pending, r.left = true, n
	return nil
}

// finish walks to the end of the current response.
func (r *reader) finish() error {
	for {
		t, err := r.next()
		if err != nil {
			return err
		}
		if t.kind == tokenEnd {
			return nil
		}
	}
}
