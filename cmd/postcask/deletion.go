package main

import (
	"context"
	"fmt"
	"math"
	"regexp"
	"strconv"
	"time"

	"github.com/spf13/cobra"

	"postcask/archive"
	"postcask/migrate"
)

// deletionFlags are the flags of a backup that deletes at the source.
type deletionFlags struct {
	after ageValue
	most  countValue
}

func (f *deletionFlags) bind(cmd *cobra.Command) {
	flags := cmd.Flags()
	flags.Var(&f.after, "delete-after", "delete on the server what is intact in the archive, since this `AGE`: 30d, 12h, 0")
	flags.Var(&f.most, "max-delete", "delete nothing where more than `N` messages would go (exit 11); all (the default): no bound")
}

// check refuses what does not go together.
func (f *deletionFlags) check() error {
	if f.most.given && !f.after.given {
		return misuse("", "--max-delete is about --delete-after, which is not given")
	}
	return nil
}

// deletion tells the engine what to delete at from once it is in store; nil where nothing is.
func (f *deletionFlags) deletion(from *server, store *archive.Archive) *migrate.Deletion {
	if !f.after.given || store == nil {
		return nil
	}
	most := int64(-1)
	if f.most.given {
		most = f.most.n
	}
	return &migrate.Deletion{Age: f.after.age, Most: most, Keeper: store.Keeper(), Open: from.changeable}
}

// changeable opens the account so that messages can be deleted.
func (s *server) changeable(ctx context.Context) (migrate.Source, error) {
	if s.pop3 != nil {
		return s.source(ctx)
	}
	session, err := s.imap.Open(ctx, false)
	if err != nil {
		return nil, err
	}
	return session, nil
}

// An ageValue is a span of time: days, weeks or hours, or as Go writes it.
type ageValue struct {
	age   time.Duration
	given bool
}

func (v *ageValue) String() string {
	if !v.given {
		return ""
	}
	return v.age.String()
}

func (v *ageValue) Type() string { return "AGE" }

var ageForm = regexp.MustCompile(`^([0-9]{1,6})([hdwy])$`)

func (v *ageValue) Set(text string) error {
	const day = 24 * time.Hour
	units := map[string]time.Duration{"h": time.Hour, "d": day, "w": 7 * day, "y": 366 * day}
	if match := ageForm.FindStringSubmatch(text); match != nil {
		n, err := strconv.Atoi(match[1])
		unit := units[match[2]]
		if err == nil && time.Duration(n) <= math.MaxInt64/unit {
			*v = ageValue{time.Duration(n) * unit, true}
			return nil
		}
	} else if age, err := time.ParseDuration(text); err == nil && age >= 0 {
		*v = ageValue{age, true}
		return nil
	}
	return fmt.Errorf("write an age as 30d, 12h, 2w, 1y, or 0 for at once")
}

// A countValue is a number of messages, or "all".
type countValue struct {
	n     int64
	given bool
}

func (v *countValue) String() string {
	switch {
	case !v.given:
		return ""
	case v.n < 0:
		return "all"
	}
	return strconv.FormatInt(v.n, 10)
}

func (v *countValue) Type() string { return "N" }

func (v *countValue) Set(text string) error {
	if text == "all" {
		*v = countValue{-1, true}
		return nil
	}
	n, err := strconv.ParseInt(text, 10, 64)
	if err != nil || n < 0 {
		return fmt.Errorf("write a number, or all")
	}
	*v = countValue{n, true}
	return nil
}
