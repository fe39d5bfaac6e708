//go:build linux

// Command bench measures postcask beside what is possible and beside the programs that people use. It starts a private
// Dovecot, fills it with made mail, puts a delay line before it, and gives each program the same work in turn: first
// the limit, which does that work and nothing else, then postcask, then those of its peers that are installed. What has
// arrived is counted and hashed. The result is a page of docs.
//
//	go run ./migrate/testserver/bench -postcask bin/postcask -o docs/benchmarks.md
//
// Needs root on Debian with Dovecot; mbsync, interimap, mpop and imapsync are taken where they are found in PATH.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"path/filepath"
	"syscall"
)

// A scale says how much mail the work is about.
type scale struct {
	large, small, huge int // messages, messages, octets of one message
	rounds             int
	slow               bool // give imapsync the work with the delay line too: six minutes for 2,000 messages
}

var scales = map[string]scale{
	"try":    {large: 300, small: 100, huge: 20e6, rounds: 1},
	"medium": {large: 5000, small: 2000, huge: 200e6, rounds: 3},
	"full":   {large: 20000, small: 2000, huge: 200e6, rounds: 5, slow: true},
}

func main() {
	if len(os.Args) > 1 {
		if part, ok := map[string]func([]string) error{"limit": limit, "weigh": weigh}[os.Args[1]]; ok {
			if err := part(os.Args[2:]); err != nil {
				fmt.Fprintln(os.Stderr, os.Args[1]+":", err)
				os.Exit(1)
			}
			return
		}
	}
	size := flag.String("scale", "medium", "how much mail: try, medium or full")
	binary := flag.String("postcask", "bin/postcask", "the program to measure")
	page := flag.String("o", "", "write the page to this file (default: standard output)")
	work := flag.String("dir", "", "do all in a folder below this one, on the file system to measure with (default: the temporary folder)")
	only := flag.String("only", "", "only jobs whose name has this in it")
	rounds := flag.Int("rounds", 0, "run everything so often (default: as the scale says)")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := run(ctx, *size, *binary, *page, *work, *only, *rounds); err != nil {
		fmt.Fprintln(os.Stderr, "bench: error:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, size, binary, page, work, only string, rounds int) (err error) {
	s, ok := scales[size]
	if !ok {
		return fmt.Errorf("-scale %s is none of try, medium, full", size)
	}
	if rounds > 0 {
		s.rounds = rounds
	}
	if binary, err = filepath.Abs(binary); err != nil {
		return err
	}
	dir, err := os.MkdirTemp(work, "postcask-bench-")
	if err != nil {
		return err
	}
	if dir, err = filepath.Abs(dir); err != nil {
		return err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(dir)) }()
	if err := os.Chmod(dir, 0o755); err != nil { // Dovecot gives up root
		return err
	}
	machine, err := lookAround(ctx, dir)
	if err != nil {
		return err
	}
	b := &bench{dir: dir, postcask: binary, scale: s, tell: os.Stderr}
	if err := b.open(ctx); err != nil {
		return err
	}
	defer func() { err = errors.Join(err, b.close()) }()
	results, err := b.all(ctx, only)
	if err != nil {
		return err
	}
	var out io.Writer = os.Stdout
	if page != "" {
		file, err := os.Create(page)
		if err != nil {
			return err
		}
		defer func() { err = errors.Join(err, file.Close()) }()
		out = file
	}
	return write(out, size, s, machine, b, results)
}
