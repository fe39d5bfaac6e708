//go:build linux

package main

import (
	"context"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strings"
)

// A job is a piece of work that programs are given in turn.
type job struct {
	name    string
	account string
	pop     bool
	far     bool // with the delay line
	into    string
	tools   []*tool // the limit first, then postcask
	phases  bool    // also: nothing new, and 100 new ones
	single  bool    // one run each will do: it is about memory
	goals   []goal
}

// Where the mail of a job goes.
const (
	toDisk   = "disk"
	toServer = "server"
)

// A goal is what postcask is meant to reach: a time in relation to another program's, or in seconds, or memory.
type goal struct {
	of    *tool // postcask in its first form where nil
	phase phase
	than  string  // name of a tool; empty for a time in seconds
	most  float64 // times as long, or seconds
}

// memoryGoal is how many megabytes postcask may have resident, whatever the size of mailboxes and messages.
const memoryGoal = 48

// jobs is the table.
func (b *bench) jobs() []job {
	slow := *imapsync
	slow.phases = []phase{}
	if b.scale.slow {
		slow.phases = nil
	}
	return []job{
		{name: "IMAP to Maildir", account: large, into: toDisk, phases: true,
			tools: []*tool{limitOfFetch, postcaskBackup, postcaskBackupMbox, mbsyncBackup},
			goals: []goal{{phase: full, than: "limit", most: 1.3}, {phase: full, than: "mbsync", most: 0.4},
				{of: postcaskBackupMbox, phase: full, than: "postcask", most: 1}, {phase: noop, than: "mbsync", most: 1}, {phase: add, than: "mbsync", most: 1}}},
		{name: "IMAP to Maildir", account: small, far: true, into: toDisk, phases: true,
			tools: []*tool{limitOfFetch, postcaskBackup, mbsyncBackup},
			goals: []goal{{phase: full, most: 1.2}, {phase: full, than: "mbsync", most: 0.35}, {phase: noop, most: 0.42}, {phase: add, most: 0.8}}},
		{name: "POP3 to Maildir", account: largePOP, pop: true, into: toDisk, phases: true,
			tools: []*tool{limitOfRetr, postcaskPOP, mpop},
			goals: []goal{{phase: full, than: "mpop", most: 0.5}}},
		{name: "POP3 to Maildir", account: smallPOP, pop: true, far: true, into: toDisk, phases: true,
			tools: []*tool{limitOfRetr, postcaskPOP, mpop},
			goals: []goal{{phase: full, most: 0.8}, {phase: full, than: "mpop", most: 0.5}, {phase: noop, most: 0.42}, {phase: add, most: 0.8}}},
		{name: "IMAP to IMAP", account: large, into: toServer, phases: true,
			tools: []*tool{limitOfCopy, postcaskMigrate, interimap, mbsyncMigrate, imapsync},
			goals: []goal{{phase: full, than: "limit", most: 1.2}, {phase: full, than: "interimap", most: 0.65}, {phase: full, than: "imapsync", most: 0.12},
				{phase: noop, than: "mbsync", most: 1}, {phase: add, than: "mbsync", most: 1}}},
		{name: "IMAP to IMAP", account: small, far: true, into: toServer, phases: true,
			tools: []*tool{limitOfCopy, postcaskMigrate, interimap, mbsyncMigrate, &slow},
			goals: []goal{{phase: full, than: "limit", most: 1.3}, {phase: full, than: "interimap", most: 0.3}, {phase: noop, most: 0.42}, {phase: add, most: 0.8}}},
		{name: "archive to IMAP", account: large, into: toServer,
			tools: []*tool{limitOfCopy, postcaskRestore, postcaskRestoreMbox, migrateBeside},
			goals: []goal{{phase: full, than: migrateBeside.name, most: 1}, {of: postcaskRestoreMbox, phase: full, than: migrateBeside.name, most: 1}}},
		{name: "IMAP to Maildir, one huge message", account: huge, into: toDisk, single: true, tools: []*tool{limitOfFetch, postcaskBackup, mbsyncBackup}},
		{name: "POP3 to Maildir, one huge message", account: huge, pop: true, into: toDisk, single: true, tools: []*tool{limitOfRetr, postcaskPOP, mpop}},
		{name: "IMAP to IMAP, one huge message", account: huge, into: toServer, single: true, tools: []*tool{limitOfCopy, postcaskMigrate, interimap, mbsyncMigrate, imapsync}},
	}
}

// title names a job in one line.
func (j *job) title() string {
	distance := "0 ms"
	if j.far {
		distance = fmt.Sprintf("%d ms", roundTrip.Milliseconds())
	}
	return fmt.Sprintf("%s, %s, %s", j.name, j.account, distance)
}

// A row is what one program came to in one job.
type row struct {
	tool      *tool
	room      *room
	samples   map[phase][]sample
	arrived   int   // messages, in the first phase
	identical int   // of these, to the octet
	checked   bool  // arrived and identical were looked at
	fault     error // why it was given up
}

type result struct {
	job  job
	rows []*row
}

// all does the jobs whose title has only in it.
func (b *bench) all(ctx context.Context, only string) ([]result, error) {
	var results []result
	for _, j := range b.jobs() {
		if !strings.Contains(j.title(), only) {
			continue
		}
		fmt.Fprintln(b.tell, j.title())
		rows, err := b.do(ctx, &j)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", j.title(), err)
		}
		results = append(results, result{j, rows})
	}
	return results, nil
}

