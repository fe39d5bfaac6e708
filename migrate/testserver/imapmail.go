package testserver

import (
	"bufio"
	"bytes"
	"strings"
	"time"

	"github.com/emersion/go-imap/v2"
	"github.com/emersion/go-imap/v2/imapserver"
	"github.com/emersion/go-message/textproto"
)

// now is the internal date of a message that was appended without one, in whole seconds as on the wire.
func now() time.Time { return time.Now().Truncate(time.Second) }

// A picked message is one that a command names, as it was when the command came.
type picked struct {
	stored
	index int
	seq   uint32 // as this session's client counts; 0 if it has not been told of the message
}

// pick gives the messages of the selected mailbox that a set names.
func (s *imapSession) pick(set imap.NumSet) []picked {
	s.server.mu.Lock()
	defer s.server.mu.Unlock()
	var found []picked
	for i, m := range s.box.messages {
		seq := s.view.EncodeSeqNum(uint32(i + 1))
		if s.names(set, seq, m.uid) {
			found = append(found, picked{*m, i, seq})
		}
	}
	return found
}

// names tells whether a set has the message. Its "*", which go-imap writes as 0, is the last message or UID.
func (s *imapSession) names(set imap.NumSet, seq uint32, uid imap.UID) bool {
	in := func(start, stop, last, n uint32) bool {
		if start == 0 {
			start = last
		}
		if stop == 0 {
			stop = last
		}
		return n != 0 && min(start, stop) <= n && n <= max(start, stop)
	}
	switch set := set.(type) {
	case imap.SeqSet:
		for _, r := range set {
			if in(r.Start, r.Stop, uint32(len(s.box.messages)), seq) {
				return true
			}
		}
	case imap.UIDSet:
		var last imap.UID
		if n := len(s.box.messages); n > 0 {
			last = s.box.messages[n-1].uid
		}
		for _, r := range set {
			if in(uint32(r.Start), uint32(r.Stop), uint32(last), uint32(uid)) {
				return true
			}
		}
	}
	return false
}

func (s *imapSession) Fetch(w *imapserver.FetchWriter, set imap.NumSet, options *imap.FetchOptions) error {
	s.note("FETCH", s.box.name)
	for _, m := range s.pick(set) {
		if m.seq == 0 {
			continue
		}
		for _, section := range options.BodySection {
			if !section.Peek {
				s.store([]picked{m}, &imap.StoreFlags{Op: imap.StoreFlagsAdd, Flags: []imap.Flag{imap.FlagSeen}}, nil)
			}
		}
		if f := s.server.opts.RefuseFetch; f != nil && len(options.BodySection) > 0 {
			if err := refusal(f(s.user, s.box.name, uint32(m.uid))); err != nil {
				return err
			}
		}
		if err := fetch(w.CreateMessage(m.seq), &m.stored, options); err != nil {
			return err
		}
	}
	return nil
}

func fetch(w *imapserver.FetchResponseWriter, m *stored, options *imap.FetchOptions) error {
	w.WriteUID(m.uid)
	if options.Flags {
		w.WriteFlags(m.flags)
	}
	if options.InternalDate {
		w.WriteInternalDate(m.date)
	}
	if options.RFC822Size {
		w.WriteRFC822Size(int64(len(m.octets)))
	}
	if options.Envelope {
		if header, err := textproto.ReadHeader(bufio.NewReader(bytes.NewReader(m.octets))); err == nil {
			w.WriteEnvelope(imapserver.ExtractEnvelope(header))
		}
	}
	if options.BodyStructure != nil {
		w.WriteBodyStructure(imapserver.ExtractBodyStructure(bytes.NewReader(m.octets)))
	}
	for _, section := range options.BodySection {
		octets := sectionOf(m.octets, section)
		body := w.WriteBodySection(section, int64(len(octets)))
		_, err := body.Write(octets)
		if err := firstError(err, body.Close()); err != nil {
			return err
		}
	}
	return w.Close()
}

