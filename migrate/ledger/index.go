package ledger

import (
	"time"

	"postcask/migrate"
)

// A Mailbox is what the index of an archive knows of one mailbox.
type Mailbox struct {
	migrate.Mailbox
	Messages int64  // how many the index holds, kept by AddMessages
	Octets   int64  // octets of their wire forms, kept by AddMessages
	File     string // where its mail lies in the archive: an mbox file or a Maildir, a relative path
	End      int64  // mbox: end of the committed octets in File
}

// A Message is what the index of an archive knows of one message.
type Message struct {
	ID             int64 // its number in this archive, never used again for another
	Mailbox        migrate.Path
	Base           string // Maildir: base name of its file, without flags
	Offset         int64  // mbox: where its octets begin in the mailbox's file
	Length         int64  // how many octets it has on disk
	Raw            bool   // stored as it came, its line ends not turned into LF
	NoFinalNewline bool   // its wire form has no line end at the very end
	InternalDate   time.Time
	Flags          migrate.Flags
	Identity       migrate.Identity // of the wire form
	MessageID      string
	Added          time.Time // when it came into the archive, UTC
}

// A FlagUpdate names a message and the flags that it shall have.
type FlagUpdate struct {
	ID    int64
	Flags migrate.Flags
}

// A Run is one use of a command that moves mail.
type Run struct {
	ID          int64
	Command     string
	Source      string
	Destination string
	Started     time.Time // UTC
	Ended       time.Time // zero while it runs, or where it was cut off
	Exit        int       // exit status, once Ended
	Summary     string    // JSON, as printed at the end
}

// An Event is something worth knowing later about a message or a mailbox.
type Event struct {
	ID      int64
	Time    time.Time // UTC
	Kind    string
	Mailbox migrate.Path
	Key     migrate.Key
	Text    string
}
