package imap

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"time"

	"github.com/emersion/go-imap/v2/imapclient"

	"postcask/migrate"
	"postcask/migrate/wire"
)

const logoutPatience = 3 * time.Second

// A Session is one connection, logged in. It is a migrate.Source, migrate.Sink, migrate.Statuser and migrate.Flagger;
// one goroutine uses it at a time. An error of the connection or of the protocol ends it: every later call returns
// that first error, of kind Unavailable where another connection may help. A refusal (NO, BAD) only concerns what was
// asked for.
type Session struct {
	acct     *Account
	conn     *wire.Conn
	busy     *busyReader
	in       *reader
	readOnly bool
	deflated bool              // or refused: compression was asked for
	enabled  bool              // or refused: QRESYNC was asked for
	vanishes bool              // VANISHED stands for EXPUNGE
	recalls  bool              // the server may know what is gone
	caps     map[string]string // capabilities in capitals; for NAME=VALUE also NAME, with the value
	prefix   string            // of tags
	serial   int

	client *imapclient.Client
	bridge *bridge

	view   *view        // the selected mailbox, or nil
	left   *fetchRun    // a Fetch that its caller has left before the end
	coming []*fetchRun  // asked for ahead
	shut   migrate.Path // a mailbox that could not be opened: its messages are appended unseen
	batch  batch

	company int          // messages of one APPEND at most: fewer the more of them were refused
	alone   int          // so many that come next go alone
	remade  migrate.Path // made again since APPEND found it missing

	order    []migrate.Path         // of mailboxes, as they were listed in this session
	told     map[string]told        // by raw name: states that nobody has asked for yet
	oddNames bool                   // STATUS names mailboxes otherwise than LIST
	counts   map[migrate.Path]int64 // of messages, as Status told; given up when listed
	foretold map[migrate.Path]*question
}

func newSession(acct *Account, conn *wire.Conn, readOnly bool) *Session {
	busy := &busyReader{conn: conn}
	// Tags nobody can guess: an answer that was made up beforehand does not fit.
	return &Session{acct: acct, conn: conn, busy: busy, in: newReader(busy), readOnly: readOnly, prefix: rand.Text()[:6],
		company: companyLimit, counts: map[migrate.Path]int64{}}
}

// Close says LOGOUT (RFC 9051, section 6.1.3) if the connection is in order, and ends it: all that counts was answered
// before, so the server's farewell is not worth a round trip. What was appended and not committed is lost.
func (s *Session) Close() error {
	if s.conn.Err() == nil && s.left == nil && len(s.coming) == 0 && s.batch.ear == nil {
		ctx, cancel := context.WithTimeout(context.Background(), logoutPatience)
		stop := s.conn.Watch(ctx)
		tag := s.newTag()
		s.conn.Trace("C", tag+" LOGOUT")
		s.send(tag + " LOGOUT\r\n") // whatever comes of it, we leave
		stop()
		cancel()
	}
	s.conn.Close()
	s.batch.abandon()
	if s.client != nil {
		s.bridge.Close()
		s.client.Close() // waits for its goroutine; its error is that of the connection we have just closed
	}
	return nil
}

func (s *Session) newTag() string {
	s.serial++
	return fmt.Sprintf("%s%d", s.prefix, s.serial)
}

// tagAfter is what newTag will give after so many calls.
func (s *Session) tagAfter(calls int) string { return fmt.Sprintf("%s%d", s.prefix, s.serial+calls+1) }

// send writes to the connection.
func (s *Session) send(text string) error {
	s.in.asked()
	if _, err := io.WriteString(s.conn, text); err != nil {
		return s.broken(err)
	}
	return nil
}

// read reads the head of the next response.
func (s *Session) read() (*response, error) {
	resp, err := s.in.response()
	if err != nil {
		return nil, s.broken(err)
	}
	switch {
	case resp.word == "+", !s.conn.Traced():
	case s.client == nil: // while we log in, a server may say back what it was told
		s.conn.Trace("S", resp.tag+" "+resp.word)
	default:
		s.conn.Trace("S", s.in.shown(string(s.in.line)))
	}
	return resp, nil
}

// broken ends the session because of err and gives the error that stays.
func (s *Session) broken(err error) error {
	if known := s.conn.Err(); known != nil {
		return known
	}
	s.conn.Fail(err)
	return s.conn.Err()
}

// ready tells whether a command may be sent now, and clears away what is on the way: what an abandoned Fetch has left, and
// messages whose APPEND has not been answered.
func (s *Session) ready(ctx context.Context) error {
	if err := s.usable(ctx); err != nil {
		return err
	}
	return s.land(ctx)
}

// usable is ready for those who leave messages on the way where they are.
func (s *Session) usable(ctx context.Context) error {
	if err := s.conn.Err(); err != nil {
		return err
	}
	if err := context.Cause(ctx); err != nil {
		return err
	}
	if err := s.settle(ctx); err != nil {
		return err
	}
	return s.deflateUpload(ctx)
}

// exchange sends a command of our own and reads up to its end. data gets each untagged response that is no status;
// it may read the response's tokens. The error is that of the session; a refusal is a status.
func (s *Session) exchange(ctx context.Context, command string, data func(*response) error) (status, error) {
	if err := s.ready(ctx); err != nil {
		return status{}, err
	}
	defer s.conn.Watch(ctx)()
	return s.simple(command, data)
}

