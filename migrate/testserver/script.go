package testserver

import (
	"bufio"
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"time"
)

// A script is the server's side of IMAP or POP3 sessions, one step on each line:
//
//	# text               a comment
//	S: text              say this line, CRLF added
//	S~ text              say this without a line end
//	C: pattern           expect this line, in any case; "*" is any run of octets, <name> a word to be kept
//	DATA                 read the literal that the client's last line announced; the rest of that line is the next "C:"
//	ON: pattern => text  answer such lines with text whenever they come, beside the steps, from here on
//	TLS                  do the handshake; "TLS expired", "TLS stranger", "TLS other-name", "TLS common-name" with
//	                     a certificate to be refused, "TLS old" in a version to be refused
//	SLEEP 50ms           wait
//	STALL                say nothing more, read on until the client hangs up
//	DRIP 300ms text      say the line one octet at a time, with so much time before each
//	FLOOD text           say the line again and again until the client hangs up
//	SCRAM n              answer the client's first message of SCRAM-SHA-256 with a challenge of n rounds
//	CLOSE                hang up; "RESET" does so with a TCP reset
//	NEXT                 the steps for the next connection follow
//	AGAIN                all further connections go as this one does; without it they are closed at once
//	INCLUDE file         the lines of another file, whose path is relative to this one
//	BODY name            the lines up to "." alone are octets to be named; a line that ends in \- gets no CRLF
//
// In what is said and in bodies \r \n \t \0 \\ \xHH are octets. In what is said <name> is a word kept by a pattern (the
// usual one is <tag>), <literal name> a body as a literal with its count, <octets name> the body alone, <size name> its
// count, and <repeat n text> is text, n times. After the last step, answers to ON go on until the client hangs
// up, or says what nothing answers, upon which we do.
type script struct {
	connections [][]step
	again       bool
	bodies      map[string][]byte
}

type step struct {
	at    string // "line 5"
	verb  string
	text  string         // what to say, or the argument
	match *regexp.Regexp // of C and ON
	names []string       // that the groups of match are kept under
	pause time.Duration  // of SLEEP and DRIP
}

// loadScript reads a script from a file.
func loadScript(path string) (*script, error) {
	text, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	s := newScript()
	if err := s.parse(string(text), "", filepath.Dir(path)); err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	return s, nil
}

func newScript() *script {
	return &script{connections: [][]step{nil}, bodies: make(map[string][]byte)}
}

func parseScript(text string) (*script, error) {
	s := newScript()
	return s, s.parse(text, "", ".")
}

// parse adds what text says. name is that of an included file, with a space behind it, and dir where it lies.
func (s *script) parse(text, name, dir string) error {
	lines := bufio.NewScanner(strings.NewReader(text))
	lines.Buffer(nil, 64<<20)
	for n := 1; lines.Scan(); n++ {
		line := strings.TrimLeft(lines.Text(), " \t")
		if line == "" || line[0] == '#' {
			continue
		}
		verb, rest, _ := strings.Cut(line, " ")
		st := step{at: fmt.Sprintf("%sline %d", name, n), verb: verb, text: rest}
		switch verb {
		case "S:", "S~", "DATA", "TLS", "STALL", "CLOSE", "RESET", "FLOOD":
		case "C:":
			st.match, st.names = pattern(rest)
		case "ON:":
			want, answer, ok := strings.Cut(rest, " => ")
			if !ok {
				return fmt.Errorf("%s: ON without =>", st.at)
			}
			st.match, st.names = pattern(want)
			st.text = answer
		case "SLEEP", "DRIP":
			word, text, _ := strings.Cut(rest, " ")
			pause, err := time.ParseDuration(word)
			if err != nil {
				return fmt.Errorf("%s: %w", st.at, err)
			}
			st.pause, st.text = pause, text
		case "SCRAM":
			if _, err := strconv.Atoi(rest); err != nil {
				return fmt.Errorf("%s: %w", st.at, err)
			}
		case "INCLUDE":
			path := filepath.Join(dir, rest)
			more, err := os.ReadFile(path)
			if err == nil {
				err = s.parse(string(more), filepath.Base(path)+" ", filepath.Dir(path))
			}
			if err != nil {
				return fmt.Errorf("%s: %w", st.at, err)
			}
			continue
		case "AGAIN":
			s.again = true
			continue
		case "NEXT":
			s.connections = append(s.connections, nil)
			continue
		case "BODY":
			var body []byte
			for n++; lines.Scan() && lines.Text() != "."; n++ {
				one, open := strings.CutSuffix(lines.Text(), `\-`)
				body = append(body, unescape(one)...)
				if !open {
					body = append(body, "\r\n"...)
				}
			}
			s.bodies[rest] = body
			continue
		default:
			return fmt.Errorf("%s: unknown step %q", st.at, verb)
		}
		last := len(s.connections) - 1
		s.connections[last] = append(s.connections[last], st)
	}
	return lines.Err()
}

var word = regexp.MustCompile(`<([a-z]+)>`)

// pattern compiles what is expected, and tells the names that its groups are to be kept under.
func pattern(text string) (*regexp.Regexp, []string) {
	var b strings.Builder
	var names []string
	plain := func(s string) { b.WriteString(strings.ReplaceAll(regexp.QuoteMeta(s), `\*`, `.*`)) }
	b.WriteString(`(?is)^`)
	from := 0
	for _, at := range word.FindAllStringSubmatchIndex(text, -1) {
		plain(text[from:at[0]])
		b.WriteString(`(\S+)`)
		names = append(names, text[at[2]:at[3]])
		from = at[1]
	}
	plain(text[from:])
	return regexp.MustCompile(b.String() + `$`), names
}

// expand fills in what a step says.
func (s *script) expand(text string, kept map[string]string) ([]byte, error) {
	var out bytes.Buffer
	for text != "" {
		before, rest, found := strings.Cut(text, "<")
		out.Write(unescape(before))
		if !found {
			break
		}
		inside, after, closed := strings.Cut(rest, ">")
		verb, arg, hasArg := strings.Cut(inside, " ")
		body, isBody := s.bodies[arg]
		value, isKept := kept[inside]
		switch {
		case closed && isKept:
			out.WriteString(value)
		case closed && verb == "repeat":
			count, piece, _ := strings.Cut(arg, " ")
			n, err := strconv.Atoi(count)
			if err != nil {
				return nil, fmt.Errorf("cannot repeat %q", arg)
			}
			out.Write(bytes.Repeat(unescape(piece), n))
		case closed && hasArg && isBody && verb == "literal":
			fmt.Fprintf(&out, "{%d}\r\n%s", len(body), body)
		case closed && hasArg && isBody && verb == "octets":
			out.Write(body)
		case closed && hasArg && isBody && verb == "size":
			fmt.Fprint(&out, len(body))
		default: // an angle bracket that means itself, as in a Message-ID
			out.WriteByte('<')
			after = rest
		}
		text = after
	}
	return out.Bytes(), nil
}

var escapes = regexp.MustCompile(`\\(x[0-9A-Fa-f]{2}|[rnt0\\])`)

func unescape(s string) []byte {
	return escapes.ReplaceAllFunc([]byte(s), func(e []byte) []byte {
		switch e[1] {
		case 'r':
			return []byte{'\r'}
		case 'n':
			return []byte{'\n'}
		case 't':
			return []byte{'\t'}
		case '0':
			return []byte{0}
		case 'x':
			n, _ := strconv.ParseUint(string(e[2:]), 16, 8) // two hexadecimal digits, as matched
			return []byte{byte(n)}
		}
		return e[1:]
	})
}
