package main

import (
	"errors"
	"io"
	"os"
	"path/filepath"
	"runtime"
	"runtime/pprof"
	"runtime/trace"
)

// A profile is what the developers' flag --profile asks for: cpu.pprof, heap.pprof and trace.out in a folder.
type profile struct {
	dir        string
	cpu, trace *os.File
}

// startProfile begins to record; the caller calls stop.
func startProfile(dir string) (p *profile, err error) {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, misuse("", "profile: %w", err)
	}
	p = &profile{dir: dir}
	for _, part := range []struct {
		name  string
		file  **os.File
		start func(w io.Writer) error
	}{{"cpu.pprof", &p.cpu, pprof.StartCPUProfile}, {"trace.out", &p.trace, trace.Start}} {
		file, err := p.create(part.name)
		if err == nil {
			*part.file = file
			err = part.start(file)
		}
		if err != nil {
			return nil, errors.Join(misuse("", "profile: %w", err), p.stop())
		}
	}
	return p, nil
}

func (p *profile) create(name string) (*os.File, error) {
	return os.OpenFile(filepath.Join(p.dir, name), os.O_WRONLY|os.O_CREATE|os.O_TRUNC, 0o600)
}

// stop ends the recording and tells what is on the heap by then.
func (p *profile) stop() error {
	pprof.StopCPUProfile()
	trace.Stop()
	heap, err := p.create("heap.pprof")
	if err == nil {
		runtime.GC() // so that what is told is in use
		err = pprof.WriteHeapProfile(heap)
	}
	for _, file := range []*os.File{p.cpu, p.trace, heap} {
		if file != nil {
			err = errors.Join(err, file.Close())
		}
	}
	return err
}
