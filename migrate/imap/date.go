package imap

import (
	"strconv"
	"strings"
	"time"
)

// formatDate writes t as an IMAP date-time in t's own zone (RFC 9051, section 9). ok is false for a time that has no
// such form: the zero time, and years of other than four digits.
func formatDate(t time.Time) (text string, ok bool) {
	if t.IsZero() {
		return "", false
	}
	if _, offset := t.Zone(); offset%60 != 0 { // a local mean time: the form has no seconds in a zone
		t = t.UTC()
	}
	if t.Year() < 1 || t.Year() > 9999 {
		return "", false
	}
	return t.Format(`_2-Jan-2006 15:04:05 -0700`), true
}

// parseDate reads an INTERNALDATE as servers write it. What no calendar has (31-Feb, hour 24) is carried over to the
// day or hour that is meant, a zone that cannot be is UTC; what makes no sense gives the zero time.
func parseDate(text string) time.Time {
	var fields [3]string
	n := 0
	for field := range strings.FieldsSeq(text) {
		if n < len(fields) {
			fields[n] = field
		}
		n++
	}
	date, ok0 := three(fields[0], "-")
	clock, ok := three(fields[1], ":")
	if !ok0 || !ok {
		return time.Time{}
	}
	day, ok1 := bounded(date[0], 1, 31)
	month, ok2 := months[strings.ToLower(date[1])]
	year, ok3 := bounded(date[2], 0, 9999)
	hour, ok4 := bounded(clock[0], 0, 24)
	minute, ok5 := bounded(clock[1], 0, 59)
	second, ok6 := bounded(clock[2], 0, 60)
	if !(ok1 && ok2 && ok3 && ok4 && ok5 && ok6) {
		return time.Time{}
	}
	if len(date[2]) == 2 {
		year += 1900
		if year < 1970 {
			year += 100
		}
	}
	zone := time.UTC
	if n > 2 {
		zone = parseZone(fields[2])
	}
	return time.Date(year, month, day, hour, minute, second, 0, zone)
}

// three splits text in three parts.
func three(text, sep string) (parts [3]string, ok bool) {
	var rest string
	parts[0], rest, _ = strings.Cut(text, sep)
	parts[1], parts[2], ok = strings.Cut(rest, sep)
	return parts, ok && !strings.Contains(parts[2], sep)
}

func bounded(digits string, low, high int) (int, bool) {
	n, err := strconv.Atoi(digits)
	return n, err == nil && n >= low && n <= high
}

// parseZone reads "+hhmm"; the widest zones there are lie within 14 hours.
func parseZone(text string) *time.Location {
	if len(text) != 5 || (text[0] != '+' && text[0] != '-') {
		return time.UTC
	}
	hours, ok1 := bounded(text[1:3], 0, 14)
	minutes, ok2 := bounded(text[3:], 0, 59)
	if !ok1 || !ok2 {
		return time.UTC
	}
	offset := hours*3600 + minutes*60
	if text[0] == '-' {
		offset = -offset
	}
	return time.FixedZone("", offset)
}

var months = map[string]time.Month{
	"jan": 1, "feb": 2, "mar": 3, "apr": 4, "may": 5, "jun": 6, "jul": 7, "aug": 8, "sep": 9, "oct": 10, "nov": 11, "dec": 12,
}
