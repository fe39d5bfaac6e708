package migrate

import "context"

// A Sink is a place mail is written to. One goroutine uses it at a time. A Sink that is also a Source can be asked what
// it holds already; that is how a run that was cut off, or a destination that was not empty, is met without doubling.
type Sink interface {
	// Create makes mbox, and its parents, unless it is there already, and subscribes to it if mbox.Subscribed.
	// It never takes a subscription away. A NoSelect mailbox only needs to be remembered or subscribed.
	Create(ctx context.Context, mbox Mailbox) error
	// Append takes one message and reads its body to the end. Nothing is promised yet, so it need not wait for the
	// other side. A message that this side refuses gets its error in Commit; an error of Append itself means that
	// the Sink is of no more use, or that reading the body failed: then the Sink forgets that message or, where it
	// cannot, is of no more use too, which the next call tells.
	Append(ctx context.Context, mbox Path, m Message, body Body) error
	// Commit makes what was appended since the last Commit safe, with flags and internal date, and tells in the
	// same order what became of each. Its own error means that nothing is known of any of them.
	Commit(ctx context.Context) ([]Stored, error)
	// Close ends the use; what was not committed may be lost.
	Close() error
}

// A Maker is a Sink that makes several mailboxes in fewer round trips than one after the other.
type Maker interface {
	// CreateAll makes mailboxes as Create does, and tells in the same order why one could not be made: Create may find a
	// way yet.
	CreateAll(ctx context.Context, mailboxes []Mailbox) []error
}

// Stored tells what became of one appended message.
type Stored struct {
	Key     Key      // its name in the Sink; zero where that cannot be told
	Dropped []string // flags and keywords that could not be kept there
	Err     error    // why it was refused, or ErrAgain
}

// ErrAgain says of an appended message that it was not stored and not judged either: what was sent together with it was
// refused. It is to be appended again next; a Sink says so at most once in a row.
var ErrAgain = Errorf(Unavailable, "refused together with others, and not sent again alone")

// A Flagger is a Sink that can set the flags of messages it holds.
type Flagger interface {
	// SetFlags makes the flags of each message those given, durably. A message that is no longer there is passed by.
	SetFlags(ctx context.Context, mbox Path, changes []FlagChange) error
}

// A Numberer is a Sink whose answers can be lost for good, and that names what it takes in rising order (IMAP). Before
// anything is appended to it the engine has the Ledger remember the intent; where the answer is lost, the message is
// looked for from the intent's Key on. Other Sinks clear by themselves what they have not confirmed.
type Numberer interface {
	// Next tells the least Key that a message appended to mbox from now on can get: UIDVALIDITY and UIDNEXT (RFC 9051,
	// section 2.3.1.1). A lower one does no harm; the zero Key says that nothing is known.
	Next(ctx context.Context, mbox Path) (Key, error)
}

// A Bounded Sink announces how large a message may be.
type Bounded interface {
	// Limit tells the octets of the largest message that the Sink takes; 0 where it does not say.
	Limit() int64
}

// A FlagChange names a message of a Sink and the flags that it shall have.
type FlagChange struct {
	Key   Key
	Flags Flags
}