// sectionOf cuts a section out of a message without a change to its octets; parts of a multipart alone are left to
// go-imap, which reads and writes their headers anew.
func sectionOf(octets []byte, section *imap.FetchItemBodySection) []byte {
	if len(section.Part) > 0 {
		return imapserver.ExtractBodySection(bytes.NewReader(octets), section)
	}
	header, text := octets, []byte(nil)
	if i := bytes.Index(octets, []byte("\r\n\r\n")); i >= 0 {
		header, text = octets[:i+4], octets[i+4:]
	}
	switch section.Specifier {
	case imap.PartSpecifierHeader:
		octets = fieldsOf(header, section.HeaderFields, section.HeaderFieldsNot)
	case imap.PartSpecifierText:
		octets = text
	}
	if p := section.Partial; p != nil {
		from := min(max(p.Offset, 0), int64(len(octets)))
		octets = octets[from:min(from+p.Size, int64(len(octets)))]
	}
	return octets
}

// fieldsOf keeps the wanted fields of a header, folded lines and all, and the blank line at its end.
func fieldsOf(header []byte, want, unwanted []string) []byte {
	if want == nil && unwanted == nil {
		return header
	}
	isAmong := func(names []string, line []byte) bool {
		name, _, _ := bytes.Cut(line, []byte(":"))
		for _, n := range names {
			if strings.EqualFold(n, strings.TrimSpace(string(name))) {
				return true
			}
		}
		return false
	}
	var kept bytes.Buffer
	keep := false
	for line := range bytes.Lines(header) {
		switch {
		case len(bytes.TrimRight(line, "\r\n")) == 0:
			keep = true
		case line[0] != ' ' && line[0] != '\t':
			keep = (want == nil || isAmong(want, line)) && !isAmong(unwanted, line)
		}
		if keep {
			kept.Write(line)
		}
	}
	return kept.Bytes()
}

func (s *imapSession) Store(w *imapserver.FetchWriter, set imap.NumSet, flags *imap.StoreFlags, _ *imap.StoreOptions) error {
	s.note("STORE", s.box.name)
	s.store(s.pick(set), flags, s.view)
	if flags.Silent {
		return nil
	}
	for _, m := range s.pick(set) {
		if m.seq == 0 {
			continue
		}
		if err := fetch(w.CreateMessage(m.seq), &m.stored, &imap.FetchOptions{Flags: true}); err != nil {
			return err
		}
	}
	return nil
}

func (s *imapSession) store(messages []picked, change *imap.StoreFlags, source *imapserver.SessionTracker) {
	s.server.mu.Lock()
	defer s.server.mu.Unlock()
	for _, m := range messages {
		if m.index >= len(s.box.messages) || s.box.messages[m.index].uid != m.uid {
			continue // expunged meanwhile
		}
		var names []string
		for _, flag := range s.box.messages[m.index].flags {
			if change.Op == imap.StoreFlagsAdd || change.Op == imap.StoreFlagsDel && !hasFlag(change.Flags, flag) {
				names = append(names, string(flag))
			}
		}
		if change.Op != imap.StoreFlagsDel {
			for _, flag := range change.Flags {
				names = append(names, string(flag))
			}
		}
		s.box.setFlags(m.index, imapFlags(names), source)
	}
}

func (s *imapSession) Expunge(_ *imapserver.ExpungeWriter, uids *imap.UIDSet) error {
	s.note("EXPUNGE", s.box.name)
	s.server.mu.Lock()
	defer s.server.mu.Unlock()
	// The client hears of it by Poll, which go-imap calls after each command.
	s.box.remove(func(m *stored) bool {
		return hasFlag(m.flags, imap.FlagDeleted) && (uids == nil || s.names(*uids, 0, m.uid))
	})
	return nil
}

func (s *imapSession) Copy(set imap.NumSet, to string) (*imap.CopyData, error) {
	return s.copy("COPY", set, to)
}

func (s *imapSession) copy(verb string, set imap.NumSet, to string) (*imap.CopyData, error) {
	messages := s.pick(set)
	data := &imap.CopyData{}
	err := s.with(verb, to, func(_ *account, b *box) error {
		data.UIDValidity = b.validity
		for _, m := range messages {
			data.SourceUIDs.AddNum(m.uid)
			data.DestUIDs.AddNum(b.add(&stored{date: m.date, octets: m.octets, flags: m.flags}))
		}
		return nil
	})
	return data, err
}

func (s *imapSession) Move(w *imapserver.MoveWriter, set imap.NumSet, to string) error {
	data, err := s.copy("MOVE", set, to)
	if err != nil {
		return err
	}
	s.server.mu.Lock()
	s.box.remove(func(m *stored) bool { return s.names(data.SourceUIDs, 0, m.uid) })
	s.server.mu.Unlock()
	return w.WriteCopyData(data)
}
