// Package pop3 reads a POP3 maildrop (RFC 1939) as a migrate.Source with one mailbox, INBOX. A go-pop3 connection holds
// the conversation; what carries mail goes beside it, on the same connection, so that messages stream through in
// constant memory, are pipelined where the server allows it (RFC 2449, section 6.6) and lose no octet.
//
//	conn      the connection as go-pop3 may see it, one line at a time, and the trace
//	reply     what the server answers, and what its refusals mean
//	account   greeting, STLS, capabilities; login and sasl get in
//	listing   STAT, LIST and UIDL, checked against each other; maildrop holds what they told
//	digest    names for messages that the server gives no usable name
//	lane      RETR and TOP with several commands under way; body takes the dots out
//	fetch     the messages asked for; ahead asks before their turn
//	dele      deleting, in sessions of its own
//	farewell  the answer to QUIT, which only the next session waits for
//
// A message is named by its UIDL. Where the server has none, or one that RFC 1939, section 7, does not allow, or the
// same for several messages, the name is made of the message's digest.
//
// A Session sends no DELE but in Remove, which takes a Session of its own and ends it.
package pop3
