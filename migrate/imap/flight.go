package imap

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"strconv"
	"strings"

	"postcask/migrate"
	"postcask/migrate/step"
)

const (
	freelyPlus  = 4 << 20 // larger ones wait for the server's consent, even with LITERAL+: it could only hang up
	freelyMinus = 4096    // what LITERAL- allows without consent (RFC 7888, section 5)

	keptOctets   = 2 << 20 // of crates without a verdict
	flyingCrates = 32      // without a verdict
)

// A parcel is one APPEND command.
type parcel struct {
	tag     string
	uploads []*upload
	verdict *status // guarded by ear.mu until the ear has finished
	kept    bool    // the verdict came before the octets: they stayed here
}

// pack makes commands of uploads: several in one where MULTIAPPEND allows and no consent is needed.
func (s *Session) pack(uploads []*upload) []*parcel {
	var parcels []*parcel
	var open *parcel
	for _, u := range uploads {
		if !s.has("MULTIAPPEND") {
			u.alone = true
		}
		u.free = s.unasked(u)
		u.head = s.announce(u)
		joins := !u.alone && u.free
		if open == nil || !joins {
			open = &parcel{tag: s.newTag()}
			parcels = append(parcels, open)
		}
		open.uploads = append(open.uploads, u)
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

// launch sends the crate that is open, and does not wait for its verdict: the server has something to do while the
// next is collected. The error is that of the session, or of reading a body, which costs
// the session too: its octets were promised.
func (s *Session) launch(ctx context.Context) error {
	b := &s.batch
	c := b.open
	if c == nil || len(c.uploads) == 0 {
		return nil
	}
	defer s.conn.Watch(ctx)()
	b.open = nil
	if b.ear == nil {
		b.ear, b.before = s.newEar(), s.uidNext(b.path)
	}
	if len(c.octets) < cap(c.octets)/4 { // of much memory that may be used otherwise
		full := c.octets
		c.octets = bytes.Clone(full)
		b.reuse(&crate{octets: full})
	}
	for _, u := range c.uploads {
		if u.stream == nil {
			u.octets = c.octets[u.from:u.to]
		}
	}
	b.flying = append(b.flying, c)
	c.parcels = s.pack(c.uploads)
	if err := s.load(c.parcels, b.ear); err != nil {
		// Whether the connection failed or the source did: what the server was told to expect will not come.
		s.conn.Fail(err)
		return err
	}
	return s.makeRoom(ctx)
}

// makeRoom waits for verdicts until what is kept for a second try is within bounds, and gives up what has arrived whole.
// Where that is not enough, since much was refused, all are landed.
func (s *Session) makeRoom(ctx context.Context) error {
	b := &s.batch
	for i, c := range b.flying {
		if b.kept() <= keptOctets && len(b.flying)-i <= flyingCrates {
			return nil
		}
		if i+1 == len(b.flying) {
			break
		}
		if err := b.ear.answered(c.parcels); err != nil {
			return err
		}
		if !c.refused() {
			b.reuse(c)
		}
	}
	return s.land(ctx)
}

// kept tells how much memory the crates that are flying hold.
func (b *batch) kept() (octets int) {
	for _, c := range b.flying {
		octets += cap(c.octets)
	}
	return octets
}

// refused tells whether one of the verdicts, all of which are there, is a refusal.
func (c *crate) refused() bool {
	return slices.ContainsFunc(c.parcels, func(p *parcel) bool { return !p.verdict.ok() })
}

// reuse keeps the memory of a crate that nobody needs any more, rather much than little: one crate is collected while
// another flies.
func (b *batch) reuse(c *crate) {
	if c.octets != nil {
		b.spare = append(b.spare, c.octets)
		slices.SortFunc(b.spare, func(x, y []byte) int { return cap(x) - cap(y) })
		b.spare = b.spare[max(0, len(b.spare)-2):]
	}
	c.octets = nil
}

// land sends what is waiting, hears every verdict and notes it. Messages of a command that was refused as a whole are
// sent once more, each alone; where the mailbox was missing it is made first.
func (s *Session) land(ctx context.Context) error {
	b := &s.batch
	if b.ear == nil && (b.open == nil || len(b.open.uploads) == 0) {
		return nil
	}
	if err := s.usable(ctx); err != nil {
		return err // they go on waiting: with another context they may be sent yet
	}
	defer s.conn.Watch(ctx)()
	if err := s.launch(ctx); err != nil || b.ear == nil {
		return err
	}
	landed, ear, before := b.flying, b.ear, b.before
	b.flying, b.ear = nil, nil
	step.Done("messages sent, no answer heard")
	err := ear.finish()
	step.Done("answers heard")
	if err != nil {
		return err
	}
	var uploads, again []*upload
	for _, c := range landed {
		for _, p := range c.parcels {
			s.judge(p)
		}
		uploads = append(uploads, c.uploads...)
	}
	made := false
	for _, u := range uploads {
		refused := b.stored[u.place].Err
		if refused == nil || migrate.IsTemporary(refused) || u.touched || u.again || !(u.missing || !u.alone) {
			continue
		}
		if u.missing && !made {
			made = true
			s.acct.names.forget(b.path)
			if err := s.Create(ctx, migrate.Mailbox{Path: b.path}); err != nil && !s.alive(err) {
				return err
			}
		}
		u.again, u.alone = true, true
		again = append(again, u)
	}
	if err := s.sendAgain(ctx, again); err != nil {
		return err
	}
	for _, c := range landed {
		b.reuse(c)
	}
	return s.findKeys(ctx, uploads, before)
}

// sendAgain sends messages a second time and waits for the verdicts.
func (s *Session) sendAgain(ctx context.Context, uploads []*upload) error {
	if len(uploads) == 0 {
		return nil
	}
	parcels := s.pack(uploads)
	ear := s.newEar()
	err := s.load(parcels, ear)
	if err != nil {
		s.conn.Fail(err)
	}
	step.Done("messages sent again, no answer heard")
	if heard := ear.finish(); err == nil {
		err = heard
	}
	if err != nil {
		return err
	}
	for _, p := range parcels {
		s.judge(p)
	}
	return nil
}

// load writes the commands.
func (s *Session) load(parcels []*parcel, ear *ear) error {
	if s.batch.writer == nil {
		s.batch.writer = bufio.NewWriterSize(s.conn, 64<<10)
	}
	w := s.batch.writer
	for _, p := range parcels {
		if !p.uploads[0].free {
			// Its request to go on would follow at the heels of the verdict before it, two small packets that a
			// server's TCP holds back from one another: asking later is faster.
			if err := w.Flush(); err != nil {
				return s.broken(err)
			}
			if err := ear.quiet(); err != nil {
				return err
			}
		}
		ear.expect(p)
		s.conn.Trace("C", fmt.Sprintf("%s APPEND %s, messages: %d", p.tag, p.uploads[0].name, len(p.uploads)))
		fmt.Fprintf(w, "%s APPEND %s", p.tag, p.uploads[0].name)
		for _, u := range p.uploads {
			w.WriteString(u.head)
			if !u.free {
				ear.deafen()
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
		err := at(s.batch.path, st.refusal("append"))
		for _, u := range p.uploads {
			s.batch.stored[u.place].Err = err
			u.missing = st.code == "TRYCREATE"
		}
		return
	}
	for _, u := range p.uploads {
		s.batch.stored[u.place].Err = nil
		if p.kept {
			s.batch.stored[u.place].Err = at(s.batch.path, errNotAsked)
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
		if v := s.view; v != nil && v.path == s.batch.path && v.validity == uint32(validity) && v.next != 0 && uids[i] < 1<<32-1 {
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
