//go:build linux

package main

import (
	"bytes"
	"encoding/base64"
	"fmt"
	"math"
	"math/rand/v2"
	"mime"
	"strings"
	"time"
)

// A letter is a made message with what Dovecot keeps beside it.
type letter struct {
	octets []byte // lines ended by LF
	date   time.Time
	flags  []string // letters of a Maildir name
}

// A press makes letters. The same seed and number give the same octets, and what fills them is cut from two long texts,
// since a gigabyte has to be made in seconds.
type press struct{ prose, base64 []byte }

// pressOctets is how long each of the two is, so that letters of an account seldom have parts in common.
const pressOctets = 4 << 20

var words = strings.Fields(`about account address after again all also am an and any are as ask at attached back be been before best
	book budget but by call can could customer date day delivery do done each find first for from give go has have he her here
	his how i if in invoice is it its just know last let like made make many may me meeting month more my name new next no not
	now of off offer on one only or order other our out over own part people plan please price project question read report
	review said same see send server she should so some take team than that the their them then there these they thing this
	time to today tomorrow two up us use very want was way we week well were what when which who will with work would year you`)

var foreign = []string{"Grüße", "Überweisung", "résumé", "mañana", "Zürich", "Łódź", "Привет", "встреча", "会議", "資料", "你好", "附件", "שלום", "😀"}

// awkward lines: those that careless programs change.
var awkward = []string{"From the beginning of a line", ">From one that was quoted before", ".", ".. and dots", "-- ", "", "> a reply, with a space behind it "}

func newPress(seed uint64, octets int) *press {
	r := rand.New(rand.NewPCG(seed, math.MaxUint64))
	var prose bytes.Buffer
	for prose.Len() < octets {
		if r.IntN(25) == 0 {
			prose.WriteString(awkward[r.IntN(len(awkward))])
		} else {
			for line := 0; line < 60; {
				word := words[r.IntN(len(words))]
				if r.IntN(80) == 0 {
					word = foreign[r.IntN(len(foreign))]
				}
				prose.WriteString(word + " ")
				line += len(word) + 1
			}
		}
		prose.WriteByte('\n')
	}
	var encoded bytes.Buffer
	var raw [57]byte
	for encoded.Len() < octets {
		for i := range raw {
			raw[i] = byte(r.Uint32())
		}
		encoded.WriteString(base64.StdEncoding.EncodeToString(raw[:]) + "\n")
	}
	return &press{prose: prose.Bytes(), base64: encoded.Bytes()}
}

// some gives about n octets of whole lines from one of the long texts.
func some(r *rand.Rand, text []byte, n int) []byte {
	n = min(n, len(text)/2)
	from := r.IntN(len(text) - n)
	if from > 0 {
		from += bytes.IndexByte(text[from:], '\n') + 1
	}
	part := text[from:min(from+n, len(text))]
	return part[:bytes.LastIndexByte(part, '\n')+1]
}

// between is a number from low to high, small ones being as likely as large ones of the same ratio.
func between(r *rand.Rand, low, high float64) int {
	return int(low * math.Pow(high/low, r.Float64()))
}

// letter makes the message of a number. Seven in ten are short text, one in twenty is large, as in people's accounts;
// the mean is about 60 kB.
func (p *press) letter(r *rand.Rand, number int) letter {
	switch class := r.IntN(100); {
	case class < 70:
		return p.plain(r, number, between(r, 1000, 8000))
	case class < 95:
		return p.withAttachment(r, number, between(r, 20e3, 100e3))
	default:
		return p.withAttachment(r, number, between(r, 300e3, 2e6))
	}
}

func (p *press) plain(r *rand.Rand, number, size int) letter {
	l, head := p.head(r, number)
	fmt.Fprintf(head, "Content-Type: text/plain; charset=utf-8\nContent-Transfer-Encoding: 8bit\n\n")
	head.Write(some(r, p.prose, size))
	if l.octets = head.Bytes(); r.IntN(100) == 0 {
		l.octets = bytes.TrimRight(l.octets, "\n") // no line end at its end
	}
	return l
}

func (p *press) withAttachment(r *rand.Rand, number, size int) letter {
	l, head := p.head(r, number)
	fmt.Fprintf(head, "Content-Type: multipart/mixed; boundary=\"=_%d\"\n\n--=_%d\nContent-Type: text/plain; charset=utf-8\n\n", number, number)
	head.Write(some(r, p.prose, 1500))
	fmt.Fprintf(head, "\n--=_%d\nContent-Type: application/pdf; name=\"report %d.pdf\"\nContent-Transfer-Encoding: base64\n\n", number, number)
	for end := head.Len() + size; head.Len() < end; {
		head.Write(some(r, p.base64, max(end-head.Len(), 200)))
	}
	fmt.Fprintf(head, "--=_%d--\n", number)
	l.octets = head.Bytes()
	return l
}

// head begins a letter.
func (p *press) head(r *rand.Rand, number int) (letter, *bytes.Buffer) {
	l := letter{date: time.Date(2010, 1, 1, 0, 0, 0, 0, time.UTC).Add(time.Duration(r.Int64N(15*365*24*3600)) * time.Second)}
	for _, flag := range []struct {
		letter string
		share  int
	}{{"F", 6}, {"R", 15}, {"S", 75}, {"a", 5}, {"b", 3}} { // a and b are keywords
		if r.IntN(100) < flag.share {
			l.flags = append(l.flags, flag.letter)
		}
	}
	var b bytes.Buffer
	date := l.date.In(time.FixedZone("", (r.IntN(25)-12)*3600)).Format(time.RFC1123Z)
	for hop := range 2 + r.IntN(4) {
		fmt.Fprintf(&b, "Received: from mx%d.example.net (mx%d.example.net [192.0.2.%d])\n\tby mx.example.org with ESMTPS id %016X\n\tfor <me@example.org>; %s\n",
			hop, hop, r.IntN(255), r.Uint64(), date)
	}
	if r.IntN(2) == 0 {
		fmt.Fprintf(&b, "DKIM-Signature: v=1; a=rsa-sha256; c=relaxed/relaxed; d=example.net; s=key;\n\th=from:to:subject:date:message-id;\n\tb=%s",
			some(r, p.base64, 160))
	}
	if r.IntN(200) > 0 { // a few have none
		fmt.Fprintf(&b, "Message-ID: <%d.%x@example.net>\n", number, r.Uint64())
	}
	subject := words[r.IntN(len(words))] + " " + words[r.IntN(len(words))]
	switch r.IntN(8) {
	case 0:
		subject = mime.BEncoding.Encode("utf-8", foreign[r.IntN(len(foreign))]+" "+subject)
	case 1:
		subject = foreign[r.IntN(len(foreign))] + " " + subject // raw, as some programs send it
	}
	fmt.Fprintf(&b, "Date: %s\nFrom: Sender %d <sender%d@example.net>\nTo: <me@example.org>\nSubject: %s\nMIME-Version: 1.0\n",
		date, r.IntN(4000), r.IntN(4000), subject)
	return l, &b
}
