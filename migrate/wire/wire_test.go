package wire

import (
	"bufio"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/hex"
	"encoding/pem"
	"errors"
	"io"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"postcask/migrate"
)

// serve runs handle for one connection on loopback and gives a Config that leads there.
func serve(t *testing.T, handle func(net.Conn)) *Config {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	done := make(chan struct{})
	t.Cleanup(func() { listener.Close(); <-done })
	go func() {
		defer close(done)
		for {
			conn, err := listener.Accept()
			if err != nil {
				return
			}
			handle(conn)
			conn.Close()
		}
	}()
	addr := listener.Addr().(*net.TCPAddr)
	return &Config{Host: "127.0.0.1", Port: addr.Port, TLS: Plain, Timeout: time.Minute,
		Password: func(context.Context) (string, error) { return "secret", nil }}
}

// piped is serve without a network, for a bubble of synctest: time passes there only when nobody has anything to do.
func piped(t *testing.T, handle func(net.Conn)) *Config {
	t.Helper()
	var playing sync.WaitGroup
	t.Cleanup(playing.Wait)
	cfg := &Config{Host: "127.0.0.1", TLS: Plain, Timeout: 200 * time.Millisecond}
	cfg.Dial = func(context.Context, string, string) (net.Conn, error) {
		near, far := net.Pipe()
		playing.Go(func() {
			handle(far)
			far.Close()
		})
		return near, nil
	}
	return cfg
}

// inTheBubble plays test with a connection to handle, in a time of its own.
func inTheBubble(t *testing.T, handle func(net.Conn), test func(t *testing.T, conn *Conn)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		conn, err := Dial(t.Context(), piped(t, handle))
		if err != nil {
			t.Fatal(err)
		}
		defer conn.Close()
		test(t, conn)
	})
}

func silent(c net.Conn) { io.Copy(io.Discard, c) }

// dialSilent connects to a server that says nothing. The clock is short only from then on.
func dialSilent(t *testing.T) *Conn {
	t.Helper()
	conn, err := Dial(t.Context(), serve(t, silent))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	conn.socket.timeout = 200 * time.Millisecond
	return conn
}

func TestConnGivesUpOnASilentServer(t *testing.T) {
	givesUp(t, dialSilent(t))
	inTheBubble(t, silent, func(t *testing.T, conn *Conn) {
		began := time.Now()
		givesUp(t, conn)
		if took := time.Since(began); took != 200*time.Millisecond {
			t.Errorf("after %v", took)
		}
	})
}

func givesUp(t *testing.T, conn *Conn) {
	t.Helper()
	_, err := conn.Read(make([]byte, 1))
	if migrate.KindOf(err) != migrate.Unavailable {
		t.Fatal(err)
	}
	if _, again := conn.Write([]byte("x")); !errors.Is(again, err) {
		t.Errorf("the first error does not stay: %v", again)
	}
}

func TestConnWaitsWhileOctetsMoveOneWay(t *testing.T) {
	inTheBubble(t, func(c net.Conn) {
		for range 5 { // longer than the clock in all, never silent for as long
			c.Write([]byte("."))
			time.Sleep(199 * time.Millisecond)
		}
	}, func(t *testing.T, conn *Conn) {
		if got, err := io.ReadAll(conn); err != nil || len(got) != 5 {
			t.Fatalf("got %q, %v", got, err)
		}
	})
}

func TestConnGivesUpOnADrip(t *testing.T) {
	inTheBubble(t, func(c net.Conn) {
		var err error
		for err == nil { // each octet in time, for ever
			_, err = c.Write([]byte("."))
			time.Sleep(50 * time.Millisecond)
		}
	}, func(t *testing.T, conn *Conn) {
		got, err := io.ReadAll(conn)
		if migrate.KindOf(err) != migrate.Unavailable || len(got) >= sluggishOctets {
			t.Errorf("%d octets, %v", len(got), err)
		}
	})
}

