// Package archive is the directory that mail is kept in: a migrate.Sink that stores messages and a migrate.Source that
// gives them back, octet for octet. docs/archive-format.md is the contract of what lies on disk:
//
//	ARCHIVE/                      0700; files 0600
//	  INBOX/{cur,new,tmp}         format maildir: one Maildir for each mailbox, nested as on the server
//	  Work/2020/{cur,new,tmp}
//	  INBOX.mbox  Work/2020.mbox  format mbox: one mboxrd file for each mailbox
//	  .postcask/
//	    archive.json              format name and version, an id, what the archive was made from
//	    index.db                  mailboxes and messages, and the ledgers of who brought them
//	    quarantine/               octets that no message of the index names, left by a run that was cut off
//	    lock
//
// A message's wire form, lines ended by CRLF, is stored with LF where nothing is lost by that (package lines); package
// maildir has the words of the one format, package mbox those of the other. Octets are synced first, then directories,
// then the index is committed, and only then is a message said to be stored. What a cut leaves behind is named by no
// row of the index, and the next run sets it aside.
package archive
