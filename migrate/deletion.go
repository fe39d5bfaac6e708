package migrate

import (
	"context"
	"iter"
	"time"
)

// A Deletion says what a run deletes at the source once it has moved what there is to move: messages whose octets,
// read anew from where they are kept, are those that the ledger recorded, and that have been kept for at least Age.
// Options.Filter narrows it as it narrows the run. In a dry run they are only counted.
type Deletion struct {
	Age    time.Duration // since the message was added; 0 deletes it as soon as it was read back
	Most   int64         // where more would go, none goes and the run ends with kind Unsafe; negative for no bound
	Keeper Keeper        // the destination, asked about the places that the ledger names
	// Open opens the source once more, so that it may be changed: a Source that is a Remover.
	Open func(ctx context.Context) (Source, error)
	Now  func() time.Time // the clock; nil for time.Now
}

// A Keeper is a destination that can prove what it keeps.
type Keeper interface {
	// Newest tells the latest moment that anything was noted here; zero where nothing was.
	Newest(ctx context.Context) (time.Time, error)
	// Added tells since when mbox has each of the messages; those that it does not have are left out.
	Added(ctx context.Context, mbox Path, keys []Key) (map[Key]time.Time, error)
	// ReadBack reads messages anew, in whatever order is cheap; those that mbox does not have are left out, one that
	// is not what it was when it came has an Err. An error beside a ReadBack ends the sequence.
	ReadBack(ctx context.Context, mbox Path, keys []Key) iter.Seq2[ReadBack, error]
	// NoteDeleted remembers, durably, that the source confirmed the deletion of these messages of its mailbox.
	NoteDeleted(ctx context.Context, mbox Path, keys []Key) error
}

// ReadBack is one message as it was read anew.
type ReadBack struct {
	Key      Key // at the destination
	Identity Identity
	Header   Digest // see HeaderHasher
	Err      error
}

// A Doomed message is to be deleted where it came from.
type Doomed struct {
	Key      Key
	Identity Identity // of the octets that are safe elsewhere
	Header   Digest   // of their header, see HeaderHasher; zero where Unread
	// Unread tells that the message was recognised by size and header: whoever deletes it reads it first, and keeps it
	// unless its octets have that Identity.
	Unread bool
}

// A Fate tells what became of a message that was to be deleted.
type Fate uint8

// The fates.
const (
	Untried  Fate = iota // not reached in this session
	Gone                 // the store confirmed that it is no more
	Marked               // flagged as deleted; the store has no way to remove this one alone
	Vanished             // it was not there: somebody else was faster
	Kept                 // it stays; Err tells why
)

// Removed tells the Fate of one message.
type Removed struct {
	Key  Key
	Fate Fate
	Err  error
}

// A Removal is what Remove came to.
type Removal struct {
	Removed []Removed // one for each message, in the order asked for
	Spent   bool      // the Source is of no more use: its session had to end for the deletions to count
}
