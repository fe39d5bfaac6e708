package imap

import (
	"cmp"
	"context"
	"slices"

	"postcask/migrate"
)

const (
	commandLimit  = 8000     // octets of a command line that every server takes (RFC 9051, section 4, asks 8192)
	groupMessages = 250      // of one UID FETCH
	groupOctets   = 16 << 20 // of one UID FETCH, by the sizes as announced
)

// newFetch plans to fetch messages of one UIDVALIDITY from a mailbox that is open, or from one that has to be opened.
func (s *Session) newFetch(ctx context.Context, mbox migrate.Path, messages []migrate.Message, item string, isOpen bool) (*fetchRun, error) {
	r := &fetchRun{s: s, mbox: mbox, validity: messages[0].Key.Validity, item: item, messages: messages,
		byUID: make(map[uint32]int, len(messages)), done: make([]bool, len(messages)), uids: map[uint32]uint32{}}
	if !isOpen {
		line, err := s.openLine(ctx, mbox)
		if err != nil {
			return nil, err
		}
		r.opensBy(line)
	}
	r.plan()
	return r, nil
}

// opensBy puts the command that opens the mailbox before the others.
func (r *fetchRun) opensBy(line string) {
	r.opening, r.view = &fetchCommand{line: line, opens: true}, &view{path: r.mbox, readOnly: r.s.readOnly}
	r.queue = slices.Insert(r.queue, 0, r.opening)
}

// plan makes the groups, in the order of UIDs.
func (r *fetchRun) plan() {
	order := make([]int, 0, len(r.messages))
	for i, m := range r.messages {
		if _, twice := r.byUID[m.Key.UID]; twice {
			r.done[i] = true
			continue
		}
		r.byUID[m.Key.UID] = i
		order = append(order, i)
	}
	slices.SortFunc(order, func(a, b int) int { return cmp.Compare(r.messages[a].Key.UID, r.messages[b].Key.UID) })
	for len(order) > 0 {
		var set uidSet
		var octets int64
		limit := r.s.groupLimit(r.rest)
		n := 0
		for n < len(order) && n < groupMessages && set.length() < commandLimit-100 {
			m := &r.messages[order[n]]
			size := max(m.Size, 0)
			if n > 0 && octets+size > limit && r.item == bodyItem {
				break
			}
			octets += size
			set.add(m.Key.UID)
			n++
		}
		r.ask(set.String(), order[:n:n])
		if r.item == bodyItem {
			r.queue[len(r.queue)-1].octets = octets
			r.rest += octets
		}
		order = order[n:]
	}
}

// ask queues a command for the messages wanted, whose UIDs are set.
func (r *fetchRun) ask(set string, wanted []int) {
	r.queue = append(r.queue, &fetchCommand{line: "UID FETCH " + set + " (UID " + r.item + ")", wanted: wanted, single: len(wanted) == 1})
}
