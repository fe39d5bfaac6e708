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
	freelyPlus  = 4 << 20 // larger ones wait for the server's consent, even with LITERAL+: it could only hang up
	freelyMinus = 4096    // what LITERAL- allows without consent (RFC 7888, section 5)

	companyLimit = 500 // messages of one MULTIAPPEND
)

// A parcel is one APPEND command.
type parcel struct {
	tag     string
	uploads []*upload
	verdict *status // guarded by ear.mu until the ear has finished
	kept    bool    // the verdict came before the octets: they stayed here
}

// ship writes a message: as one more of the command that is open, or in a command of its own.
func (s *Session) ship(ctx context.Context, u *upload) error {
	defer s.conn.Watch(ctx)()
	b := &s.batch
	if b.ear == nil {
		b.ear, b.before = s.newEar(), s.uidNext(b.path)
	}
	if b.writer == nil {
		b.writer = bufio.NewWriterSize(s.conn, 64<<10)
	}
	free := s.unasked(u)
	joins := free && s.has("MULTIAPPEND") && s.alone == 0 && !s.acct.miscounts.Load()
	s.alone = max(0, s.alone-1)
	if p := b.open; p != nil && (!joins || len(p.uploads) >= s.company || b.ear.judged(p)) {
		if err := s.seal(); err != nil {
			return err
		}
	}
	p := b.open
	if p == nil {
		if !free {
			// Its request to go on would follow at the heels of the verdict before it, two small packets that a
			// server's TCP holds back from one another: asking later is faster.
			if err := b.writer.Flush(); err != nil {
				return s.broken(err)
			}
			if err := b.ear.quiet(); err != nil {
				return err
			}
		}
		p = &parcel{tag: s.newTag()}
		b.parcels = append(b.parcels, p)
		b.ear.expect(p)
		s.conn.Trace("C", p.tag+" APPEND "+u.name)
		fmt.Fprintf(b.writer, "%s APPEND %s", p.tag, u.name)
	}
	p.uploads = append(p.uploads, u)
	b.writer.WriteString(s.announce(u, free))
	if !free {
		goOn, err := s.askToGoOn(p)
		if err != nil {
			return err
		}
		if !goOn {
			p.kept = true
			_, err := io.Copy(io.Discard, u.body) // see refuse
			return err
		}
	}
	if err := s.pour(u); err != nil {
		return err
	}
	if b.open = p; !joins {
		return s.seal()
	}
	return nil
}

// askToGoOn waits for the server's consent to the octets of p's message. False means that it has refused: the command is
// over, and its octets stay here.
func (s *Session) askToGoOn(p *parcel) (bool, error) {
	s.batch.ear.deafen()
	if err := s.batch.writer.Flush(); err != nil {
		return false, s.broken(err)
	}
	return s.batch.ear.consent(p)
}

// seal ends the command that is open. One that holds many messages is worth the server's attention at once.
func (s *Session) seal() error {
	b := &s.batch
	p := b.open
	if p == nil {
		return nil
	}
	b.open = nil
	b.writer.WriteString("\r\n")
	if len(p.uploads) == 1 {
		return nil
	}
	s.conn.Trace("C", fmt.Sprintf("%s with %d messages", p.tag, len(p.uploads)))
	if err := b.writer.Flush(); err != nil {
		return s.broken(err)
	}
	return nil
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
func (s *Session) announce(u *upload, free bool) string {
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
	if free {
		plus = "+"
	}
	fmt.Fprintf(&b, "{%d%s}\r\n", u.size, plus)
	return b.String()
}

// land ends what is on the way, hears every verdict and notes it.
func (s *Session) land(ctx context.Context) error {
	b := &s.batch
	if b.ear == nil {
		return nil
	}
	if err := s.usable(ctx); err != nil {
		return err // they go on waiting: with another context they may be sent yet
	}
	if b.ear == nil {
		return nil // compression has begun, and they were landed for that
	}
	defer s.conn.Watch(ctx)()
	err := s.seal()
	if err == nil {
		if err = b.writer.Flush(); err != nil {
			err = s.broken(err)
		}
	}
	if err != nil {
		s.conn.Fail(err)
		return err
	}
	landed, ear, before := b.parcels, b.ear, b.before
	b.parcels, b.ear = nil, nil
	step.Done("messages sent, no answer heard")
	err = ear.finish()
	step.Done("answers heard")
	if err != nil {
		return err
	}
	b.remade = false
	for _, p := range landed {
		if err := s.judge(ctx, p); err != nil {
			return err
		}
	}
	return s.findKeys(ctx, landed, before)
}

// pour streams a body.
func (s *Session) pour(u *upload) error {
	source := &errorKeeper{r: u.body}
	n, err := io.Copy(s.batch.writer, source)
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

// judge turns a command's verdict into those of its messages. The refusal of many is that of none of them: each has to
// come again, alone. So has what found no mailbox, which is made first.
func (s *Session) judge(ctx context.Context, p *parcel) error {
	b, st := &s.batch, *p.verdict
	err := st.refusal("append")
	switch {
	case st.ok() && p.kept:
		err = errNotAsked
	case st.ok():
		if len(p.uploads) >= s.company {
			s.company = min(2*s.company, companyLimit)
		}
		return s.nameStored(p, st)
	case st.code == "TRYCREATE" && b.remade:
		err = migrate.ErrAgain
	case st.code == "TRYCREATE" && s.remade != b.path:
		s.remade, b.remade = b.path, true
		s.acct.names.forget(b.path)
		if err := s.Create(ctx, migrate.Mailbox{Path: b.path}); err != nil && !s.alive(err) {
			return err
		}
		err = migrate.ErrAgain
	case len(p.uploads) > 1 && !migrate.IsTemporary(err):
		s.company = max(len(p.uploads)/2, 1)
		s.alone += len(p.uploads)
		err = migrate.ErrAgain
	}
	for _, u := range p.uploads {
		b.stored[u.place].Err = at(b.path, err)
	}
	return nil
}

// errMiscounted leaves it to another look at the mailbox what was stored of a command.
var errMiscounted = errors.New("append: the server says OK to several messages and names another number of them")

// nameStored takes the UIDs that the messages of a command got from its verdict (RFC 4315, section 3). A server that tells
// of another number of messages than it was given does not know MULTIAPPEND well enough.
func (s *Session) nameStored(p *parcel, st status) error {
	if st.code != "APPENDUID" {
		return nil
	}
	word, set, _ := strings.Cut(st.args, " ")
	validity, err := strconv.ParseUint(word, 10, 32)
	uids, ok := parseUIDs(set, len(p.uploads))
	if err != nil || validity == 0 || !ok {
		var told finding
		told.set(strings.TrimSpace(set))
		if _, count := told.all(); len(p.uploads) > 1 && !told.unclear && count != uint64(len(p.uploads)) {
			s.acct.miscounts.Store(true)
			return s.broken(errMiscounted)
		}
		return nil
	}
	for i, u := range p.uploads {
		s.batch.stored[u.place].Key = migrate.Key{Validity: uint32(validity), UID: uids[i]}
		if v := s.view; v != nil && v.path == s.batch.path && v.validity == uint32(validity) && v.next != 0 && uids[i] < 1<<32-1 {
			v.next = max(v.next, uids[i]+1)
		}
	}
	return nil
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
