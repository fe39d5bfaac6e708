package testserver

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"syscall"
	"time"
)

// A process is a server's first process, our child, and leader of the group that its own children belong to. It gets a
// signal from the kernel when we die, so that nothing outlives a test binary that was killed.
type process struct {
	cmd       *exec.Cmd
	namespace bool          // its death takes everything below it along
	done      chan struct{} // closed when the first process has been waited for
	err       error         // what it ended with, once done is closed
}

// startProcess runs cmd with its outputs appended to dir/log.
func startProcess(dir string, cmd *exec.Cmd, namespace bool) (*process, error) {
	log, err := os.OpenFile(filepath.Join(dir, "log"), os.O_CREATE|os.O_WRONLY|os.O_APPEND, 0o666)
	if err != nil {
		return nil, err
	}
	defer log.Close()
	cmd.Dir, cmd.Stdout, cmd.Stderr = dir, log, log
	p := &process{cmd: cmd, namespace: namespace, done: make(chan struct{})}
	if err := p.isolate(); err != nil {
		return nil, err
	}
	started := make(chan error)
	go func() {
		defer close(p.done)
		// The kernel's death signal is bound to the thread that forks, so that thread is kept for as long as the child lives.
		runtime.LockOSThread()
		defer runtime.UnlockOSThread()
		err := cmd.Start()
		started <- err
		if err == nil {
			p.err = cmd.Wait()
		}
	}()
	if err := <-started; err != nil {
		<-p.done
		return nil, fmt.Errorf("start %s: %w", filepath.Base(cmd.Path), err)
	}
	return p, nil
}

// stop ends the process and its group, kindly first, and waits until all are gone.
func (p *process) stop() error {
	pid := p.cmd.Process.Pid
	if p.namespace {
		signalProcess(pid, syscall.SIGKILL)
		<-p.done
		return nil
	}
	signalProcess(pid, syscall.SIGTERM)
	select {
	case <-p.done:
	case <-time.After(300 * time.Millisecond):
	}
	// Mail that must outlive the test is no business of a test server: what lingers over a connection is cut short.
	for range 1000 {
		signalProcess(-pid, syscall.SIGKILL)
		if !groupAlive(pid) {
			<-p.done
			return nil
		}
		time.Sleep(10 * time.Millisecond)
	}
	return fmt.Errorf("process group %d does not end", pid)
}
