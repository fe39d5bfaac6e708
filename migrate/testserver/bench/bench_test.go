//go:build linux

package main

import (
	"io"
	"math/rand/v2"
	"net"
	"testing"
	"time"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func TestTheSameSeedMakesTheSameMail(t *testing.T) {
	one, two := newManifest(), newManifest()
	for _, m := range []*manifest{one, two} {
		press := newPress(7, 256<<10)
		for i := range 400 {
			m.add(press.letter(rand.New(rand.NewPCG(7, uint64(i))), i).octets)
		}
	}
	for d, n := range one.exact {
		if two.exact[d] != n {
			t.Fatal("the second account differs from the first")
		}
	}
	if mean := one.octets / 400; mean < 30e3 || mean > 120e3 {
		t.Errorf("a message has %d octets on average, which is not like mail", mean)
	}
}

func TestTheDelayLineTakesItsTimeAndLosesNothing(t *testing.T) {
	echo, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	served := make(chan struct{})
	go func() {
		defer close(served)
		conn, err := echo.Accept()
		if err != nil {
			return
		}
		io.Copy(conn, conn)
		conn.Close()
	}()
	defer func() { echo.Close(); <-served }()
	const oneWay = 20 * time.Millisecond
	line, err := newDelayLine(echo.Addr().String(), oneWay)
	if err != nil {
		t.Fatal(err)
	}
	defer line.close()
	began := time.Now()
	conn, err := net.Dial("tcp", line.addr)
	if err != nil {
		t.Fatal(err)
	}
	sent := make([]byte, 1<<20)
	for i := range sent {
		sent[i] = byte(i >> 8)
	}
	go func() {
		conn.Write(sent)
		conn.(*net.TCPConn).CloseWrite()
	}()
	got, err := io.ReadAll(conn)
	conn.Close()
	if err != nil || string(got) != string(sent) {
		t.Fatalf("%d of %d octets came back, %v", len(got), len(sent), err)
	}
	if took := time.Since(began); took < 5*oneWay { // three for the connection, one each way
		t.Errorf("it took %v, less than light does", took)
	}
}

func TestTheMiddleOfSamples(t *testing.T) {
	var samples []sample
	for _, n := range []int{9, 1, 5} {
		samples = append(samples, sample{weight{Wall: time.Duration(n), Memory: int64(10 - n)}, 0})
	}
	if m := median(samples); m.Wall != 5 || m.Memory != 5 {
		t.Errorf("%+v", m)
	}
}
