package migrate

import "time"

// An Event is something a run tells while it goes on. Which fields say something depends on its Type.
type Event struct {
	Type        EventType
	Mailbox     Path // at the source
	Destination Path // the mailbox it goes to
	Message     Message
	Outcome     Outcome
	Err         error
	Delay       time.Duration // before the retry
	Dropped     []string      // keywords that the destination could not keep
	Counts      Counts        // of the mailbox, when it is done
	Progress    Progress
}

// An EventType says what happened.
type EventType string

// The events of a run. Their names are those of the JSON lines, docs/scripting.md.
const (
	EventMailbox  EventType = "mailbox"  // a mailbox is done: Mailbox, Destination, Counts
	EventMessage  EventType = "message"  // a message was dealt with: Mailbox, Message, Outcome, Err, Dropped
	EventWarning  EventType = "warning"  // something to know: Err
	EventRetry    EventType = "retry"    // a connection was lost and is made again after Delay: Err
	EventProgress EventType = "progress" // Progress has moved
)

// An Outcome says what became of a message.
type Outcome string

// The outcomes; each message of a run has exactly one of the first five.
const (
	Copied       Outcome = "copied"
	Present      Outcome = "present"
	Filtered     Outcome = "filtered"
	Quarantined  Outcome = "quarantined"
	Left         Outcome = "failed"
	FlagsUpdated Outcome = "flags_updated" // beside Present
	Deleted      Outcome = "deleted"       // at the source, beside any of them
)

// Counts add up what became of messages: Messages is the sum of the five that follow it.
type Counts struct {
	Messages     int64 `json:"messages"`
	Copied       int64 `json:"copied"`
	Present      int64 `json:"present"`
	Filtered     int64 `json:"filtered"`
	Quarantined  int64 `json:"quarantined"`
	Failed       int64 `json:"failed"`
	FlagsUpdated int64 `json:"flags_updated"`
	Unsure       int64 `json:"unsure"` // beside any of them: of these it could not be told by octets whether they had arrived
	Octets       int64 `json:"octets"` // of the wire form, copied
}

func (c *Counts) note(outcome Outcome, size int64) {
	switch outcome {
	case FlagsUpdated:
		c.FlagsUpdated++
		return
	case Copied:
		c.Copied++
		c.Octets += size
	case Present:
		c.Present++
	case Filtered:
		c.Filtered++
	case Quarantined:
		c.Quarantined++
	case Left:
		c.Failed++
	}
	c.Messages++
}

// takeBack undoes what was noted of a mailbox that is dealt with anew. What was copied of it is present then.
func (c *Counts) takeBack(of Counts) {
	c.Messages -= of.Messages
	c.Copied -= of.Copied
	c.Present -= of.Present
	c.Filtered -= of.Filtered
	c.Quarantined -= of.Quarantined
	c.Failed -= of.Failed
	c.FlagsUpdated -= of.FlagsUpdated
	c.Unsure -= of.Unsure
}

// Progress tells how far a run is. The totals grow while mailboxes are still being listed.
type Progress struct {
	Mailbox        Path // where work goes on
	Mailboxes      int  // dealt with
	MailboxesTotal int
	Messages       int64 // new ones dealt with
	MessagesTotal  int64 // new ones found so far
	Octets         int64 // wire octets moved
	OctetsTotal    int64 // as the source announces them
}

// A Summary tells what a run came to.
type Summary struct {
	Mailboxes int `json:"mailboxes"`
	Counts
	MailboxesFailed int64         `json:"mailboxes_failed"` // could not be read, or not be made
	KeywordsDropped int64         `json:"keywords_dropped"` // that the destination does not keep, taken off the messages
	FlagsFailed     int64         `json:"flags_failed"`     // messages whose flags at the destination could not be set
	Retries         int64         `json:"retries"`
	Deleted         int64         `json:"deleted"`     // at the source, as it has confirmed; in a dry run, that would be
	Marked          int64         `json:"marked"`      // flagged \Deleted there and not removed
	NotDeleted      int64         `json:"not_deleted"` // were to be deleted, and stay for a reason that was told
	Elapsed         time.Duration `json:"-"`
}
