// Package maildir has the words of the Maildir format as an archive writes it: file names, flag letters, and the file
// that says which keyword a letter stands for, as Dovecot has it.
package maildir

import (
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"
)

// A Name is what the base name of a message's file tells, the part before the flags.
type Name struct {
	Unique string // arrival time, process, count, run and host: never given twice
	Disk   int64  // octets of the file
	Wire   int64  // octets of the message on the wire
}

// Base gives the base name: <unique>,S=<octets of the file>,W=<octets on the wire>, as Dovecot has it.
func (n Name) Base() string { return fmt.Sprintf("%s,S=%d,W=%d", n.Unique, n.Disk, n.Wire) }

// Unique gives the unique part for the n-th message of a run: arrival is now, run a random word of the run.
func Unique(arrival time.Time, pid int, n uint64, run, host string) string {
	return fmt.Sprintf("%d.M%dP%dQ%dR%s.%s", arrival.Unix(), arrival.Nanosecond()/1000, pid, n, run, host)
}

// Host makes a host name fit for a file name: letters, digits, "-", "_" and "." stay, at most 64 octets.
func Host(name string) string {
	clean := strings.Map(func(r rune) rune {
		switch {
		case r >= 'a' && r <= 'z', r >= 'A' && r <= 'Z', r >= '0' && r <= '9', r == '-', r == '_', r == '.':
			return r
		}
		return '_'
	}, name)
	clean = strings.Trim(clean[:min(len(clean), 64)], ".")
	if clean == "" {
		return "localhost"
	}
	return clean
}

// Run gives the random word of the run that wrote the file, or "" where the name is not one of an archive.
func Run(base string) string {
	unique, _, _ := strings.Cut(base, ",")
	time, rest, ok := strings.Cut(unique, ".M")
	if _, err := strconv.ParseInt(time, 10, 64); !ok || err != nil {
		return ""
	}
	made, _, ok := strings.Cut(rest, ".")
	i := strings.LastIndexByte(made, 'R')
	if !ok || i < 0 || !strings.Contains(made[:i], "Q") {
		return ""
	}
	return made[i+1:]
}

// ParseBase reads a base name that Base gave.
func ParseBase(base string) (Name, error) {
	unique, rest, ok := strings.Cut(base, ",S=")
	disk, wire, both := strings.Cut(rest, ",W=")
	if !ok || !both || unique == "" {
		return Name{}, errors.New("no sizes in the file name")
	}
	n := Name{Unique: unique}
	var err error
	if n.Disk, err = size(disk); err != nil {
		return Name{}, err
	}
	if n.Wire, err = size(wire); err != nil {
		return Name{}, err
	}
	return n, nil
}

func size(s string) (int64, error) {
	n, err := strconv.ParseUint(s, 10, 63)
	if err != nil || strconv.FormatUint(n, 10) != s {
		return 0, fmt.Errorf("size in the file name: %q", s)
	}
	return int64(n), nil
}

// infoMark stands between base name and flags.
const infoMark = ":2,"

// Join gives the file name of a message with these flag letters.
func Join(base, letters string) string { return base + infoMark + letters }

// Split gives base name and flag letters of a file name; a file in new/ has no letters.
func Split(name string) (base, letters string) {
	base, info, _ := strings.Cut(name, ":")
	if letters, ok := strings.CutPrefix(info, "2,"); ok {
		return base, letters
	}
	return base, ""
}

// Count gives the count of a name that Unique gave: the how-manyth message of its run it was, or 0.
func Count(base string) uint64 {
	made, _, _ := strings.Cut(base, "R")
	i := strings.LastIndexByte(made, 'Q')
	n, err := strconv.ParseUint(made[i+1:], 10, 64)
	if err != nil {
		return 0
	}
	return n
}