func TestConnWaitsForEverWithoutACommand(t *testing.T) {
	inTheBubble(t, func(c net.Conn) {
		time.Sleep(24 * time.Hour)
		c.Write([]byte("late"))
	}, func(t *testing.T, conn *Conn) {
		conn.SetBusy(false)
		if _, err := io.ReadFull(conn, make([]byte, 4)); err != nil {
			t.Fatal(err)
		}
	})
}

func TestConnStartsTheClockUnderAWaitingRead(t *testing.T) {
	inTheBubble(t, silent, func(t *testing.T, conn *Conn) {
		conn.SetBusy(false)
		failed := make(chan error, 1)
		go func() { _, err := conn.Read(make([]byte, 1)); failed <- err }()
		synctest.Wait() // it waits
		conn.SetBusy(true)
		began := time.Now()
		if err := <-failed; migrate.KindOf(err) != migrate.Unavailable || time.Since(began) != 200*time.Millisecond {
			t.Fatalf("after %v: %v", time.Since(began), err)
		}
	})
}

func TestWatchClosesOnCancel(t *testing.T) {
	cfg := serve(t, silent)
	conn, err := Dial(t.Context(), cfg)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	defer conn.Watch(ctx)()
	time.AfterFunc(20*time.Millisecond, cancel) // before or while it is read from
	if _, err := conn.Read(make([]byte, 1)); !errors.Is(err, context.Canceled) {
		t.Fatal(err)
	}
}

// certificate makes a self-signed one for names, valid until end.
func certificate(t *testing.T, end time.Time, names ...string) tls.Certificate {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "test"},
		NotBefore: end.Add(-48 * time.Hour), NotAfter: end, BasicConstraintsValid: true, IsCA: true, KeyUsage: x509.KeyUsageCertSign | x509.KeyUsageDigitalSignature}
	for _, name := range names {
		if ip := net.ParseIP(name); ip != nil {
			template.IPAddresses = append(template.IPAddresses, ip)
		} else {
			template.DNSNames = append(template.DNSNames, name)
		}
	}
	raw, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	return tls.Certificate{Certificate: [][]byte{raw}, PrivateKey: key}
}

