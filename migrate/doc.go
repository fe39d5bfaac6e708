// Package migrate holds the words and the engine of postcask: what a mailbox and a message are here, the three
// interfaces that mail moves between, and the one loop that moves it.
//
//	Source ─list─▶ Filter ─▶ Mapping ─▶ Ledger ─fetch─▶ body stream ─append─▶ Sink ─commit─▶ Ledger
//	a server,      which     into which already         exact octets          a server,      durable, each
//	archive, file  mail      mailbox    there? skip                           archive, file  answered for
//
// Every job is a pair of ends given to Run: a backup is a server and an archive, a restore an archive and a server, a
// migration two servers. Compare reads two ends and changes neither. The package knows no network and no terminal;
// the ends live in migrate/imap, migrate/pop3, migrate/memory and in the archive packages.
package migrate
