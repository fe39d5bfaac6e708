//go:build linux

package main

import (
	"bufio"
	"cmp"
	"fmt"
	"io"
	"maps"
	"os/exec"
	"slices"
	"strings"
	"time"
)

// write makes the page of docs.
func write(out io.Writer, size string, s scale, m machine, b *bench, results []result) error {
	w := &page{Writer: bufio.NewWriter(out)}
	w.say("# Benchmarks\n")
	w.say("Written by `make bench`; [development.md](development.md) tells how. Each program does the same work in turn on the same machine,")
	w.say("beside the server; times depend on the machine, their ratios much less. \"limit\" is a small program that does the work with")
	w.say("everything pipelined and nothing else done: nothing is looked up, checked or remembered.\n")
	w.say("| | |\n|---|---|")
	w.say("| when | %s, scale %s, %s each, medians |", m.date.Format(time.DateOnly), size, plural(s.rounds, "round"))
	w.say("| machine | %s, %d cores, %s, %s; load before: %s |", m.processor, m.cores, inGB(m.memory), m.system, m.load)
	w.say("| disk | %s; an fsync of a new file of 4 KiB takes %s |", m.fileSystem, short(m.fsync))
	w.say("| server | Dovecot %s on the loopback address, Maildir, without TLS; COMPRESS offered, and used by nobody |", m.dovecot)
	for _, name := range []string{large, small, largePOP, smallPOP, huge} {
		account := b.manifests[name]
		w.say("| account \"%s\" | %s, %.0f MB%s |", name, plural(account.messages, "message"), float64(account.octets)/1e6,
			map[bool]string{true: ", 8 mailboxes"}[name == large || name == small])
	}
	w.say("| %d ms | a delay line before the server: half of it each way, nothing else is limited |", roundTrip.Milliseconds())
	w.say("| postcask | %s |", versionOf(b.postcask))
	for _, name := range slices.Sorted(maps.Keys(b.peers)) {
		w.say("| %s | %s |", name, b.peers[name])
	}
	for _, name := range []string{"imapsync", "interimap", "mbsync", "mpop"} {
		if _, there := b.peers[name]; !there {
			w.say("| %s | not installed |", name)
		}
	}
	w.say("")
	w.goals(results)
	for _, r := range results {
		w.result(r)
	}
	w.commands(b)
	return w.Flush()
}

type page struct{ *bufio.Writer }

func (w *page) say(format string, args ...any) { fmt.Fprintf(w, format+"\n", args...) }

// goals shows what postcask is meant to reach, and what it did.
func (w *page) goals(results []result) {
	w.say("## Goals\n\nEach against what the others came to in the same run.\n")
	w.say("| work | | goal | measured | |\n|---|---|---|---|---|")
	for _, r := range results {
		for _, g := range r.job.goals {
			w.goal(r, g)
		}
		for _, row := range r.rows {
			if samples := row.samples[full]; row.tool.ours() && len(samples) > 0 {
				w.verdict(r, row.tool.of("memory"), fmt.Sprintf("≤ %d MB", memoryGoal), float64(median(samples).Memory)/1e6, memoryGoal, " MB")
			}
		}
	}
	w.say("")
}

// goal shows one, unless what it compares with was not there.
func (w *page) goal(r result, g goal) {
	own := r.find("postcask")
	what := string(g.phase)
	if g.of != nil {
		own, what = r.find(g.of.name), g.of.of(what)
	}
	if own == nil || len(own.samples[g.phase]) == 0 {
		return
	}
	took := median(own.samples[g.phase]).Wall.Seconds()
	if g.than == "" {
		w.verdict(r, what, fmt.Sprintf("≤ %g s", g.most), took, g.most, " s")
	} else if other := r.find(g.than); other != nil && len(other.samples[g.phase]) > 0 {
		w.verdict(r, what, fmt.Sprintf("≤ %g × %s", g.most, g.than), took/median(other.samples[g.phase]).Wall.Seconds(), g.most, " ×")
	}
}

func (w *page) verdict(r result, what, goal string, value, most float64, unit string) {
	digits := map[bool]int{true: 0, false: 2}[unit == " MB"]
	w.say("| %s | %s | %s | %.*f%s | %s |", r.job.title(), what, goal, digits, value, unit, map[bool]string{true: "missed", false: "reached"}[value > most])
}

