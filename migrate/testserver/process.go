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

// A process is a server's first process, our child, and leader of the group that all of the server's belong to. It gets
// a signal from the kernel when we die, so that nothing outlives a test binary that was killed.
type process struct {
	cmd       *exec.Cmd
	namespace bool          // its death takes everything below it along
	done      chan struct{} // closed when the first process has been waited for
	err       error         // what it ended with, once done is closed
}

// supervisor runs a server and ends its group upon a signal. The server itself could not be told of our death: the kernel
// forgets to whom it owes that signal when a process sets its user, as Cyrus does.
const supervisor = `trap 'kill -KILL 0' TERM; "$@" & wait $!`

// supervised makes the command of a server whose processes stay in one group.
func supervised(name string, args ...string) *exec.Cmd {
	return exec.Command("/bin/sh", append([]string{"-c", supervisor, "supervisor", name}, args...)...)
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

// stop ends the process with all others of its group or namespace, and waits until they are gone. It is not kind about
// it: mail that must outlive the test is no business of a test server.
func (p *process) stop() error {
	pid := p.cmd.Process.Pid
	if p.namespace {
		signalProcess(pid, syscall.SIGKILL)
		<-p.done // the kernel has ended the others by then
		return nil
	}
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
