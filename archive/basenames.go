package archive

import (
	"hash/maphash"
	"slices"
	"sort"
)

// A baseNames holds the base names of the files of a Maildir, with a number to each, in 12 octets: a mailbox may hold many.
// Names are added first, then sorted, then looked for.
type baseNames struct {
	hashes  []uint64
	numbers []uint32
}

var baseSeed = maphash.MakeSeed()

// newBaseNames makes room for about so many names.
func newBaseNames(count int64) *baseNames {
	return &baseNames{make([]uint64, 0, count), make([]uint32, 0, count)}
}

func (n *baseNames) add(base string, number uint32) {
	n.hashes = append(n.hashes, maphash.String(baseSeed, base))
	n.numbers = append(n.numbers, number)
}

func (n *baseNames) sort() { sort.Sort(byHash{n}) }

// find gives the number of a name, to be read or changed, or nil where the name is not there. Of a name that was added
// more than once it is the same each time.
func (n *baseNames) find(base string) *uint32 {
	at, ok := slices.BinarySearch(n.hashes, maphash.String(baseSeed, base))
	if !ok {
		return nil
	}
	return &n.numbers[at]
}

type byHash struct{ *baseNames }

func (n byHash) Len() int           { return len(n.hashes) }
func (n byHash) Less(i, j int) bool { return n.hashes[i] < n.hashes[j] }
func (n byHash) Swap(i, j int) {
	n.hashes[i], n.hashes[j] = n.hashes[j], n.hashes[i]
	n.numbers[i], n.numbers[j] = n.numbers[j], n.numbers[i]
}
