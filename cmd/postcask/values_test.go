package main

import (
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/spf13/cobra"

	"postcask/migrate"
)

func TestDates(t *testing.T) {
	now := time.Date(2024, 3, 31, 12, 30, 0, 0, time.Local)
	for text, want := range map[string]time.Time{
		"2020-12-31":                time.Date(2020, 12, 31, 0, 0, 0, 0, time.Local),
		"2020-12-31T23:59:59Z":      time.Date(2020, 12, 31, 23, 59, 59, 0, time.UTC),
		"2020-12-31T23:59:59-05:00": time.Date(2021, 1, 1, 4, 59, 59, 0, time.UTC),
		"30d":                       time.Date(2024, 3, 1, 12, 30, 0, 0, time.Local),
		"2w":                        time.Date(2024, 3, 17, 12, 30, 0, 0, time.Local),
		"3m":                        time.Date(2023, 12, 31, 12, 30, 0, 0, time.Local),
		"2y":                        time.Date(2022, 3, 31, 12, 30, 0, 0, time.Local),
	} {
		v := dateValue{now: func() time.Time { return now }}
		if err := v.Set(text); err != nil || !v.Equal(want) {
			t.Errorf("%s: %v, %v, want %v", text, v.Time, err, want)
		}
	}
	for _, text := range []string{"", "yesterday", "2020-13-01", "2020-02-30", "d", "-3d", "3h", "31.12.2020"} {
		v := dateValue{now: func() time.Time { return now }}
		if v.Set(text) == nil {
			t.Errorf("%q is taken, as %v", text, v.Time)
		}
	}
}

func TestSizes(t *testing.T) {
	for text, want := range map[string]sizeValue{"0": 0, "10": 10, "2M": 2_000_000, "2MiB": 2 << 20, "1.5k": 1500, "10GiB": 10 << 30} {
		var v sizeValue
		if err := v.Set(text); err != nil || v != want {
			t.Errorf("%s: %d, %v, want %d", text, v, err, want)
		}
	}
	for _, text := range []string{"", "-1", "huge", "2 apples", "16EiB", "9EiB"} {
		var v sizeValue
		if v.Set(text) == nil {
			t.Errorf("%q is taken, as %d", text, v)
		}
	}
}

func TestMoves(t *testing.T) {
	var moves []migrate.Move
	v := moveValue{&moves}
	for _, text := range []string{"Spam=Junk", "Work/Old=Archive/a=b", `x\=y=inbox`, "/Trailing/=Sent Items"} {
		if err := v.Set(text); err != nil {
			t.Errorf("%s: %v", text, err)
		}
	}
	want := []migrate.Move{{From: "Spam", To: "Junk"}, {From: "Work/Old", To: "Archive/a=b"}, {From: "x=y", To: "INBOX"}, {From: "Trailing", To: "Sent Items"}}
	if diff := cmp.Diff(want, moves); diff != "" {
		t.Error(diff)
	}
	for _, text := range []string{"", "=", "a=", "=b", "ab", "a//b=c"} {
		if v.Set(text) == nil {
			t.Errorf("%q is taken", text)
		}
	}
}

// Folder rules keep the order they were given in, over both flags.
func TestRunOptions(t *testing.T) {
	parse := func(args ...string) (*runOptions, error) {
		var o runOptions
		cmd := &cobra.Command{Use: "x"}
		o.bind(cmd)
		if err := cmd.ParseFlags(args); err != nil {
			return nil, err
		}
		return &o, o.check()
	}
	o, err := parse("--exclude", "*", "--folder", "Work", "--exclude", "Work/Old", "--folder", `\Sent`)
	if err != nil {
		t.Fatal(err)
	}
	filter := o.filter.filter()
	for mbox, want := range map[migrate.Mailbox]bool{
		{Path: "INBOX"}: false, {Path: "Work"}: true, {Path: "Work/New"}: true, {Path: "Work/Old/x"}: false, {Path: "Gesendet", Role: migrate.RoleSent}: true,
	} {
		if filter.Mailbox(mbox) != want {
			t.Errorf("%v: want %v", mbox, want)
		}
	}
	for _, args := range []string{
		"--connections=0", "--connections=33", "--connections=x", "--timeout=0s", "--timeout=-1s", "--timeout=2", "--max-duration=-1s",
		"--since=2020-02-01 --before=2020-02-01", "--max-size=x", "--max-bytes=-1", "--limit-rate=fast", "--map=x", "--under=", "--folder=", "--exclude=",
	} {
		if _, err := parse(strings.Fields(args)...); err == nil {
			t.Errorf("%s is taken", args)
		}
	}
}

func TestLanes(t *testing.T) {
	imap := &endpoint{protocol: imapServer}
	eight := &endpoint{protocol: imapServer, connections: 8}
	two := &endpoint{protocol: imapServer, connections: 2}
	pop := &endpoint{protocol: pop3Server, connections: 5}
	dir := &endpoint{protocol: archiveDir}
	for _, test := range []struct {
		flag int
		ends []*endpoint
		want int
	}{
		{4, []*endpoint{imap, dir}, 4},
		{1, []*endpoint{imap, dir}, 1},
		{2, []*endpoint{imap, imap}, 2},
		{4, []*endpoint{eight, dir}, 8},
		{4, []*endpoint{eight, two}, 2},
		{4, []*endpoint{eight, imap}, 4},
		{4, []*endpoint{pop, imap}, 1},
	} {
		o := runOptions{connections: test.flag}
		if got := o.lanes(test.ends...); got != test.want {
			t.Errorf("%+v: %d lanes, want %d", test, got, test.want)
		}
	}
}
