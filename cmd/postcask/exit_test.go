package main

import (
	"context"
	"errors"
	"fmt"
	"testing"

	"postcask/migrate"
)

func TestExitStatus(t *testing.T) {
	of := func(kind migrate.Kind) error {
		return fmt.Errorf("around: %w", &migrate.Error{End: "source x", Err: migrate.Errorf(kind, "because")})
	}
	for name, test := range map[string]struct {
		err  error
		want int
	}{
		"done":          {nil, 0},
		"failed":        {errors.New("x"), 1},
		"misuse":        {of(migrate.Misuse), 2},
		"left behind":   {verdict(exitIncomplete), 3},
		"auth":          {of(migrate.Auth), 4},
		"unavailable":   {of(migrate.Unavailable), 5},
		"locked":        {of(migrate.Locked), 6},
		"refused":       {of(migrate.Refused), 7},
		"limit":         {of(migrate.Limit), 8},
		"differs":       {verdict(exitDiffers), 9},
		"damaged":       {of(migrate.Damaged), 10},
		"unsafe":        {of(migrate.Unsafe), 11},
		"stopped":       {fmt.Errorf("around: %w", migrate.ErrStopped), 130},
		"left in haste": {&migrate.Error{Kind: migrate.Unavailable, Err: context.Canceled}, 130},
		"told already":  {told{of(migrate.Limit)}, 8},
	} {
		if got := exitStatus(test.err); got != test.want {
			t.Errorf("%s: %d, want %d", name, got, test.want)
		}
	}
	for kind := migrate.Failed; kind <= migrate.Unsafe; kind++ {
		if _, ok := exitOfKind[kind]; !ok {
			t.Errorf("kind %d has no exit status", kind)
		}
	}
}
