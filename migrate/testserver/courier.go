package testserver

import (
	"crypto/sha256"
	"encoding/base64"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
)

// CourierOptions tell how a Courier is to behave. Its mailboxes are always below INBOX, with "." between the parts.
type CourierOptions struct {
	Without []string // capabilities of IMAP that are not to be announced
	Extra   string   // lines for the end of the shell settings that the programs get as their environment
}

const courierCapabilities = "IMAP4rev1 UIDPLUS CHILDREN NAMESPACE THREAD=ORDEREDSUBJECT THREAD=REFERENCES SORT QUOTA IDLE"

// StartCourier runs a Courier until the test ends.
func StartCourier(tb testing.TB, opts ...CourierOptions) *Server {
	tb.Helper()
	return start(tb, func(dir string) (*Server, error) { return RunCourier(dir, only(opts)) })
}

// RunCourier runs a Courier with everything it has below dir, an absolute path. The caller stops it.
//
// Courier has /etc/courier and /run/courier compiled in. It runs in a mount namespace where those are folders below
// dir, and in a process namespace that ends with its first process.
func RunCourier(dir string, opts CourierOptions) (*Server, error) {
	servers, err := serversDir()
	if err != nil {
		return nil, err
	}
	root := filepath.Join(servers, "courier")
	if err := installed("courier", "/usr/sbin/couriertcpd", "couriertls", "makeuserdb", "nsenter", root+"/usr/bin/imapd",
		root+"/usr/lib/courier/courier/courierpop3d"); err != nil {
		return nil, err
	}
	tls, err := prepare(dir, mailUID, mailGID)
	if err != nil {
		return nil, err
	}
	p, err := reservePorts(4)
	if err != nil {
		return nil, err
	}
	s := &Server{
		Name: "courier", IMAPAddr: p.addr(0), IMAPSAddr: p.addr(1), POP3Addr: p.addr(2), POP3SAddr: p.addr(3),
		dir: dir, ports: p,
	}
	s.addUser = s.addCourierUser
	err = firstError(
		s.trust(tls.ca),
		os.MkdirAll(filepath.Join(dir, "etc", "shared"), 0o755),
		os.MkdirAll(filepath.Join(dir, "etc", "userdb"), 0o700),
		os.MkdirAll(filepath.Join(dir, "run", "authdaemon"), 0o755),
		os.MkdirAll(filepath.Join(dir, "opt"), 0o755),
		// One that is there already is taken as it stands; only in our namespace is something else seen in its place.
		os.MkdirAll("/run/courier", 0o755),
		os.WriteFile(filepath.Join(dir, "etc", "userdb", "users"), nil, 0o600),
		os.WriteFile(filepath.Join(dir, "etc", "authdaemonrc"), []byte(courierAuth), 0o644),
		os.WriteFile(filepath.Join(dir, "start"), []byte(opts.script(dir, root, tls, p)), 0o755),
	)
	if err == nil {
		s.process, err = startProcess(dir, exec.Command("/bin/bash", filepath.Join(dir, "start")), true)
	}
	if err != nil {
		p.release()
		return nil, fmt.Errorf("courier: %w (its namespaces need CAP_SYS_ADMIN)", err)
	}
	if err := s.launch(); err != nil {
		return nil, err
	}
	return s, nil
}

const courierAuth = `authmodulelist="authuserdb"
authmodulelistorig="authuserdb"
daemons=3
authdaemonvar=/run/courier/authdaemon
DEBUG_LOGIN=0
DEFAULTOPTIONS=""
LOGGEROPTS=""
`

