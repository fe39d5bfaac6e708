package testserver

import (
	"bytes"
	"net/mail"
	"slices"
	"strings"
	"time"

	"github.com/emersion/go-imap/v2"
	"github.com/emersion/go-imap/v2/imapserver"
)

// Search looks at what was stored octet for octet: words are sought in the raw message, not in what it would be decoded.
func (s *imapSession) Search(kind imapserver.NumKind, criteria *imap.SearchCriteria, _ *imap.SearchOptions) (*imap.SearchData, error) {
	s.note("SEARCH", s.box.name)
	s.server.mu.Lock()
	defer s.server.mu.Unlock()
	var data imap.SearchData
	var seqs imap.SeqSet
	var uids imap.UIDSet
	for i, m := range s.box.messages {
		seq := s.view.EncodeSeqNum(uint32(i + 1))
		if seq == 0 || !s.matches(m, seq, criteria) {
			continue
		}
		n := seq
		if kind == imapserver.NumKindUID {
			n = uint32(m.uid)
		}
		seqs.AddNum(seq)
		uids.AddNum(m.uid)
		if data.Count == 0 {
			data.Min = n
		}
		data.Max = n
		data.Count++
	}
	data.All = seqs
	if kind == imapserver.NumKindUID {
		data.All = uids
	}
	return &data, nil
}

func (s *imapSession) matches(m *stored, seq uint32, c *imap.SearchCriteria) bool {
	header := sectionOf(m.octets, &imap.FetchItemBodySection{Specifier: imap.PartSpecifierHeader})
	contains := func(octets []byte, word string) bool {
		return bytes.Contains(bytes.ToLower(octets), bytes.ToLower([]byte(word)))
	}
	checks := []bool{
		!slices.ContainsFunc(c.SeqNum, func(set imap.SeqSet) bool { return !s.names(set, seq, m.uid) }),
		!slices.ContainsFunc(c.UID, func(set imap.UIDSet) bool { return !s.names(set, seq, m.uid) }),
		!slices.ContainsFunc(c.Flag, func(f imap.Flag) bool { return !hasFlag(m.flags, f) }),
		!slices.ContainsFunc(c.NotFlag, func(f imap.Flag) bool { return hasFlag(m.flags, f) }),
		c.Since.IsZero() || !day(m.date).Before(day(c.Since)),
		c.Before.IsZero() || day(m.date).Before(day(c.Before)),
		c.Larger == 0 || int64(len(m.octets)) > c.Larger,
		c.Smaller == 0 || int64(len(m.octets)) < c.Smaller,
		!slices.ContainsFunc(c.Header, func(f imap.SearchCriteriaHeaderField) bool {
			fields := bytes.TrimSpace(fieldsOf(header, []string{f.Key}, nil))
			_, value, has := bytes.Cut(fields, []byte(":"))
			return !has || !contains(value, f.Value)
		}),
		!slices.ContainsFunc(c.Body, func(word string) bool { return !contains(m.octets[len(header):], word) }),
		!slices.ContainsFunc(c.Text, func(word string) bool { return !contains(m.octets, word) }),
		!slices.ContainsFunc(c.Not, func(not imap.SearchCriteria) bool { return s.matches(m, seq, &not) }),
		!slices.ContainsFunc(c.Or, func(or [2]imap.SearchCriteria) bool {
			return !s.matches(m, seq, &or[0]) && !s.matches(m, seq, &or[1])
		}),
		c.SentSince.IsZero() || !sent(header).Before(day(c.SentSince)),
		c.SentBefore.IsZero() || sent(header).Before(day(c.SentBefore)),
	}
	return !slices.Contains(checks, false)
}

// day drops time and zone, as SEARCH does (RFC 9051, section 6.4.4).
func day(t time.Time) time.Time { return time.Date(t.Year(), t.Month(), t.Day(), 0, 0, 0, 0, time.UTC) }

// sent is the day of the Date field, zero where it cannot be read.
func sent(header []byte) time.Time {
	_, value, _ := strings.Cut(string(fieldsOf(header, []string{"Date"}, nil)), ":")
	t, err := mail.ParseDate(strings.TrimSpace(value))
	if err != nil {
		return time.Time{}
	}
	return day(t)
}
