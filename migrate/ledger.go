package migrate

import (
	"context"
	"iter"
	"time"
)

// A Ledger remembers what earlier runs between one source and one destination did, so that a run cut off anywhere is
// taken up again with nothing lost or doubled. What Record has accepted survives a power cut. It is safe for use by
// several goroutines.
type Ledger interface {
	// Lookup gives the entry of each key of the source's mailbox, in the order of keys; a key that is not known
	// gives an entry whose State is Unknown.
	Lookup(ctx context.Context, mbox Path, keys []Key) ([]Entry, error)
	// Record remembers entries of the source's mailbox, durably and all or none; an entry of the same key is replaced.
	// A retired entry that has the same place at the destination as a recorded one is forgotten: its place was taken over.
	Record(ctx context.Context, mbox Path, entries []Entry) error
	// Intend remembers, durably and all or none, that messages of the source's mailbox are about to be sent: its entries
	// become Intended, whatever they were. Record tells what came of it.
	Intend(ctx context.Context, mbox Path, entries []Entry) error
	// Entries yields every entry of the source's mailbox, in the order of keys.
	Entries(ctx context.Context, mbox Path) iter.Seq2[Entry, error]
	// Claims yields the entries whose message lies in the destination's mailbox dest, or may lie there, from whatever
	// mailbox of the source it came: those that have Arrived and are not retired, and all that are Intended.
	Claims(ctx context.Context, dest Path) iter.Seq2[Entry, error]
	// Count tells how many entries of the source's mailbox have Arrived and are not retired.
	Count(ctx context.Context, mbox Path) (int64, error)
	// Retire notes that the source no longer has the messages of these keys; Record brings an entry back.
	Retire(ctx context.Context, mbox Path, keys []Key) error
	// Seen gives the state that SetSeen was told last for the source's mailbox, or false.
	Seen(ctx context.Context, mbox Path) (Status, bool, error)
	// SetSeen notes the state of the source's mailbox that has been dealt with to the last message and flag.
	SetSeen(ctx context.Context, mbox Path, status Status) error
}

// An Unclaimer is a Ledger that lies beside the mail of the destination, in an archive's index, and can tell at once
// what there it says nothing of.
type Unclaimer interface {
	// Unclaimed yields the messages of the destination's mailbox dest that no entry claims; see Ledger.Claims.
	Unclaimed(ctx context.Context, dest Path) iter.Seq2[Message, error]
}

// An Accountant is a Ledger that remembers up to where it can answer for what a mailbox of the destination holds.
type Accountant interface {
	// Accounted gives the UIDVALIDITY and UIDNEXT below which every message in dest lies in the place of an entry that has
	// arrived, retired ones too, as SetAccounted was told last. The zero Key says that nothing is known, as when messages
	// were intended to go there since.
	Accounted(ctx context.Context, dest Path) (Key, error)
	// SetAccounted notes that of several mailboxes, durably and all or none; the zero Key takes it back.
	SetAccounted(ctx context.Context, next map[Path]Key) error
	// Lying tells how many entries have arrived in dest and are not retired, and gives those that are.
	Lying(ctx context.Context, dest Path) (arrived int64, retired []Entry, err error)
}

// A State tells how far a message has come.
type State uint8

// The states of an Entry.
const (
	Unknown  State = iota // never met
	Arrived               // safe at the destination
	SetAside              // refused or unreadable, with the reason; tried again when something may have changed
	Intended              // about to be sent, or sent and never answered for: it may be there or not
)

// An Entry is what a Ledger knows of one message of the source.
type Entry struct {
	Key      Key
	State    State
	Retired  bool     // the source no longer has it
	Mailbox  Path     // the destination's mailbox
	Place    Key      // its name there, zero where that could not be told; of one Intended, the least name it can have got
	Identity Identity // what was sent; no more than the size of one recognised by its header, and perhaps of one Intended or SetAside
	Flags    Flags    // the source's, when last looked at
	Listed   Listed   // what the source's list told of it, when last looked at
	Attempt  Attempt  // of one SetAside, and of one that was sent again in doubt
}

// Listed is what the list of a source tells of a message and what never changes under one Key. By it a Key that was
// given to another message is noticed. A zero field was not told.
type Listed struct {
	Size int64 // octets as announced
	Date time.Time
}

// An Attempt tells what was tried with a message that was then set aside, or sent again since nobody could tell whether it
// had arrived.
type Attempt struct {
	Reason  string // of one that was set aside, in the words of who refused
	Time    time.Time
	Program string // the version of postcask that tried
	Limit   int64  // octets of the largest message that the destination takes, as it announced; 0 where it did not
}
