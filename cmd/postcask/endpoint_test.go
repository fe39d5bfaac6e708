package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"postcask/migrate"
	"postcask/migrate/wire"
)

var testAccounts = map[string]*account{
	"work":   {name: "work", URL: "imaps://me@imap.example.org/Work?connections=2"},
	"drop":   {name: "drop", URL: "pop3s://me@pop.example.org"},
	"secret": {name: "secret", URL: "imaps://me:c4n4ry@imap.example.org"},
}

func testParser(allowPlaintext bool) *endpoints {
	return &endpoints{allowPlaintext: allowPlaintext, account: func(name string) (*account, error) {
		if acct := testAccounts[name]; acct != nil {
			return acct, nil
		}
		return nil, misuse("", "there is no account %q", name)
	}}
}

func TestEndpoint(t *testing.T) {
	ca := filepath.Join(t.TempDir(), "ca.pem")
	if err := os.WriteFile(ca, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	pin := strings.Repeat("ab", 32)
	imap := func(change func(*endpoint)) endpoint {
		e := endpoint{protocol: imapServer, scheme: "imaps", host: "imap.example.org", user: "me", port: 993, auth: "auto"}
		change(&e)
		return e
	}
	pop := func(change func(*endpoint)) endpoint {
		return imap(func(e *endpoint) { e.protocol, e.scheme, e.port = pop3Server, "pop3s", 995; change(e) })
	}
	for _, test := range []struct {
		text, name string
		want       endpoint
	}{
		{"imaps://me@imap.example.org", "imaps://me@imap.example.org:993", imap(func(*endpoint) {})},
		{"IMAPS://me@IMAP.Example.org/", "imaps://me@imap.example.org:993", imap(func(*endpoint) {})},
		{"imaps://me%40old.example@imap.example.org:1993", "imaps://me%40old.example@imap.example.org:1993",
			imap(func(e *endpoint) { e.user, e.port = "me@old.example", 1993 })},
		{"imaps://me@old.example@imap.example.org", "imaps://me%40old.example@imap.example.org:993", imap(func(e *endpoint) { e.user = "me@old.example" })},
		{"imap://me@imap.example.org", "imap://me@imap.example.org:143",
			imap(func(e *endpoint) { e.scheme, e.port, e.tls = "imap", 143, wire.StartTLS })},
		{"imap://me@imap.example.org?tls=implicit", "imap://me@imap.example.org:993", imap(func(e *endpoint) { e.scheme = "imap" })},
		{"imap://me@localhost?tls=none", "imap://me@localhost:143",
			imap(func(e *endpoint) { e.scheme, e.port, e.tls, e.host = "imap", 143, wire.Plain, "localhost" })},
		{"imap://me@127.8.0.1:1143?tls=none", "imap://me@127.8.0.1:1143",
			imap(func(e *endpoint) { e.scheme, e.port, e.tls, e.host = "imap", 1143, wire.Plain, "127.8.0.1" })},
		{"imaps://me@[2001:db8::1]:993", "imaps://me@[2001:db8::1]:993", imap(func(e *endpoint) { e.host = "2001:db8::1" })},
		{"imap://me@[::1]?tls=none", "imap://me@[::1]:143",
			imap(func(e *endpoint) { e.scheme, e.port, e.tls, e.host = "imap", 143, wire.Plain, "::1" })},
		{"imaps://me@imap.example.org/Work/a%2Fb%25/", "imaps://me@imap.example.org:993", imap(func(e *endpoint) { e.mailbox = migrate.NewPath("Work", "a/b%") })},
		{"imaps://me@imap.example.org/inbox/x", "imaps://me@imap.example.org:993", imap(func(e *endpoint) { e.mailbox = "INBOX/x" })},
		{"imaps://me@imap.example.org/a@b:c", "imaps://me@imap.example.org:993", imap(func(e *endpoint) { e.mailbox = "a@b:c" })},
		{"imaps://admin@imap.example.org?authzid=me&auth=plain", "imaps://me@imap.example.org:993",
			imap(func(e *endpoint) { e.user, e.authzid, e.auth = "admin", "me", "plain" })},
		{"imaps://me@imap.example.org?ca=" + ca + "&pin=sha256:" + pin + "&connections=7&compress=off", "imaps://me@imap.example.org:993",
			imap(func(e *endpoint) { e.ca, e.pin, e.connections, e.plain = ca, "sha256:"+pin, 7, true })},
		{"pop3s://me@imap.example.org?auth=apop", "pop3s://me@imap.example.org:995", pop(func(e *endpoint) { e.auth = "apop" })},
		{"pop3://me@imap.example.org", "pop3://me@imap.example.org:110", pop(func(e *endpoint) { e.scheme, e.port, e.tls = "pop3", 110, wire.StartTLS })},
		{"work:", "imaps://me@imap.example.org:993", imap(func(e *endpoint) { e.mailbox, e.connections, e.account = "Work", 2, testAccounts["work"] })},
		{"work:Lists/Go", "imaps://me@imap.example.org:993", imap(func(e *endpoint) { e.mailbox, e.connections, e.account = "Lists/Go", 2, testAccounts["work"] })},
		{"drop:", "pop3s://me@pop.example.org:995", pop(func(e *endpoint) { e.host, e.account = "pop.example.org", testAccounts["drop"] })},
		{"mail", "mail", endpoint{protocol: archiveDir, dir: "mail"}},
		{`C:\mail`, `C:\mail`, endpoint{protocol: archiveDir, dir: `C:\mail`}},
		{"/srv/mail/", "/srv/mail", endpoint{protocol: archiveDir, dir: "/srv/mail"}},
		{"./me@old.example", "me@old.example", endpoint{protocol: archiveDir, dir: "me@old.example"}},
		{"a/b:c", "a/b:c", endpoint{protocol: archiveDir, dir: "a/b:c"}},
	} {
		got, err := testParser(false).parse(test.text)
		if err != nil {
			t.Errorf("%s: %v", test.text, err)
			continue
		}
		if diff := cmp.Diff(test.want, *got, cmp.AllowUnexported(endpoint{}, account{})); diff != "" {
			t.Errorf("%s (-want +got):\n%s", test.text, diff)
		}
		if got.String() != test.name {
			t.Errorf("%s: called %s, want %s", test.text, got, test.name)
		}
	}
}

// Nothing that is refused may be repeated with the password in it.
func TestEndpointRefused(t *testing.T) {
	for _, test := range []struct{ text, says string }{
		{"", "is empty"},
		{"imaps://imap.example.org", "no user"},
		{"imaps://@imap.example.org", "no user"},
		{"imaps://me@", "cannot be read"},
		{"imaps://me@:993", "cannot be read"},
		{"imaps://me:c4n4ry@imap.example.org", "password in the URL"},
		{"imaps://me:@imap.example.org", "password in the URL"},
		{"imaps://me:c4n/4ry@imap.example.org", "password in the URL"},
		{"imaps://me:c4n?4ry@imap.example.org", "password in the URL"},
		{"imaps://me:c4n#4ry@imap.example.org", "password in the URL"},
		{"imaps://me:c4n@4ry@imap.example.org", "password in the URL"},
		{"imaps://me:c4n4ry%zz@imap.example.org", "password in the URL"},
		{"secret:", "password in the URL"},
		{"imaps://me%zz@imap.example.org", "cannot be read"},
		{"imaps://me@imap.example.org:0", "port"},
		{"imaps://me@imap.example.org:65536", "port"},
		{"imaps://me@imap.example.org:x", "cannot be read"},
		{"imaps://me@imap.example.org#Work", "a # in the URL"},
		{"imaps://me@imap.example.org/a//b", "mailbox cannot be read"},
		{"imaps://me%0d%0aX@imap.example.org", "cannot be read"},
		{"imaps://me@imap.example.org?foo=1", `parameter "foo" is not known`},
		{"imaps://me@imap.example.org?password=c4n4ry", `parameter "password" is not known`},
		{"imaps://me@imap.example.org?auth=plain&auth=login", "given twice"},
		{"imaps://me@imap.example.org?tls=maybe", "none of implicit, starttls, none"},
		{"imaps://me@imap.example.org?tls=none", "implicit TLS"},
		{"imaps://me@imap.example.org?tls=starttls", "implicit TLS"},
		{"imap://me@imap.example.org?tls=none", "without TLS"},
		{"imap://me@localhost.example.org?tls=none", "without TLS"},
		{"imaps://me@imap.example.org?auth=kerberos", "none of auto"},
		{"imaps://me@imap.example.org?auth=apop", "belongs to POP3"},
		{"imaps://me@imap.example.org?auth=xoauth2", "not in this version"},
		{"imaps://me@imap.example.org?authzid=", "names no user"},
		{"imaps://me@imap.example.org?ca=/nowhere.pem", "ca:"},
		{"imaps://me@imap.example.org?pin=md5:00", "pin"},
		{"imaps://me@imap.example.org?connections=0", "connections"},
		{"imaps://me@imap.example.org?connections=1000", "connections"},
		{"imaps://me@imap.example.org?compress=yes", "neither auto nor off"},
		{"pop3s://me@pop.example.org/INBOX", "no mailboxes"},
		{"http://me@imap.example.org", `"http://" is not a kind of server`},
		{"drop:INBOX", "no mailboxes"},
		{"work:a//b", "a part of it is empty"},
		{"nobody:", `no account "nobody"`},
		{"me@old.example", "is an address"},
		{"maildir:Mail", "foreign mail"},
		{"mbox:Mail", "foreign mail"},
		{"eml:Mail", "foreign mail"},
	} {
		got, err := testParser(false).parse(test.text)
		if err == nil {
			t.Errorf("%s: taken, as %v", test.text, got)
			continue
		}
		if migrate.KindOf(err) != migrate.Misuse || !strings.Contains(err.Error(), test.says) {
			t.Errorf("%s: %v, kind %v, want misuse and %q", test.text, err, migrate.KindOf(err), test.says)
		}
		for _, part := range []string{"c4n", "4ry"} {
			if strings.Contains(err.Error()+migrate.HintOf(err), part) {
				t.Errorf("%s: the error repeats the password: %v", test.text, err)
			}
		}
	}
}

func TestAllowPlaintext(t *testing.T) {
	if _, err := testParser(true).parse("imap://me@imap.example.org?tls=none"); err != nil {
		t.Error(err)
	}
}

func TestSameAccount(t *testing.T) {
	for _, test := range []struct {
		a, b string
		want bool
	}{
		{"imaps://me@imap.example.org", "imaps://me@imap.example.org:993/Old", true},
		{"imaps://me@imap.example.org", "imap://Me@IMAP.example.org", true},
		{"pop3s://me@mail.example.org", "imaps://me@mail.example.org", true},
		{"imaps://admin@imap.example.org?authzid=me", "imaps://me@imap.example.org", true},
		{"imaps://me@imap.example.org", "imaps://you@imap.example.org", false},
		{"imaps://me@imap.example.org", "imaps://me@imap.example.net", false},
		{"imaps://me@127.0.0.1:1993", "imaps://me@127.0.0.1:2993", false},
		{"mail", "mail", false},
	} {
		a, err := testParser(false).parse(test.a)
		if err != nil {
			t.Fatal(err)
		}
		b, err := testParser(false).parse(test.b)
		if err != nil {
			t.Fatal(err)
		}
		if a.sameAccount(b) != test.want || b.sameAccount(a) != test.want {
			t.Errorf("%s and %s: want same account %v", test.a, test.b, test.want)
		}
	}
}

func FuzzEndpoint(f *testing.F) {
	for _, seed := range []string{"imaps://me@imap.example.org/a%2Fb?tls=implicit", "work:x", "mail", "imap://me:pw@[::1]:1/x#y", "a@b.example"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, text string) {
		e, err := testParser(true).parse(text)
		if err != nil {
			return
		}
		if !e.isServer() {
			return
		}
		if e.host == "" || e.user == "" || e.port < 1 || e.port > 65535 {
			t.Fatalf("%q gives %+v", text, e)
		}
		again, err := testParser(true).parse(e.String())
		if err != nil || again.String() != e.String() {
			t.Fatalf("%q is called %s, which gives %v, %v", text, e, again, err)
		}
	})
}
