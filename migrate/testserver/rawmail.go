package testserver

import (
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
)

// A RawMailbox is a mailbox as LIST gives it.
type RawMailbox struct {
	Name       string // as on the wire: modified UTF-7, with the server's delimiter
	Delimiter  string // empty where it was NIL
	Attributes []string
}

// A RawMessage is a message as FETCH gives it.
type RawMessage struct {
	UID          uint32
	Flags        []string // sorted, without \Recent
	InternalDate string   // as on the wire
	Size         int64    // RFC822.SIZE
	Body         []byte   // BODY[], every octet
}

// Mailboxes lists all mailboxes, in the server's order.
func (r *RawIMAP) Mailboxes() ([]RawMailbox, error) { return r.list("LIST") }

// Subscribed lists the names of the mailboxes that the user has subscribed to.
func (r *RawIMAP) Subscribed() ([]string, error) {
	mailboxes, err := r.list("LSUB")
	var names []string
	for _, m := range mailboxes {
		names = append(names, m.Name)
	}
	return names, err
}

func (r *RawIMAP) list(command string) ([]RawMailbox, error) {
	reply, err := r.must(command + ` "" "*"`)
	if err != nil {
		return nil, err
	}
	var mailboxes []RawMailbox
	for _, line := range reply.Untagged {
		rest, ok := strings.CutPrefix(line, command+" ")
		if !ok {
			continue
		}
		items, err := tokens(rest)
		if err != nil || len(items) < 3 {
			return nil, fmt.Errorf("%s: cannot read %q", command, line)
		}
		m := RawMailbox{Attributes: items[0].list(), Delimiter: items[1].text, Name: items[2].text}
		if items[1].atom && strings.EqualFold(m.Delimiter, "NIL") {
			m.Delimiter = ""
		}
		mailboxes = append(mailboxes, m)
	}
	return mailboxes, nil
}

// Messages opens a mailbox for reading only and fetches all of its messages, in the order of their UIDs.
func (r *RawIMAP) Messages(mailbox string) ([]RawMessage, error) {
	opened, err := r.must("EXAMINE " + Quote(mailbox))
	if err != nil {
		return nil, err
	}
	if slices.Contains(opened.Untagged, "0 EXISTS") {
		return nil, nil
	}
	reply, err := r.must("UID FETCH 1:* (UID FLAGS INTERNALDATE RFC822.SIZE BODY.PEEK[])")
	if err != nil {
		return nil, err
	}
	var messages []RawMessage
	for _, line := range reply.Untagged {
		_, rest, _ := strings.Cut(line, " ")
		items, isFetch := strings.CutPrefix(rest, "FETCH ")
		if !isFetch || !strings.Contains(line, "BODY[]") {
			continue // flags that changed meanwhile, and the like
		}
		m, err := fetched(items)
		if err != nil {
			return nil, fmt.Errorf("FETCH in %q: %w", mailbox, err)
		}
		messages = append(messages, m)
	}
	slices.SortFunc(messages, func(a, b RawMessage) int { return int(int64(a.UID) - int64(b.UID)) })
	return messages, nil
}

func fetched(items string) (RawMessage, error) {
	var m RawMessage
	outer, err := tokens(items)
	if err != nil || len(outer) != 1 {
		return m, fmt.Errorf("cannot read %.200q", items)
	}
	pairs := outer[0].items
	for i := 0; i+1 < len(pairs); i += 2 {
		value := pairs[i+1]
		switch name := strings.ToUpper(pairs[i].text); name {
		case "UID", "RFC822.SIZE":
			n, err := strconv.ParseInt(value.text, 10, 64)
			if err != nil {
				return m, fmt.Errorf("%s: %w", name, err)
			}
			if name == "UID" {
				m.UID = uint32(n)
			} else {
				m.Size = n
			}
		case "FLAGS":
			m.Flags = slices.DeleteFunc(value.list(), func(f string) bool { return f == `\Recent` })
			slices.Sort(m.Flags)
		case "INTERNALDATE":
			m.InternalDate = value.text
		case "BODY[]":
			m.Body = []byte(value.text)
		}
	}
	return m, nil
}

// Append adds a message. Flags are a list as on the wire, `(\Seen $Label)`, and date a date-time without its quotes;
// either may be empty.
func (r *RawIMAP) Append(mailbox, flags, date string, body []byte) error {
	command := "APPEND {}"
	if flags != "" {
		command += " " + flags
	}
	if date != "" {
		command += ` "` + date + `"`
	}
	return r.ok(command+" {}", []byte(mailbox), body)
}

// Create makes a mailbox.
func (r *RawIMAP) Create(mailbox string) error { return r.ok("CREATE " + Quote(mailbox)) }

// Subscribe subscribes to a mailbox.
func (r *RawIMAP) Subscribe(mailbox string) error { return r.ok("SUBSCRIBE " + Quote(mailbox)) }

// Quote gives s as a quoted string (RFC 9051, section 4.3).
func Quote(s string) string { return `"` + strings.NewReplacer(`\`, `\\`, `"`, `\"`).Replace(s) + `"` }

// A token is an atom, a string or a literal, or a list in parentheses.
type token struct {
	text  string
	atom  bool
	items []token
}

// list gives the texts of a list's tokens.
func (t token) list() []string {
	texts := make([]string, len(t.items))
	for i, item := range t.items {
		texts[i] = item.text
	}
	return texts
}

// tokens splits a response at its spaces, outside of strings, literals, lists and the brackets of BODY[…].
func tokens(s string) ([]token, error) {
	got, rest, err := list(s)
	if err == nil && rest != "" {
		err = errors.New("text after the last parenthesis")
	}
	return got, err
}

func list(s string) (got []token, rest string, err error) {
	for s != "" && s[0] != ')' {
		var t token
		switch s[0] {
		case ' ':
			s = s[1:]
			continue
		case '(':
			if t.items, s, err = list(s[1:]); err != nil {
				return nil, "", err
			}
			if s == "" {
				return nil, "", errors.New("list without an end")
			}
			s = s[1:]
		case '"':
			if t.text, s, err = quoted(s[1:]); err != nil {
				return nil, "", err
			}
		case '{', '~':
			line, after, ok := strings.Cut(s, "\r\n")
			n, isLiteral := literalAtEnd([]byte(line))
			if !ok || !isLiteral || n > len(after) {
				return nil, "", errors.New("broken literal")
			}
			t.text, s = after[:n], after[n:]
		default:
			end := atomEnd(s)
			t.text, t.atom, s = s[:end], true, s[end:]
		}
		got = append(got, t)
	}
	return got, s, nil
}

func quoted(s string) (text, rest string, err error) {
	var b strings.Builder
	for i := 0; i < len(s); i++ {
		switch s[i] {
		case '"':
			return b.String(), s[i+1:], nil
		case '\\':
			i++
		}
		if i < len(s) {
			b.WriteByte(s[i])
		}
	}
	return "", "", errors.New("string without an end")
}

func atomEnd(s string) int {
	inBrackets := false
	for i := range len(s) {
		switch c := s[i]; {
		case c == '[':
			inBrackets = true
		case c == ']':
			inBrackets = false
		case !inBrackets && (c == ' ' || c == '(' || c == ')'):
			return max(i, 1)
		}
	}
	return len(s)
}
