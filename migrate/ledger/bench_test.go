package ledger

import (
	"fmt"
	"path/filepath"
	"slices"
	"strconv"
	"sync"
	"testing"

	"postcask/migrate"
)

const (
	benchRows  = 20_000
	benchGroup = 200
)

// benchFile gives the path of a closed archive index of n messages, with the ledger of who brought them.
func benchFile(b *testing.B, n int) string {
	path := filepath.Join(b.TempDir(), "bench.db")
	db, err := Open(b.Context(), path, Options{Create: true})
	must(b, err)
	must(b, db.PutMailbox(b.Context(), Mailbox{Mailbox: migrate.Mailbox{Path: "INBOX"}}))
	for from := 0; from < n; from += benchGroup {
		benchCommit(b, db, "INBOX", from)
	}
	must(b, db.Close())
	return path
}

// benchCommit does what the index does for a group of a backup.
func benchCommit(b *testing.B, db *DB, mbox migrate.Path, from int) {
	messages, entries := make([]Message, benchGroup), make([]migrate.Entry, benchGroup)
	for i := range messages {
		id := identity(fmt.Sprint(mbox, from+i))
		messages[i] = Message{Base: fmt.Sprintf("1614834367.M%dP4711Q1.example,S=4096,W=4200", from+i), Length: 4096, Identity: id,
			InternalDate: clock, Flags: migrate.NewFlags(`\Seen`), MessageID: fmt.Sprintf("<%d.0123456789@mail.example.org>", from+i)}
	}
	must(b, db.AddMessages(b.Context(), "INBOX", messages, -1))
	for i, m := range messages {
		entries[i] = arrived(uint32(from+i+1), "INBOX")
		entries[i].Place, entries[i].Identity = migrate.Key{Name: strconv.FormatInt(m.ID, 10)}, m.Identity
	}
	must(b, ledgerOf(b, db).Record(b.Context(), mbox, entries))
}

func BenchmarkCommit200(b *testing.B) {
	b.ReportAllocs()
	db := openAt(b, benchFile(b, benchRows))
	from := benchRows
	for b.Loop() {
		benchCommit(b, db, "INBOX", from)
		from += benchGroup
	}
}

// Four connections that bring mail at the same time.
func BenchmarkCommit200OfFourLanes(b *testing.B) {
	b.ReportAllocs()
	db := openAt(b, benchFile(b, benchRows))
	from := 0
	for b.Loop() {
		var wait sync.WaitGroup
		for lane := range 4 {
			wait.Go(func() { benchCommit(b, db, migrate.Path(fmt.Sprint(lane)), from) })
		}
		wait.Wait()
		from += benchGroup
	}
}

func BenchmarkLookup1000(b *testing.B) {
	b.ReportAllocs()
	l := ledgerOf(b, openAt(b, benchFile(b, benchRows)))
	_, keys := many(1000, "INBOX")
	for b.Loop() {
		if entries := lookup(b, l, "INBOX", keys...); entries[999].State != migrate.Arrived {
			b.Fatal("lost")
		}
	}
}

func BenchmarkEntries20000(b *testing.B) {
	b.ReportAllocs()
	l := ledgerOf(b, openAt(b, benchFile(b, benchRows)))
	for b.Loop() {
		if got := len(all(b, l.Entries(b.Context(), "INBOX"))); got != benchRows {
			b.Fatal(got)
		}
	}
}

func BenchmarkClaims20000(b *testing.B) {
	b.ReportAllocs()
	l := ledgerOf(b, openAt(b, benchFile(b, benchRows)))
	for b.Loop() {
		if got := len(all(b, l.Claims(b.Context(), "INBOX"))); got != benchRows {
			b.Fatal(got)
		}
	}
}

// What a run does with the index where nothing is new.
func BenchmarkNothingNew(b *testing.B) {
	for _, n := range []int{benchRows, 1_000_000} {
		b.Run(strconv.Itoa(n), func(b *testing.B) {
			path := benchFile(b, n)
			b.ReportAllocs()
			for b.Loop() {
				db, err := Open(b.Context(), path, Options{})
				must(b, err)
				got, err := ledgerOf(b, db).Count(b.Context(), "INBOX")
				must(b, err)
				if got != int64(n) {
					b.Fatal(got)
				}
				must(b, db.Close())
			}
		})
	}
}

func BenchmarkSumOfPage(b *testing.B) {
	page := slices.Repeat([]byte("mail"), pageSize/4)
	b.SetBytes(pageSize)
	for b.Loop() {
		putSum(7, page)
	}
}

// What the index knows of a stretch of messages that are to be read.
func BenchmarkByID200(b *testing.B) {
	b.ReportAllocs()
	db := openAt(b, benchFile(b, benchRows))
	ids := make([]int64, benchGroup)
	for i := range ids {
		ids[i] = int64(benchRows/2 + i)
	}
	for b.Loop() {
		found, err := db.ByID(b.Context(), ids)
		if err != nil || len(found) != len(ids) {
			b.Fatal(len(found), err)
		}
	}
}