// do gives a job to its programs, in turn, so that a busy minute of the machine falls on all of them.
func (b *bench) do(ctx context.Context, j *job) (rows []*row, err error) {
	place := filepath.Join(b.dir, "job")
	if err := os.Mkdir(place, 0o755); err != nil {
		return nil, err
	}
	defer os.RemoveAll(place)
	for i, t := range j.tools {
		if _, there := b.peers[t.name]; t.peer() && !there || !t.can(full) {
			continue
		}
		r, err := b.room(ctx, j, t, place, i)
		if err != nil {
			return nil, err
		}
		rows = append(rows, &row{tool: t, room: r, samples: map[phase][]sample{}})
	}
	phases := []phase{full}
	if j.phases {
		phases = append(phases, noop, add)
	}
	for _, p := range phases {
		rounds := b.scale.rounds
		if j.single {
			rounds = 1
		}
		for round := range rounds {
			for i, row := range rows {
				if !row.tool.can(p) || row.tool.once && round > 0 || row.fault != nil {
					continue
				}
				if row.fault = b.step(ctx, j, row, p, i*rounds+round); row.fault == nil {
					s := row.samples[p][len(row.samples[p])-1]
					fmt.Fprintf(b.tell, "  %-17s %-12s %8.2f s  %.2f s CPU, server %.2f s, %d MB\n", row.tool.name, p,
						s.Wall.Seconds(), (s.User + s.System).Seconds(), s.server.Seconds(), s.Memory/1e6)
				} else if ctx.Err() != nil || !row.tool.peer() { // without the limit or postcask there is nothing to tell
					return nil, fmt.Errorf("%s: %w", row.tool.name, row.fault)
				} else {
					fmt.Fprintf(b.tell, "  %-17s %v\n", row.tool.name, row.fault)
				}
			}
		}
		for _, row := range rows {
			if p == full && row.fault == nil {
				if row.fault = b.check(j, row); row.fault != nil {
					return nil, row.fault
				}
			}
		}
	}
	return rows, nil
}

// step is one run of one program.
func (b *bench) step(ctx context.Context, j *job, row *row, p phase, number int) error {
	switch p {
	case full:
		if err := b.clear(j, row); err != nil {
			return err
		}
	case add:
		first := 1_000_000 + number*added
		if err := plant(ctx, b.maildir(row.room.source), corpusSeed, first, first+added-1, j.pop, newManifest()); err != nil {
			return err
		}
	}
	before := 0
	if p != full {
		var err error
		if before, err = b.count(j, row); err != nil {
			return err
		}
	}
	s, err := b.time(ctx, row.tool.command(row.room, p))
	if err != nil {
		return err
	}
	row.samples[p] = append(row.samples[p], s)
	if p == full || row.tool.name == "limit" {
		return nil
	}
	after, err := b.count(j, row)
	if want := map[phase]int{noop: 0, add: added}[p]; err == nil && after-before != want {
		err = fmt.Errorf("%s: %d messages arrived, not %d", p, after-before, want)
	}
	return err
}

// room makes ready what a program needs: a source of its own, so that new mail can come in.
func (b *bench) room(ctx context.Context, j *job, t *tool, place string, number int) (r *room, err error) {
	dir := filepath.Join(place, fmt.Sprint(number))
	r = &room{source: sourceOf(number), destination: destinationOf(number),
		work: filepath.Join(dir, "work"), out: filepath.Join(dir, "out"), postcask: b.postcask, self: b.self}
	addr := b.imapAddr(j.far)
	if j.pop {
		addr = b.pop3Addr(j.far)
	}
	if r.host, r.port, err = net.SplitHostPort(addr); err != nil {
		return nil, err
	}
	if err := b.clone(j.account, r.source); err != nil {
		return nil, err
	}
	if out, err := b.server.Doveadm("index", "-u", r.source, "*"); err != nil {
		return nil, fmt.Errorf("%w: %s", err, out)
	}
	if t == postcaskRestore || t == postcaskRestoreMbox {
		r.archive = filepath.Join(dir, "archive")
		if err := os.MkdirAll(r.work, 0o755); err != nil {
			return nil, err
		}
		return r, b.fillArchive(ctx, r, t.format)
	}
	return r, nil
}

// fillArchive makes the archive that is to be restored.
func (b *bench) fillArchive(ctx context.Context, r *room, format string) error {
	made := *r
	made.out = r.archive
	backup := backupTool("postcask", "imap", format)
	_, err := b.time(ctx, backup.command(&made, full))
	return err
}

// clear takes away what earlier runs have left, and makes an empty destination.
func (b *bench) clear(j *job, row *row) error {
	r := row.room
	for _, dir := range []string{r.work, r.out} {
		if err := os.RemoveAll(dir); err != nil {
			return err
		}
	}
	if err := os.MkdirAll(r.work, 0o755); err != nil {
		return err
	}
	if !row.tool.ours() { // postcask makes its archive itself
		if err := os.MkdirAll(r.out, 0o755); err != nil {
			return err
		}
	}
	if row.tool == mpop {
		for _, part := range []string{"cur", "new", "tmp"} {
			if err := os.Mkdir(filepath.Join(r.out, part), 0o755); err != nil {
				return err
			}
		}
	}
	if j.into == toServer {
		if err := b.empty(r.destination); err != nil {
			return err
		}
	}
	return row.tool.prepare(r)
}

// keeps tells whether a row's tool leaves mail behind that can be looked at: the limit of POP3 throws it away.
func (row *row) keeps() bool { return row.tool != limitOfRetr }
