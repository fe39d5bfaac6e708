//go:build linux

package main

import (
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
)

// A room is where one program does one job: which accounts, and where it may write.
type room struct {
	host, port          string
	source, destination string // accounts, both on that server
	work                string // folder for configuration and state
	out                 string // folder for the mail of a backup
	archive             string // folder of the archive to restore
	postcask, self      string // programs
}

func (r *room) addr() string { return net.JoinHostPort(r.host, r.port) }

// A phase is what a program is asked for.
type phase string

const (
	full phase = "all"         // into an empty destination
	noop phase = "nothing new" // once more
	add  phase = "100 new"
)

// added is how many messages come in before each run of the phase add.
const added = 100

// A tool is a program with a way to do one kind of job.
type tool struct {
	name   string
	config func(r *room) string // goes to the file "config" of its work folder; may be nil
	args   func(r *room, p phase) []string
	env    func(r *room) []string // besides that of this process; may be nil
	format string                 // of postcask's archive
	once   bool                   // so slow that it is run once only
	phases []phase                // what it can be asked for; nil for all
}

// can tells whether the tool does that phase.
func (t *tool) can(p phase) bool { return t.phases == nil || slices.Contains(t.phases, p) }

// ours tells whether the tool is postcask, peer whether it is a program of others.
func (t *tool) ours() bool { return strings.HasPrefix(t.name, "postcask") }
func (t *tool) peer() bool { return !t.ours() && t.name != "limit" }

// of names what is told of a form of postcask, after that form where it is not the first.
func (t *tool) of(what string) string { return what + strings.TrimPrefix(t.name, "postcask") }

func (t *tool) command(r *room, p phase) *exec.Cmd {
	args := t.args(r, p)
	cmd := exec.Command(args[0], args[1:]...)
	cmd.Dir = r.work
	cmd.Env = append(os.Environ(), "HOME="+r.work, "XDG_CONFIG_HOME="+r.work, "XDG_DATA_HOME="+r.work, "XDG_STATE_HOME="+r.work)
	if t.env != nil {
		cmd.Env = append(cmd.Env, t.env(r)...)
	}
	return cmd
}

// prepare writes the configuration.
func (t *tool) prepare(r *room) error {
	if t.config == nil {
		return nil
	}
	return os.WriteFile(filepath.Join(r.work, "config"), []byte(t.config(r)), 0o600)
}

// limitTool is the limit of a kind of job.
func limitTool(work string, args func(r *room) []string, idle string) *tool {
	return &tool{name: "limit", args: func(r *room, p phase) []string {
		if p == noop {
			return []string{r.self, "limit", idle, r.addr(), r.source}
		}
		return append([]string{r.self, "limit", work, r.addr(), r.source}, args(r)...)
	}, phases: []phase{full, noop}}
}

var (
	limitOfFetch = limitTool("fetch", func(r *room) []string { return []string{r.out} }, "list")
	limitOfRetr  = limitTool("retr", func(*room) []string { return nil }, "uidl")
	limitOfCopy  = limitTool("copy", func(r *room) []string { return []string{r.addr(), r.destination} }, "list")
)

// postcaskTool runs postcask as somebody would who makes a point of hearing nothing.
func postcaskTool(name, format string, args func(r *room) []string) *tool {
	return &tool{name: name, format: format,
		args: func(r *room, _ phase) []string {
			return append(append([]string{r.postcask}, args(r)...), "--quiet", "--no-input")
		},
		env: func(*room) []string {
			return []string{"POSTCASK_PASSWORD=" + password, "POSTCASK_SOURCE_PASSWORD=" + password, "POSTCASK_DESTINATION_PASSWORD=" + password}
		}}
}

func url(scheme, user string, r *room) string {
	return scheme + "://" + user + "@" + r.addr() + "?tls=none"
}

func backupTool(name, scheme, format string) *tool {
	return postcaskTool(name, format, func(r *room) []string { return []string{"backup", url(scheme, r.source, r), r.out, "--format", format} })
}

func migrateTool(name string) *tool {
	return postcaskTool(name, "", func(r *room) []string {
		return []string{"migrate", url("imap", r.source, r), url("imap", r.destination, r)}
	})
}

