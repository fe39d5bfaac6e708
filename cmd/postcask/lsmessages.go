package main

import (
	"bytes"
	"context"
	"io"
	"mime"
	"net/mail"
	"net/textproto"
	"slices"
	"strings"
	"unicode/utf8"

	"golang.org/x/text/encoding/htmlindex"

	"postcask/migrate"
)

// A messageRow is what ls shows of a message.
type messageRow struct {
	messageJSON
	Sent      string `json:"sent,omitempty"` // the Date field as it stands
	From      string `json:"from"`
	To        string `json:"to"`
	Subject   string `json:"subject"`
	MessageID string `json:"message_id,omitempty"`
	Error     string `json:"error,omitempty"` // why its header cannot be read
}

// headerBatch is how many headers are asked for at once.
const headerBatch = 500

// listMessages shows the messages of a mailbox in the order of the source.
func listMessages(ctx context.Context, source migrate.Source, mbox migrate.Path, show func(messageRow)) error {
	batch := make([]migrate.Message, 0, headerBatch)
	flush := func() error {
		rows := make(map[migrate.Key]messageRow, len(batch))
		for header, err := range source.(migrate.HeaderReader).Headers(ctx, mbox, batch) {
			if err != nil {
				return err
			}
			rows[header.Message.Key] = rowOf(header)
		}
		for _, m := range batch {
			if row, there := rows[m.Key]; there {
				show(row)
			}
		}
		batch = batch[:0]
		return nil
	}
	for m, err := range source.Messages(ctx, mbox) {
		if err != nil {
			return err
		}
		if batch = append(batch, m); len(batch) == headerBatch {
			if err := flush(); err != nil {
				return err
			}
		}
	}
	return flush()
}

func rowOf(header migrate.Header) messageRow {
	row := messageRow{messageJSON: describe(header.Message)}
	if header.Err != nil {
		row.Error = header.Err.Error()
		return row
	}
	fields := headerFields(header.Octets)
	row.Sent, row.MessageID = fields["date"], fields["message-id"]
	row.From, row.To, row.Subject = decodeWords(fields["from"]), decodeWords(fields["to"]), decodeWords(fields["subject"])
	return row
}

// headerFields reads the first of each field that is shown, unfolded; what is no field is passed by, since mail has
// all sorts of things in its header.
func headerFields(octets []byte) map[string]string {
	fields := map[string]string{}
	name := ""
	for line := range bytes.Lines(octets) {
		line = bytes.TrimRight(line, "\r\n")
		if len(line) == 0 {
			break
		}
		if line[0] == ' ' || line[0] == '\t' {
			if name != "" && len(fields[name]) < longestField { // a field of a million lines is nothing to show
				fields[name] += " " + string(bytes.TrimLeft(line, " \t"))
			}
			continue
		}
		before, after, ok := bytes.Cut(line, []byte(":"))
		name = strings.ToLower(textproto.TrimString(string(before)))
		if _, seen := fields[name]; !ok || seen || !slices.Contains(shownFields, name) {
			name = ""
			continue
		}
		fields[name] = textproto.TrimString(string(after))
	}
	return fields
}

// longestField is how long an unfolded field may be before what follows of it is left out.
const longestField = 8 << 10

var shownFields = []string{"date", "from", "to", "subject", "message-id"}

// decodeWords gives the text of a field with its encoded words decoded (RFC 2047), as far as they can be. Octets that
// are no UTF-8, which old mail has bare, are taken for Latin-1.
func decodeWords(text string) string {
	if !utf8.ValidString(text) {
		runes := make([]rune, 0, len(text))
		for i := range len(text) {
			runes = append(runes, rune(text[i]))
		}
		text = string(runes)
	}
	decoder := mime.WordDecoder{CharsetReader: func(charset string, input io.Reader) (io.Reader, error) {
		encoding, err := htmlindex.Get(charset)
		if err != nil {
			return nil, err
		}
		return encoding.NewDecoder().Reader(input), nil
	}}
	decoded, err := decoder.DecodeHeader(text)
	if err != nil {
		return text
	}
	return decoded
}

// shownDate gives when a message arrived, or where its store does not know when it says it was sent.
func (r *messageRow) shownDate() string {
	if r.Date != "" {
		return r.Date
	}
	if date, err := mail.ParseDate(r.Sent); err == nil {
		return date.Format("2006-01-02T15:04:05Z07:00")
	}
	return ""
}
