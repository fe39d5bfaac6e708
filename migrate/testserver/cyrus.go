package testserver

import (
	"fmt"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
)

// CyrusOptions tell how a Cyrus is to behave. The zero value has "/" between the parts of a mailbox name and the
// user's mailboxes beside INBOX. Cyrus takes the part of a user name after "@" for a realm: use names without it.
type CyrusOptions struct {
	DotSeparator bool   // "." between the parts (unixhierarchysep off)
	BelowInbox   bool   // the user's mailboxes are below INBOX, as in "INBOX.Sent" (altnamespace off)
	Extra        string // lines for the end of imapd.conf
}

// StartCyrus runs a Cyrus until the test ends.
func StartCyrus(tb testing.TB, opts ...CyrusOptions) *Server {
	tb.Helper()
	return start(tb, func(dir string) (*Server, error) { return RunCyrus(dir, only(opts)) })
}

// RunCyrus runs a Cyrus with everything it has below dir, an absolute path. The caller stops it.
func RunCyrus(dir string, opts CyrusOptions) (*Server, error) {
	servers, err := serversDir()
	if err != nil {
		return nil, err
	}
	bin := filepath.Join(servers, "cyrus", "usr", "lib", "cyrus", "bin")
	if err := installed("cyrus", "/usr/sbin/cyrmaster", "/usr/sbin/cyrus", "saslpasswd2", bin+"/imapd", bin+"/pop3d"); err != nil {
		return nil, err
	}
	uid, gid, err := lookupUser("cyrus", "mail")
	if err != nil {
		return nil, err
	}
	tls, err := prepare(dir, uid, gid)
	if err != nil {
		return nil, err
	}
	for _, sub := range []string{"lib", "socket", "proc", "tmp"} {
		if err := firstError(os.MkdirAll(filepath.Join(dir, sub), 0o755), os.Chown(filepath.Join(dir, sub), uid, gid)); err != nil {
			return nil, err
		}
	}
	p, err := reservePorts(4)
	if err != nil {
		return nil, err
	}
	s := &Server{
		Name: "cyrus", IMAPAddr: p.addr(0), IMAPSAddr: p.addr(1), POP3Addr: p.addr(2), POP3SAddr: p.addr(3),
		dir: dir, ports: p,
	}
	attr := asUser(uint32(uid), uint32(gid))
	s.addUser = func(name, password string) error {
		cmd := exec.Command("saslpasswd2", "-f", filepath.Join(dir, "lib", "sasldb2"), "-p", "-c", "-u", "localhost", name)
		cmd.Stdin, cmd.SysProcAttr = strings.NewReader(password), attr
		if out, err := cmd.CombinedOutput(); err != nil {
			return fmt.Errorf("saslpasswd2: %w: %s", err, out)
		}
		return nil
	}
	// The programs may lie below a home folder that is closed to the user cyrus.
	for _, program := range []string{"imapd", "pop3d"} {
		if err := copyFile(filepath.Join(dir, program), filepath.Join(bin, program)); err != nil {
			p.release()
			return nil, err
		}
	}
	imapd, services := filepath.Join(dir, "imapd.conf"), filepath.Join(dir, "cyrus.conf")
	err = firstError(
		s.trust(tls.ca),
		os.WriteFile(imapd, []byte(opts.configuration(dir, tls)), 0o644),
		os.WriteFile(services, []byte(cyrusServices(dir, imapd, p)), 0o644),
		s.addUser("cyrus", Password),
	)
	if err == nil {
		cmd := supervised("/usr/sbin/cyrmaster", "-C", imapd, "-M", services, "-p", filepath.Join(dir, "lib", "master.pid"))
		cmd.SysProcAttr = asUser(uint32(uid), uint32(gid))
		s.process, err = startProcess(dir, cmd, false)
	}
	if err != nil {
		p.release()
		return nil, err
	}
	if err := s.launch(); err != nil {
		return nil, err
	}
	return s, nil
}

func (o CyrusOptions) configuration(dir string, tls credentials) string {
	yes := map[bool]string{false: "no", true: "yes"}
	var b strings.Builder
	put := func(format string, args ...any) { fmt.Fprintf(&b, format+"\n", args...) }
	put("configdirectory: %s/lib\nproc_path: %s/proc\ntemp_path: %s/tmp", dir, dir, dir)
	put("defaultpartition: default\npartition-default: %s/mail\nservername: localhost\nadmins: cyrus", dir)
	put("unixhierarchysep: %s\naltnamespace: %s", yes[!o.DotSeparator], yes[!o.BelowInbox])
	// A user's INBOX is made at the first log-in, without a quota.
	put("autocreate_quota: 0\ndelete_mode: immediate\nskiplist_unsafe: yes\nimapidlepoll: 1")
	put("allowplaintext: yes\nsasl_mech_list: PLAIN LOGIN CRAM-MD5 SCRAM-SHA-256\nsasl_pwcheck_method: auxprop")
	put("sasl_auxprop_plugin: sasldb\nsasl_sasldb_path: %s/lib/sasldb2", dir)
	put("popminpoll: 0\nmaxlogins_per_user: 0\nmaxlogins_per_host: 0")
	put("idlesocket: %s/socket/idle\nlmtpsocket: %s/socket/lmtp\nnotifysocket: %s/socket/notify", dir, dir, dir)
	put("tls_server_cert: %s\ntls_server_key: %s", tls.cert, tls.key)
	put("%s", o.Extra)
	return b.String()
}

// cyrusServices is the master's configuration: which program serves which port.
func cyrusServices(dir, imapd string, p ports) string {
	var b strings.Builder
	fmt.Fprintf(&b, "START {\n recover cmd=\"/usr/sbin/cyrus ctl_cyrusdb -C %s -r\"\n}\nSERVICES {\n", imapd)
	for i, service := range []string{"imap", "imaps", "pop3", "pop3s"} {
		program, implicit := strings.TrimSuffix(service, "s"), ""
		if program != service {
			implicit = " -s"
		}
		fmt.Fprintf(&b, " %s cmd=\"%s/%sd -C %s%s\" listen=\"%s\" proto=\"tcp4\" prefork=0 maxchild=200\n",
			service, dir, program, imapd, implicit, p.addr(i))
	}
	b.WriteString("}\nEVENTS {\n}\n")
	return b.String()
}

// lookupUser gives the numbers of a user and a group of the system.
func lookupUser(name, group string) (uid, gid int, err error) {
	u, err := user.Lookup(name)
	if err != nil {
		return 0, 0, fmt.Errorf("%w; run .ci/install-servers", err)
	}
	g, err := user.LookupGroup(group)
	if err != nil {
		return 0, 0, err
	}
	if uid, err = strconv.Atoi(u.Uid); err != nil {
		return 0, 0, err
	}
	gid, err = strconv.Atoi(g.Gid)
	return uid, gid, err
}
