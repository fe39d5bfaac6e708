package ledger

import (
	"slices"
	"testing"

	"postcask/migrate"
)

const benchRows = 20_000

func benchLedger(b *testing.B) (*Ledger, []migrate.Entry, []migrate.Key) {
	l := ledgerOf(b, openNew(b))
	entries, keys := many(benchRows, "INBOX")
	for group := range slices.Chunk(entries, 200) {
		must(b, l.Record(b.Context(), "INBOX", group))
	}
	return l, entries, keys
}

func BenchmarkLookup20000(b *testing.B) {
	l, _, keys := benchLedger(b)
	for b.Loop() {
		if entries := lookup(b, l, "INBOX", keys...); entries[benchRows-1].State != migrate.Arrived {
			b.Fatal("lost")
		}
	}
}

func BenchmarkRecord20000InGroupsOf200(b *testing.B) {
	l, entries, _ := benchLedger(b)
	for b.Loop() {
		for group := range slices.Chunk(entries, 200) {
			must(b, l.Record(b.Context(), "INBOX", group))
		}
	}
}

func BenchmarkEntries20000(b *testing.B) {
	l, _, _ := benchLedger(b)
	for b.Loop() {
		if got := len(all(b, l.Entries(b.Context(), "INBOX"))); got != benchRows {
			b.Fatal(got)
		}
	}
}

func BenchmarkClaims20000(b *testing.B) {
	l, _, _ := benchLedger(b)
	for b.Loop() {
		if got := len(all(b, l.Claims(b.Context(), "INBOX"))); got != benchRows {
			b.Fatal(got)
		}
	}
}

func BenchmarkCount20000(b *testing.B) {
	l, _, _ := benchLedger(b)
	for b.Loop() {
		if n, err := l.Count(b.Context(), "INBOX"); n != benchRows || err != nil {
			b.Fatal(n, err)
		}
	}
}