func (r result) find(name string) *row {
	for _, row := range r.rows {
		if row.tool.name == name {
			return row
		}
	}
	return nil
}

// result shows a job: each program, each phase.
func (w *page) result(r result) {
	w.say("## %s\n", r.job.title())
	w.say("| program | work | runs | time (least) | × limit | CPU user + system | server's CPU | memory | arrived, unchanged |\n|---|---|---|---|---|---|---|---|---|")
	for _, p := range []phase{full, noop, add} {
		for _, row := range r.rows {
			samples := row.samples[p]
			if len(samples) == 0 {
				if row.fault != nil && p == full {
					w.say("| %s | %s | | failed: %s | | | | | |", row.tool.name, p, strings.ReplaceAll(row.fault.Error(), "|", "/"))
				}
				continue
			}
			m := median(samples)
			least := slices.MinFunc(samples, func(a, b sample) int { return cmp.Compare(a.Wall, b.Wall) })
			ratio := ""
			if limit := r.rows[0].samples[p]; len(limit) > 0 {
				ratio = fmt.Sprintf("%.2f", m.Wall.Seconds()/median(limit).Wall.Seconds())
			}
			w.say("| %s | %s | %d | %s (%s) | %s | %s + %s | %s | %.0f MB | %s |", row.tool.name, p, len(samples), short(m.Wall), short(least.Wall),
				ratio, short(m.User), short(m.System), short(m.server), float64(m.Memory)/1e6, row.outcome(p))
		}
	}
	w.say("")
}

// outcome tells what arrived.
func (row *row) outcome(p phase) string {
	switch {
	case p != full || !row.checked:
		return ""
	case row.identical < 0:
		return fmt.Sprintf("%d, by count", row.arrived)
	case row.identical == row.arrived:
		return fmt.Sprintf("%d, all", row.arrived)
	}
	return fmt.Sprintf("%d, %d", row.arrived, row.identical)
}

// commands shows how each program was run.
func (w *page) commands(b *bench) {
	w.say("## Commands\n")
	w.say("Passwords are in the environment for postcask and in the configuration of the others. \"unchanged\" compares octets by SHA-256, with")
	w.say("CRLF and LF taken for the same and, over POP3, without line ends at the very end; mbsync adds a header field to each message, mpop")
	w.say("one as well. Everything that a program wrote earlier is removed before it begins with \"all\", and the disk is synced.\n")
	r := &room{host: "HOST", port: "PORT", source: "SOURCE", destination: "DESTINATION", work: "WORK", out: "OUT", archive: "ARCHIVE", postcask: "postcask", self: "bench"}
	shown := map[string]bool{}
	for _, j := range b.jobs() {
		for _, t := range j.tools {
			line := strings.Join(t.args(r, full), " ")
			if _, there := b.peers[t.name]; t.peer() && !there || shown[line] && t.name != "mbsync" {
				continue
			}
			config := ""
			if t.config != nil {
				config = strings.TrimRight(t.config(r), "\n")
			}
			if shown[line+config] {
				continue
			}
			shown[line], shown[line+config] = true, true
			w.say("    %s", line)
			if config != "" {
				w.say("\nwith\n\n    %s\n", strings.ReplaceAll(strings.ReplaceAll(config, "\n", "\n    "), "\n    \n", "\n\n"))
			}
		}
	}
}

// short puts a time in few words.
func short(d time.Duration) string {
	switch {
	case d == 0:
		return "0"
	case d < time.Millisecond:
		return fmt.Sprintf("%.2f ms", d.Seconds()*1000)
	case d < 10*time.Second:
		return fmt.Sprintf("%.2f s", d.Seconds())
	}
	return fmt.Sprintf("%.1f s", d.Seconds())
}

func inGB(kilobytes string) string {
	var n float64
	if _, err := fmt.Sscanf(kilobytes, "%f kB", &n); err != nil {
		return kilobytes
	}
	return fmt.Sprintf("%.0f GB", n*1024/1e9)
}

func plural(n int, one string) string {
	if n == 1 {
		return "1 " + one
	}
	return fmt.Sprintf("%d %ss", n, one)
}

func versionOf(program string) string {
	out, err := exec.Command(program, "version").Output()
	if err != nil {
		return "of unknown version"
	}
	first, _, _ := strings.Cut(strings.TrimSpace(string(out)), "\n")
	return first
}
