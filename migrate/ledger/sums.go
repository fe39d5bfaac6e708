package ledger

import (
	"encoding/binary"
	"hash/crc32"
	"math"
)

// Each page of a database ends in a sum of its own, in octets that SQLite leaves to others ("reserved space", section
// 1.3.4 of its file format): the CRC-32C of the page's number and of all that comes before the sum, both in big-endian
// order. SQLite finds a page that makes no sense, but not the bit that turns one flag, date or UID into another, nor a
// page that the disk wrote in another's place; the sum finds each, whenever a page is read, and costs no more than what
// is read. Pages in the write-ahead log have sums of SQLite's own.
const (
	pageSize = 4096
	sumSize  = 4
	sumAt    = pageSize - sumSize
)

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// sumOf gives the sum that page number n, counted from 1, has to bear.
func sumOf(n uint32, page []byte) uint32 {
	number := binary.BigEndian.AppendUint32(make([]byte, 0, 4), n)
	return crc32.Update(crc32.Checksum(number, castagnoli), castagnoli, page[:sumAt])
}

// putSum writes the sum of a page into its end.
func putSum(n uint32, page []byte) {
	binary.BigEndian.PutUint32(page[sumAt:], sumOf(n, page))
}

// hasSum tells whether a page is as it was written.
func hasSum(n uint32, page []byte) bool {
	return binary.BigEndian.Uint32(page[sumAt:]) == sumOf(n, page)
}

// pageAt gives the number of the page that holds the octet at offset.
func pageAt(offset int64) (n uint32, ok bool) {
	n64 := offset/pageSize + 1
	return uint32(n64), offset >= 0 && n64 <= math.MaxUint32
}

// Places in the first page of any SQLite database (its file format, section 1.3).
const (
	atPageSize    = 16
	atModes       = 18 // to write and to read; 2 is the write-ahead log
	atReserved    = 20
	atFractions   = 21 // three, always the same
	atChanges     = 24
	atPages       = 28
	atSchema      = 44
	atEncoding    = 56
	atVersion     = 60
	atApplication = 68
	atValidFor    = 92
	atRoot        = 100 // of the table of tables
)

const magic = "SQLite format 3\x00"

// isBare tells, of the first page of a database, that its pages are not meant to have sums: it is no database, another
// program's, or from a version before sums were.
func isBare(page []byte) bool {
	ours := binary.BigEndian.Uint32(page[atApplication:]) == applicationID
	return string(page[:len(magic)]) != magic ||
		page[atReserved] == 0 && !(ours && binary.BigEndian.Uint32(page[atVersion:]) >= sumsSince)
}

// emptyDatabase gives the one page of a database without tables, whose pages have sums.
func emptyDatabase() []byte {
	page := make([]byte, pageSize)
	copy(page, magic)
	binary.BigEndian.PutUint16(page[atPageSize:], pageSize)
	page[atModes], page[atModes+1] = 2, 2
	page[atReserved] = sumSize
	copy(page[atFractions:], []byte{64, 32, 32})
	binary.BigEndian.PutUint32(page[atChanges:], 1)
	binary.BigEndian.PutUint32(page[atPages:], 1)
	binary.BigEndian.PutUint32(page[atSchema:], 4)
	binary.BigEndian.PutUint32(page[atEncoding:], 1) // UTF-8
	binary.BigEndian.PutUint32(page[atValidFor:], 1)
	page[atRoot] = 13                                  // a leaf
	binary.BigEndian.PutUint16(page[atRoot+5:], sumAt) // where its cells would begin
	putSum(1, page)
	return page
}
