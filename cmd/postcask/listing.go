package main

import (
	"encoding/json"
	"fmt"
	"strconv"
	"strings"

	"postcask/migrate"
	"postcask/migrate/wire"
)

// A mailboxRow is what ls shows of a mailbox.
type mailboxRow struct {
	Mailbox    migrate.Path `json:"mailbox"`
	Role       migrate.Role `json:"role"`
	Subscribed bool         `json:"subscribed"`
	NoSelect   bool         `json:"no_select"`
	Messages   *int64       `json:"messages"` // null where not known
	Octets     *int64       `json:"octets"`
}

// A listing shows mailboxes and, below each, its messages.
type listing interface {
	mailbox(mailboxRow)
	message(messageRow)
	end(err error) // why it ended early, or nil
}

func (c *cli) newListing(e *endpoint, messages bool) listing {
	if c.term.json {
		fmt.Fprintf(c.term.stdout, `{"endpoint":%s,"mailboxes":[`, encoded(e.String()))
		return &jsonListing{term: c.term, messages: messages}
	}
	l := &tableListing{term: c.term, messages: messages}
	aligned := isTerminal(c.term.stdout)
	if aligned {
		l.table = &table{out: c.term.stdout}
	}
	if !messages {
		l.row("MAILBOX", "ROLE", "SUBSCRIBED", "MESSAGES", "OCTETS")
	} else {
		l.row("MAILBOX", "ID", "DATE", "SIZE", "FLAGS", "FROM", "SUBJECT")
	}
	return l
}

// tableListing prints columns: aligned on a terminal, parted by tabs elsewhere.
type tableListing struct {
	term     *terminal
	table    *table // nil where columns are not aligned
	messages bool
	at       migrate.Path
}

func (l *tableListing) row(cells ...string) {
	for i, cell := range cells {
		if cells[i] = wire.Clean(cell); cell == "" {
			cells[i] = "-"
		}
	}
	if l.table == nil {
		fmt.Fprintln(l.term.stdout, strings.Join(cells, "\t"))
		return
	}
	l.table.row(cells)
}

func (l *tableListing) mailbox(m mailboxRow) {
	if l.at = m.Mailbox; l.messages {
		return
	}
	subscribed := "no"
	if m.Subscribed {
		subscribed = "yes"
	}
	l.row(string(m.Mailbox), string(m.Role), subscribed, number(m.Messages), number(m.Octets))
}

func (l *tableListing) message(m messageRow) {
	id := m.ID
	if m.UID != 0 {
		id = strconv.FormatUint(uint64(m.UID), 10)
	}
	from, subject := m.From, m.Subject
	if m.Error != "" {
		subject = m.Error
	}
	if l.table != nil {
		from, subject = shorten(from, 30), shorten(subject, 60)
	}
	l.row(string(l.at), id, m.shownDate(), number(m.Size), strings.Join(m.Flags, " "), from, subject)
}

func (l *tableListing) end(error) {
	if l.table != nil {
		l.table.flush()
	}
}

func number(n *int64) string {
	if n == nil {
		return ""
	}
	return strconv.FormatInt(*n, 10)
}

// jsonListing prints one document, piece by piece, since a mailbox may be large.
type jsonListing struct {
	term     *terminal
	messages bool
	open     bool // a mailbox is
	listed   int  // messages of it
}

func (l *jsonListing) mailbox(m mailboxRow) {
	row := encoded(m)
	if l.open {
		l.close()
		fmt.Fprint(l.term.stdout, ",")
	}
	l.open, l.listed = true, 0
	if l.messages {
		row = append(row[:len(row)-1], `,"listing":[`...)
	}
	fmt.Fprintf(l.term.stdout, "\n%s", row)
}

func (l *jsonListing) message(m messageRow) {
	if l.listed++; l.listed > 1 {
		fmt.Fprint(l.term.stdout, ",")
	}
	fmt.Fprintf(l.term.stdout, "\n%s", encoded(m))
}

func (l *jsonListing) close() {
	if l.open && l.messages {
		fmt.Fprint(l.term.stdout, "]}")
	}
}

// end closes the document; one that was cut short stays open, and what follows begins on a line of its own.
func (l *jsonListing) end(err error) {
	if err != nil {
		fmt.Fprintln(l.term.stdout)
		return
	}
	l.close()
	fmt.Fprintln(l.term.stdout, "]}")
}

// encoded gives JSON without the escapes that are meant for web pages.
func encoded(value any) []byte {
	var b strings.Builder
	encoder := json.NewEncoder(&b)
	encoder.SetEscapeHTML(false)
	if err := encoder.Encode(value); err != nil {
		panic(err) // only plain structs come here
	}
	return []byte(strings.TrimSuffix(b.String(), "\n"))
}