// exchangeAll is exchange for commands that need not wait for one another: they go out together and take one round
// trip. The responses to each are told apart by what they are.
func (s *Session) exchangeAll(ctx context.Context, commands []string, data func(*response) error) ([]status, error) {
	if err := s.ready(ctx); err != nil {
		return nil, err
	}
	defer s.conn.Watch(ctx)()
	return s.all(commands, data)
}

// simple is exchange for a session that is not open yet, or not any more.
func (s *Session) simple(command string, data func(*response) error) (status, error) {
	verdicts, err := s.all([]string{command}, data)
	if err != nil {
		return status{}, err
	}
	return verdicts[0], nil
}

func (s *Session) all(commands []string, data func(*response) error) ([]status, error) {
	return s.allHeard(commands, data, func() {})
}

// allHeard is all, with a function that is called whenever a command has its verdict.
func (s *Session) allHeard(commands []string, data func(*response) error, heard func()) ([]status, error) {
	tags := make([]string, len(commands))
	var lines strings.Builder
	for i, command := range commands {
		tags[i] = s.newTag()
		s.conn.Trace("C", tags[i]+" "+command)
		lines.WriteString(tags[i] + " " + command + "\r\n")
	}
	if err := s.send(lines.String()); err != nil {
		return nil, err
	}
	began := time.Now()
	verdicts := make([]status, len(commands))
	for open := len(commands); open > 0; {
		resp, err := s.read()
		if err != nil {
			return nil, err
		}
		if i := slices.Index(tags, resp.tag); i >= 0 {
			tags[i], verdicts[i] = "", resp.status
			if open == len(commands) {
				s.acct.cfg.Link.Answered(time.Since(began))
			}
			open--
			s.in.asked() // what comes from here on answers the next
			if err := s.learnVerdict(resp); err != nil {
				return nil, err
			}
			heard()
			continue
		}
		if err := s.note(resp); err != nil {
			return nil, err
		}
		if data != nil && resp.tag == "*" && !isStatus(resp.word) {
			if err := data(resp); err != nil {
				return nil, s.broken(err)
			}
		}
	}
	return verdicts, nil
}

// note takes to heart what the server may say at any time (RFC 9051, section 7). The error is that of the session.
func (s *Session) note(resp *response) error {
	if resp.tag != "*" {
		return nil // the end of a command that nobody waits for
	}
	said, err := s.hearRemark(resp)
	if err != nil {
		return err
	}
	return s.applyRemark(said)
}

// A remark is what the server says of its own accord.
type remark struct {
	word   string
	number uint32
	status status
	words  []string // of CAPABILITY and FLAGS

	gone    *finding // of VANISHED
	earlier bool     // it was so before the mailbox was opened
}

// matters tells whether applyRemark does anything.
func (r *remark) matters() bool {
	switch r.word {
	case "CAPABILITY", "FLAGS", "EXISTS", "EXPUNGE", "VANISHED":
		return true
	}
	return r.status.code != ""
}

// hearRemark reads the rest of a response as far as it may be a remark. It changes nothing but the reader's place, so that it
// may run beside the session. The error is that of the session.
func (s *Session) hearRemark(resp *response) (said remark, err error) {
	said = remark{word: resp.word, number: resp.number, status: resp.status}
	switch resp.word {
	case "BYE":
		return said, s.broken(resp.status.farewell("the server ends the session", s.client == nil))
	case "CAPABILITY":
		if said.words, err = s.in.bareWords(); err != nil {
			return said, s.broken(err)
		}
	case "VANISHED":
		if err = s.readVanished(&said); err != nil {
			return said, s.broken(err)
		}
	case "FLAGS":
		if said.words, err = s.in.words(); err != nil {
			return said, s.broken(err)
		}
	}
	return said, nil
}

// applyRemark takes a remark to heart. The error is that of the session.
func (s *Session) applyRemark(said remark) error {
	switch {
	case said.status.code != "":
		s.learnCode(said.status)
		return s.conn.Err()
	case said.word == "CAPABILITY":
		s.setCapabilities(said.words)
	case said.word == "VANISHED":
		return s.vanish(said)
	case s.view != nil:
		s.view.note(said)
	}
	return nil
}

// learnVerdict takes the verdict on a command of ours. The error is that of the session.
func (s *Session) learnVerdict(resp *response) error {
	s.learnCode(resp.status)
	if v := s.view; v != nil && v.opening == resp.tag {
		v.opening = ""
		if !resp.status.ok() {
			s.view = nil // a refused SELECT leaves no mailbox open (RFC 9051, section 6.3.2)
		}
	}
	return s.conn.Err()
}

// learnCode keeps what a response code tells about the session.
func (s *Session) learnCode(st status) {
	if st.code == "CAPABILITY" {
		s.setCapabilities(strings.Fields(st.args))
	}
	if s.view != nil {
		if renumbered := s.view.learn(st); renumbered {
			s.broken(errRenumbered)
		}
	}
}

var errRenumbered = migrate.ErrRenumbered

// alive tells an error that is a refusal, which leaves the session alive, from one that ended it.
func (s *Session) alive(err error) bool {
	return s.conn.Err() == nil && !errors.Is(err, context.Canceled) && !errors.Is(err, context.DeadlineExceeded)
}

var (
	_ migrate.Source   = (*Session)(nil)
	_ migrate.Sink     = (*Session)(nil)
	_ migrate.Statuser = (*Session)(nil)
	_ migrate.Flagger  = (*Session)(nil)
)
