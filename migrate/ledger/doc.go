// Package ledger keeps in one SQLite file what must survive from run to run: the ledger between a source and a
// destination, and for an archive its index of mailboxes, messages, runs and events. It is the only package that knows
// SQLite.
//
//	accounts ◀─ pairs ◀─ boxes ◀─ entries      what has arrived, for each pair of ends
//	mailboxes ◀─ messages                      where each message of the archive lies
//	runs   events   meta                       what was done, what was met, what the archive is
//
// What a method has written when it returns nil survives a power cut: the write-ahead log is synced at each commit. A
// crash at any instant leaves what was committed and nothing of the rest. Readers see the last commit, and never wait
// for the one writer. Everything read streams in pages: no transaction is open while a caller works, and memory does
// not grow with a mailbox.
//
// Beside each file lies a seal, file.sum, by which a single flipped bit is noticed before anything is built on it.
//
// A DB is safe for use by several goroutines. Errors carry a migrate.Kind: Damaged for a file that is missing, broken,
// not ours or newer than this program, Locked where another process kept it busy too long. A full disk answers to
// errors.Is(err, syscall.ENOSPC), one that cannot be read or written to syscall.EIO.
package ledger
