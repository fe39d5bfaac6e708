// Package testserver holds the servers that postcask is tried against, and the clients that check what became of the
// mail without sharing a line with postcask. Everything listens on 127.0.0.1, on ports of its own, below a folder of
// its own, so that any number of tests can run side by side.
//
// # Real servers
//
// .ci/install-servers puts Dovecot, Cyrus and Courier in place. Each Start function runs a private instance and stops it
// when the test ends; a server that is not there fails the test, with a hint. The Run functions are the same without
// testing.TB, for programs: they take the folder to work in, and the caller calls Stop.
//
//	func StartDovecot(tb testing.TB, opts ...DovecotOptions) *Server     RunDovecot(dir string, opts DovecotOptions) (*Server, error)
//	func StartCyrus(tb testing.TB, opts ...CyrusOptions) *Server         RunCyrus(dir string, opts CyrusOptions) (*Server, error)
//	func StartCourier(tb testing.TB, opts ...CourierOptions) *Server     RunCourier(dir string, opts CourierOptions) (*Server, error)
//	func Start(tb testing.TB, name string) *Server                       one of the three with its defaults
//	func Named(tb testing.TB) []string                                   the names in POSTCASK_SERVERS, default all three
//
//	type Server struct {
//		Name                                      string // "dovecot", "cyrus", "courier", "imap", "pop3"
//		IMAPAddr, IMAPSAddr, POP3Addr, POP3SAddr  string // "127.0.0.1:port"; the plain ones offer STARTTLS and STLS
//		CAFile                                    string // PEM of the CA that signed for localhost and 127.0.0.1
//	}
//	func (s *Server) AddUser(name, password string) error
//	func (s *Server) Users(tb testing.TB, names ...string)     adds each with the password "secret"
//	func (s *Server) ClientTLS() *tls.Config                    trusts CAFile alone
//	func (s *Server) Log() string
//	func (s *Server) Doveadm(args ...string) ([]byte, error)    Dovecot only
//	func (s *Server) Stop() error
//
// # Servers in memory
//
//	func StartIMAP(tb testing.TB, opts ...IMAPOptions) *IMAP    RunIMAP(opts IMAPOptions) (*IMAP, error)
//	func StartPOP3(tb testing.TB, opts ...POP3Options) *POP3    RunPOP3(opts POP3Options) (*POP3, error)
//
// An IMAP is go-imap's imapserver over a store of ours that gives back exactly the octets it was given; a POP3 is our
// own. Both embed Server, and have methods to fill them and to look inside. Faults are fields of their options.
//
//	func (s *IMAP) CreateMailbox(user, mailbox string, attributes ...string) error   Unicode names, "/" between the parts
//	func (s *IMAP) Deliver(user, mailbox string, m Mail) (uid uint32, err error)     Mail{UID, Flags, Date, Octets}
//	func (s *IMAP) Messages(user, mailbox string) ([]Mail, error)
//	func (s *IMAP) Mailboxes(user string) []string
//	func (s *IMAP) Subscribe, Subscribed, Attributes, DeleteMailbox, Expunge, SetFlags, Renumber, Commands
//	func (p *POP3) Deliver(user string, octets []byte) (uidl string)
//	func (p *POP3) Messages(user string) []POP3Message                               POP3Message{UIDL, Octets}
//	func (p *POP3) Remove(user, uidl string)
//	func (p *POP3) Commands() []string
//
//	type Fault struct{ AfterReading, AfterWriting int64; Stall bool; Latency time.Duration }
//	type Faults func(n int) Fault                                                    for the nth connection to a port
//	func NewFaultyListener(ln net.Listener, faults Faults) net.Listener
//
// A Large is an account of any number of messages that are made as they are asked for; plain IMAP and POP3, for volume. It
// takes what another gives.
//
//	func StartLarge(tb testing.TB, messages int) *Large                             Large{IMAPAddr, POP3Addr}
//	func (l *Large) Grow(messages int)
//	func (l *Large) Len() int
//	func (l *Large) Taken() (messages, different int)                               what was appended
//	func (l *Large) AppendMessage(octets []byte, n int) []byte                      what the nth is
//
// # Scripted dialogues
//
//	func PlayFile(tb testing.TB, path string) *Player
//	func Play(tb testing.TB, script string) *Player
//
// A Player says what its script says and compares what the client says; script.go describes the format. It records all
// that the client sent, and how much of that went in the clear.
//
//	type Player struct{ Server; Addr string }
//	func (p *Player) Received() []byte                          everything, decrypted
//	func (p *Player) InClear() []byte                           what came outside of TLS
//	func (p *Player) Connections() (accepted, finished int)
//	func (p *Player) Err() error                                where clients left the script; fails the test by itself
//
// # A second reader
//
//	func DialIMAP(addr string, starttls, implicit *tls.Config) (*RawIMAP, error)
//	func OpenIMAP(tb testing.TB, s *Server, user, password string) *RawIMAP
//	func (r *RawIMAP) Login(user, password string) error
//	func (r *RawIMAP) Do(command string, literals ...[]byte) (Reply, error)     each "{}" in command takes the next literal
//	func (r *RawIMAP) Mailboxes() ([]RawMailbox, error)                         LIST "" "*"
//	func (r *RawIMAP) Subscribed() ([]string, error)                            LSUB "" "*"
//	func (r *RawIMAP) Messages(mailbox string) ([]RawMessage, error)            EXAMINE and FETCH, exact octets
//	func (r *RawIMAP) Append(mailbox, flags, date string, body []byte) error    flags as `(\Seen $Label)`, date as on the wire
//	func (r *RawIMAP) Create(mailbox string) error
//	func (r *RawIMAP) Subscribe(mailbox string) error
//	func (r *RawIMAP) Close() error
//
// Mailbox names are those of the wire (modified UTF-7, the server's delimiter).
package testserver
