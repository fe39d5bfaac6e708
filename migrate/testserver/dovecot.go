package testserver

import (
	"encoding/base64"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// DovecotOptions tell how a Dovecot is to behave. The zero value is a server with "/" between the parts of a mailbox
// name, no prefix, no special uses, no quota and every password mechanism.
type DovecotOptions struct {
	Prefix     string            // of the personal namespace, such as "INBOX."
	Separator  string            // default "/"
	Location   string            // mail_location; default Maildir with LAYOUT=INDEX, which takes any mailbox name
	SpecialUse map[string]string // mailboxes made for every user, name to attribute: "Sent Items" to `\Sent`
	Quota      string            // a quota_rule such as "storage=100K" or "messages=5"
	Mechanisms []string          // default plain, login, cram-md5, scram-sha-1, scram-sha-256, apop
	// MasterUser may log in as anyone: PLAIN with an authzid, or "user*master" as the name.
	MasterUser, MasterPassword string
	Without                    []string // capabilities of IMAP that are not to be announced after log-in
	UIDLFormat                 string   // pop3_uidl_format, default Dovecot's own
	Extra                      string   // lines for the end of the configuration
}

// dovecotCapabilities is what Dovecot 2.3 announces after log-in with its default configuration.
const dovecotCapabilities = "IMAP4rev1 SASL-IR LOGIN-REFERRALS ID ENABLE IDLE SORT SORT=DISPLAY THREAD=REFERENCES " +
	"THREAD=REFS THREAD=ORDEREDSUBJECT MULTIAPPEND URL-PARTIAL CATENATE UNSELECT CHILDREN NAMESPACE UIDPLUS " +
	"LIST-EXTENDED I18NLEVEL=1 CONDSTORE QRESYNC ESEARCH ESORT SEARCHRES WITHIN CONTEXT=SEARCH LIST-STATUS BINARY " +
	"MOVE SNIPPET=FUZZY PREVIEW=FUZZY PREVIEW STATUS=SIZE SAVEDATE LITERAL+ NOTIFY"

// Numbers of Debian's user and group "mail", which own the mail of Dovecot and Courier.
const mailUID, mailGID = 8, 8

// StartDovecot runs a Dovecot until the test ends.
func StartDovecot(tb testing.TB, opts ...DovecotOptions) *Server {
	tb.Helper()
	return start(tb, func(dir string) (*Server, error) { return RunDovecot(dir, only(opts)) })
}

// RunDovecot runs a Dovecot with everything it has below dir, an absolute path. The caller stops it.
func RunDovecot(dir string, opts DovecotOptions) (*Server, error) {
	if err := installed("dovecot", "dovecot", "doveadm", "/usr/lib/dovecot/imap", "/usr/lib/dovecot/pop3"); err != nil {
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
		Name: "dovecot", IMAPAddr: p.addr(0), IMAPSAddr: p.addr(1), POP3Addr: p.addr(2), POP3SAddr: p.addr(3),
		dir: dir, ports: p,
	}
	conf := filepath.Join(dir, "dovecot.conf")
	users := filepath.Join(dir, "users")
	s.addUser = func(name, password string) error { return appendLine(users, dovecotUser(name, password)) }
	s.doveadm = func(args ...string) ([]byte, error) {
		out, err := exec.Command("doveadm", append([]string{"-c", conf}, args...)...).CombinedOutput()
		if err != nil {
			return out, fmt.Errorf("doveadm %s: %w: %s", strings.Join(args, " "), err, out)
		}
		return out, nil
	}
	err = firstError(
		s.trust(tls.ca),
		os.WriteFile(conf, []byte(opts.configuration(dir, tls, p)), 0o644),
		os.WriteFile(users, nil, 0o644),
		os.WriteFile(filepath.Join(dir, "masters"), []byte(dovecotUser(opts.MasterUser, opts.MasterPassword)+"\n"), 0o644),
	)
	if err == nil {
		s.process, err = startProcess(dir, supervised("dovecot", "-F", "-c", conf), false)
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

// dovecotUser is a line of a passwd-file; base64 lets a password hold any octet.
func dovecotUser(name, password string) string {
	return name + ":{PLAIN.b64}" + base64.StdEncoding.EncodeToString([]byte(password)) + "::::::"
}

func (o DovecotOptions) configuration(dir string, tls credentials, p ports) string {
	var b strings.Builder
	put := func(format string, args ...any) { fmt.Fprintf(&b, format+"\n", args...) }
	mechanisms := o.Mechanisms
	if mechanisms == nil {
		mechanisms = []string{"plain", "login", "cram-md5", "scram-sha-1", "scram-sha-256", "apop"}
	}
	put("base_dir = %s/run\nstate_dir = %s/state\nlog_path = %s/log\nlisten = 127.0.0.1", dir, dir, dir)
	put("protocols = imap pop3\nssl = yes\nssl_cert = <%s\nssl_key = <%s\ndisable_plaintext_auth = no", tls.cert, tls.key)
	put("auth_mechanisms = %s", strings.Join(mechanisms, " "))
	put("first_valid_uid = %d\nfirst_valid_gid = %d\nmail_home = %s/mail/%%u", mailUID, mailGID, dir)
	put("mail_location = %s", or(o.Location, "maildir:~/Maildir:LAYOUT=INDEX"))
	// What a power cut would lose is of no interest here, the speed of tests is.
	put("mail_fsync = never\nmail_max_userip_connections = 1000\nauth_failure_delay = 0")
	if o.MasterUser != "" {
		put("auth_master_user_separator = *\npassdb {\n driver = passwd-file\n args = %s/masters\n master = yes\n result_success = continue\n}", dir)
	}
	put("passdb {\n driver = passwd-file\n args = %s/users\n}", dir)
	put("userdb {\n driver = static\n args = uid=%d gid=%d\n}", mailUID, mailGID)
	put("namespace inbox {\n inbox = yes\n separator = %s\n prefix = %s", or(o.Separator, "/"), o.Prefix)
	for name, use := range o.SpecialUse {
		put(" mailbox %q {\n  auto = create\n  special_use = %s\n }", name, use)
	}
	put("}")
	if o.Quota != "" {
		put("mail_plugins = quota\nprotocol imap {\n mail_plugins = quota imap_quota\n}")
		put("plugin {\n quota = count:User quota\n quota_vsizes = yes\n quota_grace = 0\n quota_rule = *:%s\n}", o.Quota)
	}
	if o.Without != nil {
		all := dovecotCapabilities
		if len(o.SpecialUse) > 0 {
			all += " SPECIAL-USE"
		}
		if o.Quota != "" {
			all += " QUOTA"
		}
		keep := slices.DeleteFunc(strings.Fields(all), func(c string) bool { return slices.Contains(o.Without, c) })
		put("imap_capability = %s", strings.Join(keep, " "))
	}
	if o.UIDLFormat != "" {
		put("pop3_uidl_format = %s", o.UIDLFormat)
	}
	for i, listener := range []string{"imap", "imaps", "pop3", "pop3s"} {
		protocol := strings.TrimSuffix(listener, "s")
		put("service %s-login {\n inet_listener %s {\n  port = %d\n  ssl = %s\n }\n service_count = 0\n}",
			protocol, listener, p.numbers[i], map[bool]string{false: "no", true: "yes"}[listener != protocol])
	}
	put("service imap {\n process_limit = 1000\n service_count = 100\n}\nservice pop3 {\n process_limit = 1000\n service_count = 100\n}")
	put("service auth {\n client_limit = 5000\n}")
	put("service stats {\n unix_listener stats-writer {\n  mode = 0666\n }\n}")
	put("%s", o.Extra)
	return b.String()
}
