package main

import (
	"fmt"
	"math"
	"regexp"
	"strconv"
	"strings"
	"time"

	"github.com/dustin/go-humanize"

	"postcask/migrate"
)

// The values of flags, as pflag.Value wants them. What they refuse is told in one line before anything is contacted.

// A sizeValue is a number of octets, as in 2M (two million) or 2MiB.
type sizeValue int64

func (v *sizeValue) String() string {
	if *v == 0 {
		return ""
	}
	return strconv.FormatInt(int64(*v), 10)
}

func (v *sizeValue) Type() string { return "SIZE" }

func (v *sizeValue) Set(text string) error {
	n, err := humanize.ParseBytes(text)
	if err != nil || n > math.MaxInt64 {
		return fmt.Errorf("write a size as 500k, 2M or 10GiB")
	}
	*v = sizeValue(n)
	return nil
}

// A dateValue is a day, a moment or a time ago.
type dateValue struct {
	time.Time
	now func() time.Time
}

func (v *dateValue) String() string {
	if v.Time.IsZero() {
		return ""
	}
	return v.Format(time.RFC3339)
}

func (v *dateValue) Type() string { return "DATE" }

var ago = regexp.MustCompile(`^([0-9]{1,5})([dwmy])$`)

func (v *dateValue) Set(text string) error {
	if match := ago.FindStringSubmatch(text); match != nil {
		n, err := strconv.Atoi(match[1])
		if err != nil {
			return err
		}
		now := v.now()
		v.Time = map[string]time.Time{
			"d": now.AddDate(0, 0, -n), "w": now.AddDate(0, 0, -7*n), "m": now.AddDate(0, -n, 0), "y": now.AddDate(-n, 0, 0),
		}[match[2]]
		return nil
	}
	for _, layout := range []string{time.DateOnly, time.RFC3339} {
		if date, err := time.ParseInLocation(layout, text, time.Local); err == nil {
			v.Time = date
			return nil
		}
	}
	return fmt.Errorf("write a date as 2020-12-31, 2020-12-31T23:59:59Z, or a time ago as 30d, 12w, 6m, 2y")
}

// A ruleValue adds to one list from the two flags --folder and --exclude, since their order counts.
type ruleValue struct {
	rules   *[]migrate.Rule
	exclude bool
}

func (v *ruleValue) String() string { return "" }
func (v *ruleValue) Type() string   { return "GLOB" }

func (v *ruleValue) Set(text string) error {
	if text == "" {
		return fmt.Errorf("a pattern is not empty")
	}
	*v.rules = append(*v.rules, migrate.NewRule(text, v.exclude))
	return nil
}

// A moveValue adds A=B to a list. An equals sign in A is written \=.
type moveValue struct{ moves *[]migrate.Move }

func (v *moveValue) String() string { return "" }
func (v *moveValue) Type() string   { return "A=B" }

func (v *moveValue) Set(text string) error {
	at := -1
	for i := range len(text) {
		if text[i] == '=' && (i == 0 || text[i-1] != '\\') {
			at = i
			break
		}
	}
	if at < 0 {
		return fmt.Errorf("write Old=New")
	}
	from, err := parsePath(strings.ReplaceAll(text[:at], `\=`, "="))
	if err != nil {
		return err
	}
	to, err := parsePath(text[at+1:])
	if err != nil {
		return err
	}
	*v.moves = append(*v.moves, migrate.Move{From: from, To: to})
	return nil
}

// A pathValue is a mailbox.
type pathValue struct{ path *migrate.Path }

func (v *pathValue) String() string {
	if v.path == nil {
		return ""
	}
	return string(*v.path)
}

func (v *pathValue) Type() string { return "MAILBOX" }

func (v *pathValue) Set(text string) (err error) {
	*v.path, err = parsePath(text)
	return err
}
