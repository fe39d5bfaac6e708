package imap

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"strconv"
	"strings"

	"postcask/migrate"
	"postcask/migrate/step"
)

const (
	freelyPlus   = 4 << 20 // larger ones wait for the server's consent, even with LITERAL+: it could only hang up
	freelyMinus  = 4096    // what LITERAL- allows without consent (RFC 7888, section 5)
	multiOctets  = 1 << 20 // of the messages of one MULTIAPPEND
	multiMembers = 100
)

// A parcel is one APPEND command.
type parcel struct {
	tag     string
	uploads []*upload
	verdict *status
	kept    bool // the verdict came before the octets: they stayed here
}

// pack makes commands of uploads: several in one where MULTIAPPEND allows and no consent is needed.
func (s *Session) pack(uploads []*upload) []*parcel {
	var parcels []*parcel
	var open *parcel
	var octets int64
	for _, u := range uploads {
		if !s.has("MULTIAPPEND") {
			u.alone = true
		}
		u.free = s.unasked(u)
		u.head = s.announce(u)
		joins := !u.alone && u.free
		if open == nil || !joins || len(open.uploads) >= multiMembers || octets+u.size > multiOctets {
			open, octets = &parcel{tag: s.newTag()}, 0
			parcels = append(parcels, open)
		}
		open.uploads = append(open.uploads, u)
		octets += u.size
		if !joins {
			open = nil
		}
	}
	for _, p := range parcels {
		for _, u := range p.uploads {
			u.alone = len(p.uploads) == 1
		}
	}
	return parcels
}

// unasked tells whether the message may be sent without the server's consent (RFC 7888).
func (s *Session) unasked(u *upload) bool {
	if limit, err := strconv.ParseInt(s.caps["APPENDLIMIT"], 10, 64); err == nil && u.size > limit {
		return false // it will be refused (RFC 7889), and so costs no octets
	}
	return s.has("LITERAL+") && u.size <= freelyPlus || s.has("LITERAL-") && u.size <= freelyMinus
}

// announce writes what comes before a message's octets, from the flags on (RFC 9051, section 6.3.12). A message with
// a NUL goes as a literal8 where the server has BINARY (RFC 3516, section 4.4).
func (s *Session) announce(u *upload) string {
	var b strings.Builder
	if len(u.flags) > 0 {
		b.WriteString(" (" + strings.Join(u.flags, " ") + ")")
	}
	if u.date != "" {
		b.WriteString(" " + u.date)
	}
	b.WriteByte(' ')
	if u.nul && s.has("BINARY") {
		b.WriteByte('~')
	}
	plus := ""
	if u.free {
		plus = "+"
	}
	fmt.Fprintf(&b, "{%d%s}\r\n", u.size, plus)
	return b.String()
}

// flight sends uploads, one command behind the other, and hears every verdict. A goroutine hears what the server says
// while we write, so that neither side ever waits for the other to read; it has ended when flight returns. The error
// is that of the session, or of reading a body, which costs the session too: its octets were promised.
func (s *Session) flight(ctx context.Context, uploads []*upload) error {
	if err := s.ready(ctx); err != nil {
		return err
	}
	defer s.conn.Watch(ctx)()
	parcels := s.pack(uploads)
	ear := s.listen(parcels)
	err := s.load(parcels, ear)
	if err != nil {
		// Whether the connection failed or the source did: what the server was told to expect will not come.
		s.conn.Fail(err)
	}
	step.Done("messages sent, no answer heard")
	heard := ear.finish()
	step.Done("answers heard")
	if err != nil {
		return err
	}
	if heard != nil {
		return heard
	}
	for _, p := range parcels {
		s.judge(p)
	}
	return nil
}

