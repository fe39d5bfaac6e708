package testserver

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
)

// ports are loopback ports that no other test of this machine uses. A real server binds its port itself, after we have
// chosen it, so a port that was merely found free could be taken in between: by another test, or by any outgoing
// connection if it lay in the ephemeral range. Hence numbers below that range, each held by an abstract Unix socket,
// which the kernel gives up with its process, however that ends.
type ports struct {
	numbers []int
	held    []net.Listener
}

const firstPort, lastPort = 15000, 31999

// reservePorts takes n ports.
func reservePorts(n int) (ports, error) {
	var p ports
	for range 2000 {
		if len(p.numbers) == n {
			return p, nil
		}
		port := firstPort + rand.IntN(lastPort-firstPort+1)
		hold, err := net.Listen("unix", fmt.Sprintf("@postcask-port-%d", port))
		if err != nil {
			continue
		}
		probe, err := net.Listen("tcp", loopback(port))
		if err != nil {
			hold.Close()
			continue
		}
		probe.Close()
		p.numbers, p.held = append(p.numbers, port), append(p.held, hold)
	}
	p.release()
	return ports{}, errors.New("no free ports")
}

// addr is the address of the ith port.
func (p ports) addr(i int) string { return loopback(p.numbers[i]) }

func (p ports) release() {
	for _, hold := range p.held {
		hold.Close()
	}
}

func loopback(port int) string { return fmt.Sprintf("127.0.0.1:%d", port) }