var (
	postcaskBackup      = backupTool("postcask", "imap", "maildir")
	postcaskBackupMbox  = backupTool("postcask, mbox", "imap", "mbox")
	postcaskPOP         = backupTool("postcask", "pop3", "maildir")
	postcaskMigrate     = migrateTool("postcask")
	migrateBeside       = migrateTool("postcask, migrate")
	postcaskRestore     = restoreTool("postcask", "maildir")
	postcaskRestoreMbox = restoreTool("postcask, mbox", "mbox")
)

func restoreTool(name, format string) *tool {
	return postcaskTool(name, format, func(r *room) []string { return []string{"restore", r.archive, url("imap", r.destination, r)} })
}

// mbsync, as Debian has it, but that it does not compress: that costs the server far more than it saves here.
var (
	mbsyncBackup = &tool{name: "mbsync", args: mbsyncArgs, config: func(r *room) string {
		return mbsyncStore("far", r.source, r) +
			fmt.Sprintf("MaildirStore near\nPath %s/\nInbox %s/INBOX\nSubFolders Verbatim\n\n", r.out, r.out) + mbsyncChannel(r)
	}}
	mbsyncMigrate = &tool{name: "mbsync", args: mbsyncArgs, config: func(r *room) string {
		return mbsyncStore("far", r.source, r) + mbsyncStore("near", r.destination, r) + mbsyncChannel(r)
	}}
)

func mbsyncArgs(r *room, _ phase) []string {
	return []string{"mbsync", "-q", "-c", filepath.Join(r.work, "config"), "-a"}
}

func mbsyncStore(name, user string, r *room) string {
	return fmt.Sprintf("IMAPStore %s\nHost %s\nPort %s\nUser %s\nPass %s\nSSLType None\nAuthMechs LOGIN\nDisableExtension COMPRESS=DEFLATE\n\n",
		name, r.host, r.port, user, password)
}

func mbsyncChannel(r *room) string {
	return "Channel all\nFar :far:\nNear :near:\nPatterns *\nCreate Near\nSync Pull\nCopyArrivalDate yes\nSyncState " + filepath.Join(r.work, "state-") + "\n"
}

var interimap = &tool{name: "interimap",
	args: func(r *room, _ phase) []string {
		return []string{"interimap", "--config=" + filepath.Join(r.work, "config"), "--quiet"}
	},
	config: func(r *room) string {
		end := func(name, user string) string {
			return fmt.Sprintf("[%s]\ntype = imap\nhost = %s\nport = %s\nusername = %s\npassword = %s\nSTARTTLS = NO\ncompress = NO\n",
				name, r.host, r.port, user, password)
		}
		return "database = " + filepath.Join(r.work, "db") + "\n" + end("local", r.destination) + end("remote", r.source)
	}}

var mpop = &tool{name: "mpop",
	args: func(r *room, _ phase) []string {
		return []string{"mpop", "-q", "-C", filepath.Join(r.work, "config"), "all"}
	},
	config: func(r *room) string {
		return fmt.Sprintf("account all\nhost %s\nport %s\nuser %s\npassword %s\nauth user\ntls off\ndelivery maildir %s\nuidls_file %s\nkeep on\n",
			r.host, r.port, r.source, password, r.out, filepath.Join(r.work, "uidls"))
	}}

var imapsync = &tool{name: "imapsync", once: true, args: func(r *room, _ phase) []string {
	return []string{"imapsync", "--host1", r.host, "--port1", r.port, "--user1", r.source, "--password1", password, "--nossl1", "--notls1",
		"--host2", r.host, "--port2", r.port, "--user2", r.destination, "--password2", password, "--nossl2", "--notls2",
		"--nolog", "--noreleasecheck", "--tmpdir", r.work}
}}

// findPeers tells the version of each peer that is installed.
func findPeers() map[string]string {
	found := map[string]string{}
	for name, flag := range map[string]string{"mbsync": "--version", "interimap": "--version", "mpop": "--version", "imapsync": "--version"} {
		if _, err := exec.LookPath(name); err != nil {
			continue
		}
		version := "of unknown version"
		if out, err := exec.Command(name, flag).CombinedOutput(); err == nil {
			version, _, _ = strings.Cut(strings.TrimSpace(string(out)), "\n")
			version = strings.TrimPrefix(version, "/usr/bin/") // by which interimap calls itself
		}
		found[name] = version
	}
	return found
}
