// Package imap is an IMAP account as a Source and a Sink of mail (RFC 9051, RFC 3501).
//
//	Account ─Open─▶ Session ─┬─ converse ─▶ go-imap ─▶ bridge ─┐
//	names, prefix            ├─ exchange: LIST, STATUS, rows ───┼─▶ wire.Conn
//	                         ├─ fetch lane: bodies, streamed ───┤
//	                         └─ append lane: MULTIAPPEND … ─────┘
//
// One reader cuts what the server says into responses and tokens, for all of them. It forgives whatever can be
// forgiven, bounds every line, and never allocates a size because a server named it.
//
// go-imap has what changes the server and is rare: CREATE, SUBSCRIBE, STORE. It is strict, and one token that
// it does not expect would end the connection; so it hears the server through a bridge that reads each response
// with our own reader and passes on no more than the verdict, in plain grammar. Nothing a server sends can
// then upset it, and what it would not pass on (response codes, parting words) is kept here.
// Mailbox names pass it by: it says a stand-in, and the bridge puts in the octets that the server gave in LIST.
//
// The rest has lanes of its own, on the same connection, while go-imap has no command under way. Listing, since names
// and attributes must be kept to the octet, and rows of a FETCH are many, and odd. Opening mailboxes and asking for
// their state, since that goes out together with what comes next: a distant server is far, not slow. Fetching,
// since a body must be streamed with its exact length, several commands at a time, whatever the order of the items
// (go-imap loses a body whose UID comes behind it). Appending, since a refused APPEND must not cost the connection
// and since MULTIAPPEND and pipelining are several times faster.
//
// Log-in happens before go-imap is there: it knows neither all of the mechanisms nor the care that old servers need.
package imap
