package imap

import (
	"context"
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"

	"postcask/migrate"
)

const (
	gapsAtOnce = 50_000  // messages whose UIDs one question is about, so that its answer is bounded
	gapsLimit  = 100_000 // stretches of UIDs that are held in memory; with more, listing all is no dearer
	gapsTries  = 3       // of a mailbox that loses messages meanwhile
)

// A stretch is UIDs from first to last.
type stretch struct{ first, last uint32 }

// gaps gives the stretches of UIDs that the stretches in present, ascending and apart, leave free from first on.
func gaps(first uint32, present []stretch) []stretch {
	var free []stretch
	next := uint64(first)
	for _, p := range present {
		if uint64(p.first) > next {
			free = append(free, stretch{uint32(next), p.first - 1})
		}
		next = max(next, uint64(p.last)+1)
	}
	if next <= math.MaxUint32 {
		free = append(free, stretch{uint32(next), math.MaxUint32})
	}
	return free
}

// present asks for the UIDs of all messages in the open mailbox, as stretches: by ESEARCH (RFC 4731), else by FETCH.
// ErrCannotTell: they do not add up, or are too many.
func (s *Session) present(ctx context.Context) ([]stretch, error) {
	v := s.view
	for range gapsTries {
		var commands []string
		for from := uint64(1); from <= uint64(v.exists); from += gapsAtOnce {
			to := min(from+gapsAtOnce-1, uint64(v.exists))
			if s.has("ESEARCH") {
				commands = append(commands, fmt.Sprintf("UID SEARCH RETURN (ALL) %d:%d", from, to))
			} else {
				commands = append(commands, fmt.Sprintf("FETCH %d:%d (UID)", from, to))
			}
		}
		before := v.expunged
		found := &finding{}
		verdicts, err := s.exchangeAll(ctx, commands, func(resp *response) error { return found.read(s.in, resp) })
		if err != nil {
			return nil, err
		}
		all, count := found.all()
		switch {
		case v.expunged != before: // the numbers have moved under our questions
		case slices.ContainsFunc(verdicts, refused) || found.unclear:
			return nil, migrate.ErrCannotTell
		case count == uint64(v.exists):
			return all, nil
		}
	}
	return nil, migrate.ErrCannotTell
}

// A finding collects UIDs that a server tells of.
type finding struct {
	stretches []stretch
	unclear   bool
}

// read takes a response to one of the questions.
func (f *finding) read(in *reader, resp *response) error {
	switch resp.word {
	case "FETCH":
		var m migrate.Message
		err := readItems(in, &m)
		if m.Key.UID != 0 {
			f.add(stretch{m.Key.UID, m.Key.UID})
		}
		return err
	case "ESEARCH":
		for {
			t, err := in.next()
			switch {
			case err != nil || t.kind == tokenEnd:
				return err
			case t.kind == tokenOpen:
				err = in.skipList()
			case t.is("ALL"):
				if t, err = in.next(); err == nil {
					f.set(string(t.text))
				}
			}
			if err != nil {
				return err
			}
		}
	}
	return nil
}

// set adds a sequence-set (RFC 9051, section 9).
func (f *finding) set(text string) {
	for part := range strings.SplitSeq(text, ",") {
		from, to, isRange := strings.Cut(part, ":")
		first, err := strconv.ParseUint(from, 10, 32)
		last := first
		if err == nil && isRange {
			last, err = strconv.ParseUint(to, 10, 32)
		}
		if err != nil || first == 0 || last == 0 {
			f.unclear = true
			return
		}
		f.add(stretch{uint32(min(first, last)), uint32(max(first, last))})
	}
}

// join adds what another finding has found.
func (f *finding) join(other *finding) {
	f.unclear = f.unclear || other.unclear
	for _, part := range other.stretches {
		f.add(part)
	}
}

func (f *finding) add(part stretch) {
	if n := len(f.stretches); n > 0 && uint64(f.stretches[n-1].last)+1 == uint64(part.first) {
		f.stretches[n-1].last = part.last
		return
	}
	if len(f.stretches) >= gapsLimit {
		f.unclear = true
		return
	}
	f.stretches = append(f.stretches, part)
}

// all gives what was found, ascending and apart, and how many UIDs that is.
func (f *finding) all() (apart []stretch, count uint64) {
	slices.SortFunc(f.stretches, compareStretches)
	for _, part := range f.stretches {
		if n := len(apart); n > 0 && part.first <= apart[n-1].last {
			apart[n-1].last = max(apart[n-1].last, part.last)
			continue
		}
		apart = append(apart, part)
	}
	for _, part := range apart {
		count += uint64(part.last-part.first) + 1
	}
	return apart, count
}
