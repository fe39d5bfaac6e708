//go:build integration

package testserver

import (
	"bufio"
	"bytes"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// run starts the named server with its defaults below dir.
func run(name, dir string) (*Server, error) {
	switch name {
	case "dovecot":
		return RunDovecot(dir, DovecotOptions{})
	case "cyrus":
		return RunCyrus(dir, CyrusOptions{})
	}
	return RunCourier(dir, CourierOptions{})
}

// The test binary, started again with this set to "name dir", runs a server and waits for its end.
const holdVariable = "POSTCASK_TEST_HOLD"

func init() {
	name, dir, ok := strings.Cut(os.Getenv(holdVariable), " ")
	if !ok {
		return
	}
	_, err := run(name, dir)
	fmt.Println("up", err)
	select {}
}

// TestKilledTestLeavesNothing kills a process that runs a server, in the way that nothing can be done about.
func TestKilledTestLeavesNothing(t *testing.T) {
	for _, name := range Named(t) {
		t.Run(name, func(t *testing.T) {
			dir := openDir(t)
			holder := exec.Command(os.Args[0])
			holder.Env = append(os.Environ(), holdVariable+"="+name+" "+dir)
			out, err := holder.StdoutPipe()
			if err != nil {
				t.Fatal(err)
			}
			if err := holder.Start(); err != nil {
				t.Fatal(err)
			}
			if line, err := bufio.NewReader(out).ReadString('\n'); err != nil || line != "up <nil>\n" {
				t.Errorf("%q, %v", line, err)
			}
			if processesOf(t, dir) == "" {
				t.Error("no process of the server is found, so the test could not see one left behind")
			}
			holder.Process.Kill()
			holder.Wait()
			deadline := time.Now().Add(15 * time.Second)
			for left := processesOf(t, dir); left != ""; left = processesOf(t, dir) {
				if time.Now().After(deadline) {
					t.Fatalf("left behind:\n%s", left)
				}
				time.Sleep(50 * time.Millisecond)
			}
		})
	}
}

// TestStopLeavesNothing looks for processes of a server that has been stopped while a session was open.
func TestStopLeavesNothing(t *testing.T) {
	for _, name := range Named(t) {
		t.Run(name, func(t *testing.T) {
			dir := openDir(t)
			s, err := run(name, dir)
			if err != nil {
				t.Fatal(err)
			}
			s.Users(t, "me")
			c, err := DialIMAP(s.IMAPAddr, nil, nil)
			if err != nil {
				t.Fatal(err)
			}
			defer c.conn.Close()
			if err := c.Login("me", Password); err != nil {
				t.Error(err)
			}
			if processesOf(t, dir) == "" {
				t.Error("no process of the server is found, so the test could not see one left behind")
			}
			if err := s.Stop(); err != nil {
				t.Error(err)
			}
			if left := processesOf(t, dir); left != "" {
				t.Errorf("left behind:\n%s", left)
			}
			if _, err := c.Do("NOOP"); err == nil {
				t.Error("the session goes on")
			}
		})
	}
}

// openDir makes a folder that the users which servers drop to may enter.
func openDir(t *testing.T) string {
	t.Helper()
	dir, err := os.MkdirTemp("", "postcask-")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	return dir
}

// processesOf lists the processes that work in dir, or were given a file of it.
func processesOf(t *testing.T, dir string) string {
	t.Helper()
	procs, err := filepath.Glob("/proc/[0-9]*")
	if err != nil {
		t.Fatal(err)
	}
	var found []string
	for _, proc := range procs {
		if proc == fmt.Sprintf("/proc/%d", os.Getpid()) {
			continue
		}
		cwd, _ := os.Readlink(proc + "/cwd")
		cmdline, _ := os.ReadFile(proc + "/cmdline")
		if strings.HasPrefix(cwd, dir) || bytes.Contains(cmdline, []byte(dir)) {
			found = append(found, proc+" "+string(bytes.ReplaceAll(cmdline, []byte{0}, []byte{' '})))
		}
	}
	return strings.Join(found, "\n")
}