func TestCertificateChecks(t *testing.T) {
	soon, past := time.Now().Add(time.Hour), time.Now().Add(-time.Hour)
	good, expired, elsewhere := certificate(t, soon, "127.0.0.1"), certificate(t, past, "127.0.0.1"), certificate(t, soon, "mail.example.org")
	pin := func(c tls.Certificate) string {
		sum := sha256.Sum256(c.Certificate[0])
		return "sha256:" + hex.EncodeToString(sum[:])
	}
	ca := func(c tls.Certificate) string {
		file := filepath.Join(t.TempDir(), "ca.pem")
		if err := os.WriteFile(file, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: c.Certificate[0]}), 0o600); err != nil {
			t.Fatal(err)
		}
		return file
	}
	for _, test := range []struct {
		name    string
		served  tls.Certificate
		ca, pin string
		want    string // part of the error, or empty
	}{
		{"trusted authority", good, ca(good), "", ""},
		{"unknown authority", good, "", "", "unknown authority"},
		{"another authority", good, ca(elsewhere), "", "unknown authority"},
		{"expired", expired, ca(expired), "", "expired"},
		{"another name", elsewhere, ca(elsewhere), "", "127.0.0.1"},
		{"pinned, self-signed", good, "", pin(good), ""},
		{"pinned and trusted", good, ca(good), pin(good), ""},
		{"trusted, but not the pinned one", good, ca(good), pin(elsewhere), "not the pinned one"},
		{"pinned and expired", expired, "", pin(expired), "expired"},
		{"pinned, another name", elsewhere, "", pin(elsewhere), "127.0.0.1"},
	} {
		t.Run(test.name, func(t *testing.T) {
			cfg := serve(t, func(c net.Conn) {
				secure := tls.Server(c, &tls.Config{Certificates: []tls.Certificate{test.served}})
				if secure.Handshake() == nil {
					secure.Write([]byte("hello\r\n"))
				}
			})
			cfg.TLS, cfg.CAFile, cfg.Pin = Implicit, test.ca, test.pin
			conn, err := Dial(t.Context(), cfg)
			if test.want != "" {
				if err == nil || !strings.Contains(err.Error(), test.want) || migrate.KindOf(err) != migrate.Unsafe {
					t.Fatalf("got %v (kind %d), want %q", err, migrate.KindOf(err), test.want)
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			defer conn.Close()
			if line, err := bufio.NewReader(conn).ReadString('\n'); line != "hello\r\n" || !conn.Secure() {
				t.Fatalf("got %q, %v", line, err)
			}
		})
	}
}

func TestClean(t *testing.T) {
	for in, want := range map[string]string{
		"plain Ünï":        "plain Ünï",
		"a\x1b]0;x\a\r\nb": `a\x1b]0;x\x07\x0d\x0ab`,
		"\u202egnp.exe":    `\u202egnp.exe`,
		"bad \xff utf-8 �": `bad \xff utf-8 �`,
		"\u009b31m C1":     `\x9b31m C1`,
		"zero\u200bwidth":  `zero\u200bwidth`,
		"\x7f":             `\x7f`,
	} {
		if got := Clean(in); got != want {
			t.Errorf("Clean(%q) = %q, want %q", in, got, want)
		}
	}
	if got := Clean(strings.Repeat("x", 10000)); len(got) > 600 {
		t.Errorf("%d octets are left", len(got))
	}
}

func TestSASLChoice(t *testing.T) {
	cfg := func(auth, authzid string) *Config {
		return &Config{TLS: Implicit, Auth: auth, User: "user", Authzid: authzid,
			Password: func(context.Context) (string, error) { return "secret", nil }}
	}
	for _, test := range []struct {
		name    string
		cfg     *Config
		secure  bool
		offered string
		want    string
		refused bool
	}{
		{"strongest", cfg("auto", ""), true, "PLAIN LOGIN CRAM-MD5 SCRAM-SHA-256", ScramSHA256, false},
		{"plain over TLS before CRAM-MD5", cfg("", ""), true, "CRAM-MD5 PLAIN", PlainAuth, false},
		{"nothing known", cfg("auto", ""), true, "GSSAPI", "", false},
		{"as named", cfg("cram-md5", ""), true, "PLAIN CRAM-MD5", CramMD5, false},
		{"named but not offered", cfg("plain", ""), true, "LOGIN", "", true},
		{"acting as another", cfg("auto", "boss"), true, "LOGIN PLAIN", PlainAuth, false},
		{"acting as another by LOGIN", cfg("login", "boss"), true, "LOGIN", "", true},
		{"plain without TLS", cfg("plain", ""), false, "PLAIN", "", true},
	} {
		t.Run(test.name, func(t *testing.T) {
			name, _, err := test.cfg.SASL(t.Context(), test.secure, strings.Fields(test.offered))
			if name != test.want || (err != nil) != test.refused || err != nil && migrate.KindOf(err) != migrate.Auth {
				t.Errorf("got %q, %v", name, err)
			}
		})
	}
}

func TestCramMD5(t *testing.T) { // the example of RFC 2195, section 2
	client := &cramMD5{"tim", "tanstaaftanstaaf"}
	got, err := client.Next([]byte("<1896.697170952@postoffice.reston.mci.net>"))
	if string(got) != "tim b913a602c7eda7a495b4e6e7334d3890" || err != nil {
		t.Errorf("got %q, %v", got, err)
	}
}

func TestScramRefusesEndlessWork(t *testing.T) {
	client, err := newScram("user", "pencil", "")
	if err != nil {
		t.Fatal(err)
	}
	_, first, err := client.Start()
	if err != nil {
		t.Fatal(err)
	}
	nonce := string(first[strings.Index(string(first), "r=")+2:])
	began := time.Now()
	_, err = client.Next([]byte("r=" + nonce + "x,s=W22ZaJ0SNY7soEsUEjb6gQ==,i=2000000000"))
	if err == nil || time.Since(began) > 10*time.Second || Verified(client) {
		t.Errorf("after %v: %v", time.Since(began), err)
	}
}
