package migrate

import (
	"context"
	"time"
)

// The bounds of a group: what is moved, made safe and recorded together. Safety is cheap in groups, and little is done
// again after a crash.
const (
	groupMessages = 500
	groupOctets   = 16 << 20
	groupSeconds  = 5 // at the rate that the user allows

	largestGroup = 3               // times those, where there is enough for all lanes: the disk is waited for less often
	groupTime    = 5 * time.Second // after which what has come to an archive is made safe, so that a slow line loses little

	stretchMessages = 4_000 // in the hands of a lane that is alone; it makes groups of them safe on the way
)

// A group is a stretch of one mailbox's work: messages to move, or flags to set.
type group struct {
	*work
	messages []Message
	flags    []flagWork
	octets   int64 // of the messages, as announced
}

// flagWork is a message at the destination whose flags at the source have changed.
type flagWork struct {
	entry Entry
	flags Flags
}

// A bound says when a group is full.
type bound struct {
	messages int
	octets   int64
}

// groupBound gives the bound of what is made safe together, scale times the least.
func (r *run) groupBound(scale int) bound {
	b := bound{groupMessages * scale, groupOctets * int64(scale)}
	if limit := r.Options.LimitRate; limit > 0 { // a group shall not take long, so that the run can be interrupted
		b.octets = max(1, min(b.octets, limit*groupSeconds/int64(r.Options.Lanes)))
	}
	if limit := r.Options.MaxOctets; limit > 0 {
		b.octets = max(1, min(b.octets, limit-r.appended.Load()))
	}
	return b
}

// reached tells whether a group of so much is full.
func (b bound) reached(messages int, octets int64) bool {
	return messages >= b.messages || b.octets > 0 && octets >= b.octets
}

// prefix gives how many of messages fill a group, with their octets, and whether it is full.
func (b bound) prefix(messages []Message) (n int, octets int64, full bool) {
	for n < len(messages) {
		size := max(messages[n].Size, 0)
		if n > 0 && b.octets > 0 && octets+size > b.octets {
			return n, octets, true
		}
		octets += size
		if n++; b.reached(n, octets) {
			return n, octets, true
		}
	}
	return n, octets, false
}

// handOut dispatches what the survey has found: full groups, and in the end all.
func (s *survey) handOut(ctx context.Context, end bool) error {
	if err := s.setApart(ctx); err != nil {
		s.broken = true
		return err
	}
	for len(s.flags) >= groupMessages || end && len(s.flags) > 0 {
		n := min(len(s.flags), groupMessages)
		if err := s.hand(ctx, &group{work: s.work, flags: s.flags[:n:n]}); err != nil {
			return err
		}
		s.flags = s.flags[n:]
	}
	if err := s.handFresh(ctx, end); err != nil {
		return err
	}
	if end && s.apart.len > 0 {
		if err := s.handApart(ctx); err != nil {
			return err
		}
	}
	if len(s.fresh) == 0 {
		s.fresh = nil // the groups have what was there
	}
	if len(s.flags) == 0 {
		s.flags = nil
	}
	if end && s.create && !s.handed {
		return s.hand(ctx, &group{work: s.work})
	}
	return nil
}

// handFresh dispatches messages to be moved: in full groups, and in the end all.
func (s *survey) handFresh(ctx context.Context, end bool) error {
	b := bound{messages: stretchMessages}
	if !s.onlyControl() {
		b = s.groupBound(s.groupScale())
	}
	for len(s.fresh) > 0 {
		n, octets, full := b.prefix(s.fresh)
		if !full && !end {
			return nil
		}
		s.update(func() {
			s.progress.MessagesTotal += int64(n)
			s.progress.OctetsTotal += octets
		})
		if err := s.hand(ctx, &group{work: s.work, messages: s.fresh[:n:n], octets: octets}); err != nil {
			return err
		}
		s.fresh = s.fresh[n:]
	}
	return nil
}

// groupScale tells how large groups can be: each lane shall get some of what there is. A server gets no larger ones.
func (s *survey) groupScale() int {
	if _, ok := s.control.sink.(Numberer); ok {
		return 1
	}
	var octets int64
	for _, m := range s.fresh {
		octets += max(m.Size, 0)
	}
	messages := int64(len(s.fresh))
	if unlisted := s.before.Messages - int64(s.listed.len()); s.changes == nil && messages > 0 && unlisted > 0 {
		octets += octets / messages * unlisted
		messages += unlisted
	}
	scale := max(octets/groupOctets, messages/groupMessages) / int64(2*s.Options.Lanes)
	return int(min(max(scale, 1), largestGroup))
}

// setApart keeps back what is fresh where the destination holds something that may be recognised by its header: all of it
// is needed for that, since what two messages of the source share tells nothing.
func (s *survey) setApart(ctx context.Context) (err error) {
	if len(s.fresh) > 0 && !s.looked {
		if s.collect, err = s.mayRecognise(ctx, s.work); err != nil {
			return err
		}
		s.looked = true
	}
	if !s.collect {
		return nil
	}
	for _, m := range s.fresh {
		if err := s.apart.add(m); err != nil {
			return err
		}
	}
	s.fresh = nil
	return nil
}

// handApart settles what of the messages kept back can be told by its header, and dispatches the others.
func (s *survey) handApart(ctx context.Context) error {
	if err := s.settleByHeader(ctx, s.work, &s.apart); err != nil {
		s.broken = true
		return err
	}
	for m, err := range s.apart.all() {
		if err != nil {
			s.broken = true
			return err
		}
		if s.fresh = append(s.fresh, m.Message); len(s.fresh) < mostHeld {
			continue
		}
		if err := s.handFresh(ctx, false); err != nil {
			return err
		}
	}
	return s.handFresh(ctx, true)
}

func (s *survey) hand(ctx context.Context, g *group) error {
	if s.isHalted() {
		return errHalted
	}
	s.handed = true
	s.work.open.Add(1)
	err := s.dispatch(ctx, g)
	s.broken = err != nil
	return err
}
