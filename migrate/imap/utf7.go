package imap

import (
	"encoding/base64"
	"strings"
	"unicode/utf16"
	"unicode/utf8"
)

// utf7 is the base64 of mailbox names: "," in place of "/", no padding (RFC 3501, section 5.1.3).
var utf7 = base64.NewEncoding("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+,").WithPadding(base64.NoPadding)

// encodeName gives text in modified UTF-7 (RFC 3501, section 5.1.3).
func encodeName(text string) string {
	var b strings.Builder
	var shifted []rune
	flush := func() {
		if len(shifted) == 0 {
			return
		}
		var octets []byte
		for _, unit := range utf16.Encode(shifted) {
			octets = append(octets, byte(unit>>8), byte(unit))
		}
		b.WriteString("&" + utf7.EncodeToString(octets) + "-")
		shifted = shifted[:0]
	}
	for _, r := range text {
		switch {
		case r == '&':
			flush()
			b.WriteString("&-")
		case r >= 0x20 && r <= 0x7e:
			flush()
			b.WriteRune(r)
		default:
			shifted = append(shifted, r)
		}
	}
	flush()
	return b.String()
}

// decodeName reads modified UTF-7. exact tells that encodeName gives the same octets again; where it would not, the
// name is shown as it stands (as Latin-1 if it is no UTF-8 either), and whoever sends it must send raw.
func decodeName(raw string) (text string, exact bool) {
	if text, ok := decodeUTF7(raw); ok && encodeName(text) == raw {
		return text, true
	}
	return showable(raw), false
}

func decodeUTF7(raw string) (string, bool) {
	var b strings.Builder
	for len(raw) > 0 {
		plain, rest, found := strings.Cut(raw, "&")
		b.WriteString(plain)
		if !found {
			break
		}
		word, after, closed := strings.Cut(rest, "-")
		if !closed {
			return "", false
		}
		raw = after
		if word == "" {
			b.WriteByte('&')
			continue
		}
		octets, err := utf7.DecodeString(word)
		if err != nil || len(octets)%2 != 0 {
			return "", false
		}
		units := make([]uint16, len(octets)/2)
		for i := range units {
			units[i] = uint16(octets[2*i])<<8 | uint16(octets[2*i+1])
		}
		b.WriteString(string(utf16.Decode(units)))
	}
	return b.String(), true
}

// showable gives raw as valid UTF-8: as it is, or each octet as a character of Latin-1.
func showable(raw string) string {
	if utf8.ValidString(raw) {
		return raw
	}
	runes := make([]rune, len(raw))
	for i := range len(raw) {
		runes[i] = rune(raw[i])
	}
	return string(runes)
}

// quote gives s as a quoted string (RFC 9051, section 4.3). ok is false where it cannot be one: it holds CR, LF or NUL.
func quote(s string) (quoted string, ok bool) {
	if strings.ContainsAny(s, "\r\n\x00") {
		return "", false
	}
	return `"` + quoteEscaper.Replace(s) + `"`, true
}

var quoteEscaper = strings.NewReplacer(`\`, `\\`, `"`, `\"`)