// load writes the commands.
func (s *Session) load(parcels []*parcel, ear *ear) error {
	w := bufio.NewWriterSize(s.conn, 64<<10)
	for _, p := range parcels {
		if !p.uploads[0].free {
			// Its request to go on would follow at the heels of the verdict before it, two small packets that a
			// server's TCP holds back from one another: asking later is faster.
			if err := w.Flush(); err != nil {
				return s.broken(err)
			}
			if err := ear.quiet(p); err != nil {
				return err
			}
		}
		s.conn.Trace("C", fmt.Sprintf("%s APPEND %s, messages: %d", p.tag, p.uploads[0].name, len(p.uploads)))
		fmt.Fprintf(w, "%s APPEND %s", p.tag, p.uploads[0].name)
		for _, u := range p.uploads {
			w.WriteString(u.head)
			if !u.free {
				if err := w.Flush(); err != nil {
					return s.broken(err)
				}
				goOn, err := ear.consent(p)
				if err != nil {
					return err
				}
				if !goOn { // refused: the command is over, its octets stay here
					p.kept = true
					goto next
				}
			}
			if u.stream == nil {
				w.Write(u.octets)
			} else if err := s.pour(w, u); err != nil {
				return err
			}
		}
		w.WriteString("\r\n")
	next:
	}
	if err := w.Flush(); err != nil {
		return s.broken(err)
	}
	return nil
}

// pour streams a large body.
func (s *Session) pour(w *bufio.Writer, u *upload) error {
	u.touched = true
	source := &errorKeeper{r: u.stream}
	n, err := io.Copy(w, source)
	switch {
	case source.err != nil:
		return source.err
	case err != nil:
		return s.broken(err)
	case n < u.size:
		return fmt.Errorf("read the message: %w", io.ErrUnexpectedEOF)
	}
	return nil
}

// errorKeeper tells an error of the source from one of the connection.
type errorKeeper struct {
	r   io.Reader
	err error
}

func (k *errorKeeper) Read(p []byte) (int, error) {
	n, err := k.r.Read(p)
	if err != nil && err != io.EOF {
		k.err = err
	}
	return n, err
}

var errNotAsked = errors.New("append: the server says OK to a message whose octets it has not asked for")

// judge turns a command's verdict into those of its messages.
func (s *Session) judge(p *parcel) {
	st := *p.verdict
	if !st.ok() {
		err := at(p.uploads[0].path, st.refusal("append"))
		for _, u := range p.uploads {
			s.batch.stored[u.place].Err = err
			u.missing = st.code == "TRYCREATE"
		}
		return
	}
	for _, u := range p.uploads {
		s.batch.stored[u.place].Err = nil
		if p.kept {
			s.batch.stored[u.place].Err = at(u.path, errNotAsked)
		}
	}
	if p.kept {
		return
	}
	if st.code != "APPENDUID" { // RFC 4315, section 3
		return
	}
	word, set, _ := strings.Cut(st.args, " ")
	validity, err := strconv.ParseUint(word, 10, 32)
	uids, ok := parseUIDs(set, len(p.uploads))
	if err != nil || validity == 0 || !ok {
		return
	}
	for i, u := range p.uploads {
		s.batch.stored[u.place].Key = migrate.Key{Validity: uint32(validity), UID: uids[i]}
		if v := s.view; v != nil && v.path == u.path && v.validity == uint32(validity) && v.next != 0 && uids[i] < 1<<32-1 {
			v.next = max(v.next, uids[i]+1)
		}
	}
}

// parseUIDs reads a set that must name exactly n UIDs, in ascending order; it never makes more of them.
func parseUIDs(set string, n int) ([]uint32, bool) {
	uids := make([]uint32, 0, n)
	last := uint64(0)
	for part := range strings.SplitSeq(strings.TrimSpace(set), ",") {
		from, to, isRange := strings.Cut(part, ":")
		first, err := strconv.ParseUint(from, 10, 32)
		end := first
		if err == nil && isRange {
			end, err = strconv.ParseUint(to, 10, 32)
		}
		if err != nil || first <= last || end < first || end-first >= uint64(n-len(uids)) {
			return nil, false
		}
		for ; first <= end; first++ {
			uids = append(uids, uint32(first))
		}
		last = end
	}
	return uids, len(uids) == n
}