// script is what the namespace's first process runs: it readies the mounts, starts the daemons and waits for them.
func (o CourierOptions) script(dir, root string, tls credentials, p ports) string {
	capabilities := courierCapabilities
	for _, c := range o.Without {
		capabilities = strings.TrimSpace(strings.ReplaceAll(" "+capabilities+" ", " "+c+" ", " "))
	}
	var b strings.Builder
	put := func(format string, args ...any) { fmt.Fprintf(&b, format+"\n", args...) }
	put("set -e\nmount --make-rprivate /\nmount --bind %s/etc /etc/courier\nmount --bind %s/run /run/courier\nmakeuserdb", dir, dir)
	// The programs may lie below a home folder that is closed to the users they drop to.
	put("mount --bind %s %s/opt", root, dir)
	root = dir + "/opt"
	put("set -a\nMAILDIRPATH=Maildir\nCOURIERTLS=/usr/bin/couriertls\nTLS_CERTFILE=%s\nTLS_VERIFYPEER=NONE\nTLS_PROTOCOL=TLSv1.2+", tls.both)
	put("AUTHMODULES=authdaemon\nIMAP_STARTTLS=YES\nIMAP_TLS_REQUIRED=0\nPOP3_STARTTLS=YES\nPOP3_TLS_REQUIRED=0\nPOP3AUTH='PLAIN LOGIN'\nPOP3AUTH_TLS='PLAIN LOGIN'")
	put("IMAP_CAPABILITY='%s'\nIMAP_CAPABILITY_TLS='%s AUTH=PLAIN'\nIMAP_KEYWORDS=1\nIMAP_ACL=1\nIMAP_MAILBOX_SANITY_CHECK=1", capabilities, capabilities)
	put("IMAP_IDLE_TIMEOUT=1\nIMAP_USELOCKS=1\nIMAP_UMASK=022\nIMAP_ULIMITD=1048576\nIMAP_TRASHFOLDERNAME=Trash\nIMAP_EMPTYTRASH=\n" +
		"IMAP_SHAREDINDEXFILE=/etc/courier/shared/index\nMIME_UNICODE_MESSAGE_TYPE=message/global")
	put("%s\nset +a", o.Extra)
	put("/usr/lib/courier/courier-authlib/authdaemond &")
	lib := root + "/usr/lib/courier/courier/"
	for i, service := range []struct{ protocol, login, program string }{
		{"IMAP", lib + "imaplogin", root + "/usr/bin/imapd"},
		{"POP3", lib + "courierpop3login", lib + "courierpop3d"},
	} {
		tcpd := "/usr/sbin/couriertcpd -address=127.0.0.1 -maxprocs=500 -maxperip=500 -nodnslookup -noidentlookup"
		put("PROTOCOL=%s %s %d %s %s Maildir &", service.protocol, tcpd, p.numbers[2*i], service.login, service.program)
		put("PROTOCOL=%s %s %d /usr/bin/couriertls -server -tcpd %s %s Maildir &", service.protocol, tcpd, p.numbers[2*i+1], service.login, service.program)
	}
	put("wait -n")
	return b.String()
}

// addCourierUser writes the user into the text of the user database, and has it compiled anew in the namespace.
func (s *Server) addCourierUser(name, password string) error {
	home := filepath.Join(s.dir, "mail", name)
	for _, folder := range []string{"", "Maildir", "Maildir/cur", "Maildir/new", "Maildir/tmp"} {
		path := filepath.Join(home, folder)
		if err := firstError(os.MkdirAll(path, 0o700), os.Chown(path, mailUID, mailGID)); err != nil {
			return err
		}
	}
	digest := sha256.Sum256([]byte(password))
	line := fmt.Sprintf("%s\tuid=%d|gid=%d|home=%s|systempw={SHA256}%s", name, mailUID, mailGID, home,
		base64.StdEncoding.EncodeToString(digest[:]))
	if err := appendLine(filepath.Join(s.dir, "etc", "userdb", "users"), line); err != nil {
		return err
	}
	cmd := exec.Command("nsenter", "--mount", "--target", strconv.Itoa(s.process.cmd.Process.Pid), "makeuserdb")
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("makeuserdb: %w: %s", err, out)
	}
	return nil
}
