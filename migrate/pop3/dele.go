package pop3

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strconv"
	"strings"
	"time"

	"postcask/migrate"
)

// The bounds of a session that deletes: what it has asked for counts only with the answer to QUIT (RFC 1939,
// section 6), so little is at stake when that is lost.
const (
	deleMessages = 100
	deleTime     = time.Minute
)

// NamedByStore tells whether key is a UIDL rather than a name made of a digest.
func (s *Session) NamedByStore(key migrate.Key) bool {
	return key.UID == 0 && key.Validity == 0 && usable(key.Name) && !strings.HasPrefix(key.Name, digestPrefix)
}

// Remove deletes messages of INBOX, as many from the front as one session should, and ends the session: a server
// deletes when it has answered QUIT with +OK, and then all is told of. After any other answer or none nothing is known.
// It takes a Session that has listed nothing yet. A message is found by its UIDL, and since servers have been seen to
// use a UIDL again, its size and header are compared too; where they differ from what is expected, the whole message is.
func (s *Session) Remove(ctx context.Context, mbox migrate.Path, doomed []migrate.Doomed) (migrate.Removal, error) {
	if err := s.alive(ctx); err != nil {
		return migrate.Removal{}, err
	}
	if s.drop != nil {
		return migrate.Removal{}, migrate.Errorf(migrate.Misuse, "a session that has listed messages does not delete any")
	}
	removed, asked, err := s.dele(ctx, mbox, doomed)
	if err == nil && !asked {
		s.Close()
		return migrate.Removal{Removed: removed, Spent: true}, nil
	}
	if err == nil {
		err = s.commit(ctx)
	}
	s.closed = true
	s.drop.close()
	s.conn.Close() // without QUIT, where that was not said: then nothing is deleted
	if err != nil {
		return migrate.Removal{}, err
	}
	return migrate.Removal{Removed: removed, Spent: true}, nil
}

// dele sends DELE for those messages that are beyond doubt, and tells what becomes of each if QUIT works. asked tells
// whether there was any.
func (s *Session) dele(ctx context.Context, mbox migrate.Path, doomed []migrate.Doomed) (removed []migrate.Removed, asked bool, err error) {
	began := time.Now()
	drop, err := s.listed(ctx, mbox)
	if err != nil {
		return nil, false, err
	}
	removed = make([]migrate.Removed, len(doomed))
	for i, m := range doomed {
		removed[i] = migrate.Removed{Key: m.Key}
	}
	now := doomed[:min(len(doomed), deleMessages)]
	listed, err := drop.find(messagesOf(now))
	if err != nil {
		return nil, false, err
	}
	sure, err := s.recognised(ctx, mbox, now, listed)
	if err != nil {
		return nil, false, err
	}
	var condemned []int // places in now of those that may go
	for i, m := range now {
		r := &removed[i]
		if i > 0 && time.Since(began) > deleTime {
			break
		}
		if !s.NamedByStore(m.Key) || listed[m.Key.Name].number == 0 {
			r.Fate, r.Err = s.unfound(m.Key)
			continue
		}
		if !sure[m.Key] {
			if r.Fate, r.Err, err = s.readThrough(ctx, mbox, m); err != nil {
				return nil, false, err
			}
			if r.Fate != migrate.Gone {
				continue
			}
		}
		condemned = append(condemned, i)
	}
	if err := s.condemn(ctx, now, condemned, listed, removed); err != nil {
		return nil, true, err
	}
	return removed, len(condemned) > 0, nil
}

func messagesOf(doomed []migrate.Doomed) []migrate.Message {
	messages := make([]migrate.Message, len(doomed))
	for i, m := range doomed {
		messages[i].Key = m.Key
	}
	return messages
}

