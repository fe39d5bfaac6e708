package imap

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"postcask/migrate"
)

const (
	statesAhead = 16          // mailboxes whose state is asked for at once
	stateKeeps  = time.Minute // how long a state that was told can be given as that of now
)

// told is the state of a mailbox as the server gave it.
type told struct {
	migrate.Status
	at time.Time
}

// Status tells the state of mbox: by STATUS (RFC 9051, section 6.3.11), or by opening it anew if it is the open one,
// of which STATUS should not be asked. A mailbox that does not exist has the zero Status. A session that only reads
// asks for the states of several mailboxes at once, with LIST where the server has LIST-STATUS (RFC 5819), and gives each
// of them once, while it is fresh.
func (s *Session) Status(ctx context.Context, mbox migrate.Path) (migrate.Status, error) {
	state, err := s.state(ctx, mbox)
	delete(s.foretold, mbox) // a listing must not be older than the state that it is noted with
	if err == nil {
		s.counts[mbox] = state.Messages
	}
	return state, err
}

func (s *Session) state(ctx context.Context, mbox migrate.Path) (migrate.Status, error) {
	raw, err := s.rawOf(ctx, mbox)
	if err != nil {
		return migrate.Status{}, err
	}
	if state, ok := s.takeTold(raw); ok {
		return state, nil
	}
	if s.view != nil && s.view.path == mbox {
		err := s.open(ctx, mbox)
		if v := s.view; err == nil && v.next != 0 { // without UIDNEXT the two ways would not agree
			return migrate.Status{Messages: int64(v.exists), UIDValidity: v.validity, UIDNext: v.next, HighestModSeq: v.modSeq}, nil
		}
		if err != nil && !s.alive(err) {
			return migrate.Status{}, err
		}
	}
	if s.readOnly && !s.oddNames {
		if err := s.askAhead(ctx, mbox); err != nil {
			return migrate.Status{}, at(mbox, err)
		}
		if state, ok := s.takeTold(raw); ok {
			return state, nil
		}
	}
	return s.askState(ctx, mbox, raw)
}

// takeTold gives a state that was told lately, once.
func (s *Session) takeTold(raw string) (migrate.Status, bool) {
	name := inboxed(raw)
	state, ok := s.told[name]
	delete(s.told, name)
	return state.Status, ok && time.Since(state.at) < stateKeeps
}

// askAhead asks for the states of mbox and of those that were listed behind it, in one round trip.
func (s *Session) askAhead(ctx context.Context, mbox migrate.Path) error {
	i := slices.Index(s.order, mbox)
	if i < 0 {
		return nil
	}
	var commands []string
	for _, path := range s.order[i:min(len(s.order), i+statesAhead)] {
		if s.view != nil && s.view.path == path {
			continue
		}
		if name, err := sayable(s.acct.names.rawOf(path)); err == nil {
			commands = append(commands, s.statusCommand(name))
		}
	}
	before := len(s.told)
	_, err := s.exchangeAll(ctx, commands, func(resp *response) error {
		if resp.word != "STATUS" {
			return nil
		}
		return readState(s.in, s.told)
	})
	s.oddNames = len(commands) > 0 && len(s.told) == before
	return err
}

// askState asks for the state of one mailbox. Whatever the server calls it in its answer, it speaks of this one.
func (s *Session) askState(ctx context.Context, mbox migrate.Path, raw string) (migrate.Status, error) {
	name, err := sayable(raw)
	if err != nil {
		return migrate.Status{}, at(mbox, err)
	}
	answer := map[string]told{}
	st, err := s.exchange(ctx, s.statusCommand(name), func(resp *response) error {
		if resp.word != "STATUS" {
			return nil
		}
		clear(answer)
		return readState(s.in, answer)
	})
	if err != nil {
		return migrate.Status{}, at(mbox, err)
	}
	if !st.ok() {
		there, err := s.exists(ctx, raw)
		if err != nil || !there {
			return migrate.Status{}, err
		}
		return migrate.Status{}, at(mbox, st.refusal("status"))
	}
	for _, state := range answer {
		return state.Status, nil
	}
	return migrate.Status{Messages: -1}, nil
}

func (s *Session) statusCommand(name string) string {
	return fmt.Sprintf("STATUS %s (%s)", name, s.stateItems())
}

func (s *Session) stateItems() string {
	if s.has("CONDSTORE") {
		return "MESSAGES UIDNEXT UIDVALIDITY HIGHESTMODSEQ"
	}
	return "MESSAGES UIDNEXT UIDVALIDITY"
}

// readState reads a STATUS response (RFC 9051, section 7.3.4) into states, by the raw name in it.
func readState(in *reader, states map[string]told) error {
	name, _, err := in.str(nameLimit)
	if err != nil {
		return err
	}
	words, err := in.words()
	if err != nil {
		return err
	}
	state := told{Status: migrate.Status{Messages: -1}, at: time.Now()}
	for i := 0; i+1 < len(words); i += 2 {
		value := token{kind: tokenAtom, text: []byte(words[i+1])}
		n, is32 := value.number(32)
		switch word := strings.ToUpper(words[i]); {
		case word == "HIGHESTMODSEQ":
			state.HighestModSeq, _ = value.number(63)
		case !is32:
		case word == "MESSAGES":
			state.Messages = int64(n)
		case word == "UIDNEXT":
			state.UIDNext = uint32(n)
		case word == "UIDVALIDITY":
			state.UIDValidity = uint32(n)
		}
	}
	states[inboxed(name)] = state
	return nil
}
