package imap

import (
	"bytes"
	"context"
	"fmt"
	"slices"
	"time"

	"postcask/migrate"
	"postcask/migrate/wire"
)

const (
	worthDeflating = 0.5              // seconds of download that lie ahead: compression takes two round trips to begin
	longAhead      = 16 << 20         // octets after which it should be known whether it will
	proofPatience  = 20 * time.Second // for the first words that are compressed
)

// wantsDeflate tells whether compression shall begin before so many octets more are asked for.
func (s *Session) wantsDeflate(octets int64) bool {
	if octets == 0 || !s.mayDeflate() {
		return false
	}
	rate := s.acct.cfg.Link.Slow(wire.Down)
	return rate > 0 && float64(octets) > rate*worthDeflating
}

// mayDeflate tells whether the server could be asked, as far as the session goes: what comes from it now has to be in
// answer to that.
func (s *Session) mayDeflate() bool {
	onTheWay := func(r *fetchRun) bool { return len(r.pending) > 0 }
	return !s.deflated && s.has("COMPRESS=DEFLATE") && (s.view == nil || s.view.opening == "") &&
		s.left == nil && !slices.ContainsFunc(s.coming, onTheWay)
}

// deflateFor compresses the session before a run that is not under way, where that is worth it. The error is that of the
// session.
func (s *Session) deflateFor(ctx context.Context, r *fetchRun) error {
	if !s.wantsDeflate(r.rest) {
		return nil
	}
	defer s.conn.Watch(ctx)()
	return s.deflate()
}

// deflate compresses the session in the midst of a run. wait tells that what was asked for has to come first.
func (r *fetchRun) deflate() (wait bool, err error) {
	switch {
	case len(r.queue) == 0 || r.queue[0].opens || !r.s.wantsDeflate(r.rest):
		return false, nil
	case len(r.pending) > 0:
		return true, nil
	}
	clear(r.uids) // what the server says meanwhile may move numbers
	return false, r.s.deflate()
}

// deflateUpload compresses a session that may write once the way up was measured slow: only who has much to send comes to
// measure it. What is on its way is landed first.
func (s *Session) deflateUpload(ctx context.Context) error {
	if s.readOnly || !s.mayDeflate() || s.acct.cfg.Link.Slow(wire.Up) == 0 {
		return nil
	}
	s.deflated = true
	if err := s.land(ctx); err != nil {
		return err
	}
	defer s.conn.Watch(ctx)()
	return s.deflate()
}

// groupLimit gives the octets of one UID FETCH. As long as compression may have to begin, its commands are short, or it
// would have to wait for long until they have been answered.
func (s *Session) groupLimit(planned int64) int64 {
	if planned < longAhead && !s.deflated && s.has("COMPRESS=DEFLATE") && s.acct.cfg.Link.Unknown(wire.Down) {
		return groupOctets / 16
	}
	return groupOctets
}

// deflate begins compression (RFC 4978, section 3). Nothing may be on its way. A server that refuses is left in peace, and
// one that agrees has to prove it at once, by an answer that can be read: better to lose a connection now than to
// wait in the midst of work for octets that a server has not flushed. The error is that of the session.
func (s *Session) deflate() error {
	s.deflated = true
	link := s.acct.cfg.Link
	st, err := s.simple("COMPRESS DEFLATE", nil)
	if err != nil {
		return err
	}
	if !st.ok() {
		if st.code != "COMPRESSIONACTIVE" { // of another layer: this session has what it wants
			link.KeepPlain()
		}
		return nil
	}
	ahead, _ := s.in.br.Peek(s.in.br.Buffered())
	s.conn.Deflate(bytes.Clone(ahead), !s.readOnly)
	s.in.br.Discard(len(ahead))
	late := time.AfterFunc(proofPatience, func() { s.conn.Fail(errNoProof) })
	defer late.Stop()
	if _, err = s.simple("NOOP", nil); err != nil {
		link.KeepPlain()
	}
	return err
}

var errNoProof = &migrate.Error{Kind: migrate.Unavailable, Err: fmt.Errorf("the server has begun to compress, and then says nothing for %v", proofPatience)}