// condemn sends DELE for the messages at these places, in one flight where the server allows it, and notes what it says.
func (s *Session) condemn(ctx context.Context, doomed []migrate.Doomed, places []int, listed map[string]scan, removed []migrate.Removed) error {
	stop := s.conn.Watch(ctx)
	defer stop()
	numbers, lines := make([]string, len(places)), make([]string, len(places))
	for i, at := range places {
		numbers[i] = strconv.Itoa(listed[doomed[at].Key.Name].number)
		lines[i] = "DELE " + numbers[i]
	}
	if s.can("PIPELINING") && len(lines) > 0 {
		if err := s.say(lines...); err != nil {
			return err
		}
	}
	for i, at := range places {
		r := &removed[at]
		_, err := s.command("DELE", numbers[i])
		var refusal *Refusal
		switch {
		case err == nil:
			r.Fate = migrate.Gone
		case !errors.As(err, &refusal):
			return err
		case refusal.vanished():
			r.Fate = migrate.Vanished
		default:
			r.Fate, r.Err = migrate.Kept, err
		}
		if err := context.Cause(ctx); err != nil {
			return err
		}
	}
	return nil
}

// unfound tells what it means that no message has this UIDL alone.
func (s *Session) unfound(key migrate.Key) (migrate.Fate, error) {
	if !s.NamedByStore(key) {
		return migrate.Kept, errors.New("the server has no unique id for it")
	}
	if s.drop.nameless > 0 {
		return migrate.Kept, errors.New("its unique id is no longer told, or that of several messages")
	}
	return migrate.Vanished, nil
}

// recognised tells which messages have the size and the header that are expected.
func (s *Session) recognised(ctx context.Context, mbox migrate.Path, doomed []migrate.Doomed, listed map[string]scan) (map[migrate.Key]bool, error) {
	headers := map[migrate.Key]migrate.Digest{}
	var ask []migrate.Message
	for _, m := range doomed {
		if there := listed[m.Key.Name]; there.number != 0 && !m.Unread && s.NamedByStore(m.Key) && there.size == m.Identity.Size {
			headers[m.Key] = m.Header
			ask = append(ask, migrate.Message{Key: m.Key})
		}
	}
	sure := make(map[migrate.Key]bool, len(ask))
	for h, err := range s.Headers(ctx, mbox, ask) {
		if err != nil {
			return nil, err
		}
		if h.Err != nil {
			continue // no TOP here, it may be: then the whole message is read
		}
		hasher := migrate.NewHeaderHasher()
		hasher.Write(h.Octets)
		sure[h.Message.Key] = hasher.Digest() == headers[h.Message.Key]
	}
	return sure, nil
}

// readThrough reads a message and tells whether it may go: fate Gone. An error is that of the session.
func (s *Session) readThrough(ctx context.Context, mbox migrate.Path, m migrate.Doomed) (fate migrate.Fate, why, err error) {
	fate = migrate.Vanished
	for f, err := range s.Fetch(ctx, mbox, []migrate.Message{{Key: m.Key}}) {
		if err != nil {
			return fate, nil, err
		}
		if f.Err != nil {
			return migrate.Kept, f.Err, nil
		}
		hasher := migrate.NewHasher()
		if _, err := io.Copy(hasher, f.Body); err != nil {
			return fate, nil, err
		}
		if !hasher.Identity().Same(m.Identity) {
			return migrate.Kept, errors.New("the server has another message under its unique id now"), nil
		}
		fate = migrate.Gone
	}
	return fate, nil, nil
}

// commit says QUIT, and gives an error unless the server says that all was done.
func (s *Session) commit(ctx context.Context) error {
	stop := s.conn.Watch(ctx)
	defer stop()
	_, err := s.command("QUIT")
	if refusal := (*Refusal)(nil); errors.As(err, &refusal) {
		return migrate.Errorf(migrate.Unavailable, "it is not known what was deleted: %w", refusal)
	}
	if err != nil {
		return fmt.Errorf("it is not known what was deleted: %w", err)
	}
	return nil
}

var _ migrate.Remover = (*Session)(nil)
var _ migrate.Namer = (*Session)(nil)
