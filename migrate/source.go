package migrate

import (
	"context"
	"errors"
	"io"
	"iter"
)

// A Source is a place mail is read from. One goroutine uses it at a time; more speed is more Sources. It never
// changes what it reads, not even a \Seen flag, but by Remove; see Remover.
type Source interface {
	// Mailboxes lists the mailboxes, parents before children.
	Mailboxes(ctx context.Context) ([]Mailbox, error)
	// Messages yields what is known of each message without its body, in the order of arrival as far as the store
	// has one. Between two steps of the loop the Source may be used for a Fetch from the same mailbox, so an
	// implementation reads a bounded stretch ahead and leaves its connection idle while it yields.
	Messages(ctx context.Context, mbox Path) iter.Seq2[Message, error]
	// Fetch yields the given messages as stored, octet for octet, in whatever order is cheap here. Those that have
	// vanished are left out; one that cannot be read comes with its own Err and the rest still follow. An error
	// beside a Fetched ends the sequence: the Source is of no more use. A body can be read until the next step of
	// the loop; what the caller leaves unread is skipped.
	Fetch(ctx context.Context, mbox Path, messages []Message) iter.Seq2[Fetched, error]
	Close() error
}

// Fetched is one message that Fetch yields.
type Fetched struct {
	Message Message // as it was asked for
	Body    Body
	Err     error // why this message cannot be read; Body is then empty

	// Checked is what the body is sure to be: reading others than these octets ends with an error. Zero where nobody has
	// made sure of that.
	Checked Identity
}

// identity reads the body to its end to learn what it is. Without one it is zero.
func (f Fetched) identity() (Identity, error) {
	if f.Err != nil {
		return Identity{}, nil
	}
	if !f.Checked.IsZero() {
		_, err := io.Copy(io.Discard, f.Body)
		return f.Checked, err
	}
	hasher := NewHasher()
	if _, err := io.Copy(hasher, f.Body); err != nil {
		return Identity{}, err
	}
	return hasher.Identity(), nil
}

// A Body streams the octets of one message in wire form. Size is how many will come, exactly, or -1 where the store
// cannot tell before the end (POP3). A reader that ends early gives io.ErrUnexpectedEOF, never a clean io.EOF.
type Body struct {
	io.Reader
	Size int64
}

// A Statuser can tell a mailbox's state without listing its messages. Sources and Sinks may be one.
type Statuser interface {
	// Status tells the state of mbox, which may not exist: then Messages is 0 and the rest zero.
	Status(ctx context.Context, mbox Path) (Status, error)
}

// A Changer is a Source that can tell what has happened to a mailbox since an earlier Status, without listing it.
type Changer interface {
	// Changes yields in any order, each as it is now and once: every message that has come since, and every one whose
	// flags may have changed; it may tell of messages that are as they were. Of those that are older than since it need
	// not tell more than key and flags. Besides it yields stretches of UIDs without a message, which may never have had
	// one; whatever message since counted, or came after it, and is no more has its UID in such a stretch. What lies in
	// none of it is as it was. How many messages there are comes last. Where the store cannot tell, since the messages
	// were numbered anew, or since it does not remember, ErrCannotTell comes first and alone: then Messages tells all.
	// Between two steps of the loop the Source may be used as between those of Messages.
	Changes(ctx context.Context, mbox Path, since Status) iter.Seq2[Change, error]
}

// ErrCannotTell is what Changes yields where only Messages can tell.
var ErrCannotTell = errors.New("the store cannot tell what has changed")

// A Change is a message as it is now; where First is not 0, a stretch of UIDs without a message; where it has neither,
// the number of all messages, by which one sees whether what was told is all that has happened.
type Change struct {
	Message     Message
	First, Last uint32 // UIDs of the Status' UIDVALIDITY; Last is at least First, and among those without a message
	Messages    int64
}

// A Foreseer is a Source that needs fewer round trips where it knows what it will be asked. Nobody has to tell it: its
// answers are the same.
type Foreseer interface {
	// ListAhead tells which mailboxes will be listed next. What it learns about them is as old as this call, and worthless once
	// Status tells a later state; trouble shows when they are listed.
	ListAhead(ctx context.Context, next []Listing)
	// FetchAhead tells that messages of mbox will be fetched next, behind what was told of before. To ask for anything
	// else first costs what has been asked for ahead.
	FetchAhead(ctx context.Context, mbox Path, messages []Message)
}

// A Listing is a mailbox to be listed: by Changes since a Status, or by Messages where that is nil.
type Listing struct {
	Mailbox Path
	Now     Status // as Status told it
	Since   *Status
}

// A Flagless source knows no flags (POP3): that its messages come without any says nothing about those of their copies.
type Flagless interface{ Flagless() }

// A Remover is a Source that can delete messages. One that was opened to be only read refuses.
type Remover interface {
	// Remove deletes messages of mbox for good, each only where it is beyond doubt the one that is meant, and nothing
	// else, whatever others have marked. It returns once the store has confirmed what it tells. An error means that
	// nothing is known of any of them: they have to be looked for in a new session.
	Remove(ctx context.Context, mbox Path, messages []Doomed) (Removal, error)
}

// A Namer is a Source that has to name some messages itself, since its store gave them no name that lasts.
type Namer interface {
	// NamedByStore tells whether key is a name that the store gave.
	NamedByStore(key Key) bool
}

// A Knower is a store that tells the Identity of each message as it lists it, without reading it anew.
type Knower interface{ Knower() }

// A HeaderReader can give a few header fields of messages without their bodies: at least Date, From, To, Subject and
// Message-ID. Sources may be one.
type HeaderReader interface {
	// Headers yields the header fields as stored (RFC 5322, section 2.2), in whatever order is cheap; those of a
	// message that has vanished are left out.
	Headers(ctx context.Context, mbox Path, messages []Message) iter.Seq2[Header, error]
}

// A Header is the start of a message, up to the empty line behind its fields.
type Header struct {
	Message Message // as it was asked for
	Octets  []byte
	Err     error // why it cannot be read
}
