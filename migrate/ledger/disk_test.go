package ledger

import (
	"slices"
	"sync"
	"testing"
	"unsafe"

	"go.uber.org/goleak"
	"modernc.org/libc"
	sqlite3 "modernc.org/sqlite/lib"
)

// The disk under SQLite in these tests fails on cue, and remembers what was written and when it was synced.
func TestMain(m *testing.M) {
	layDisk()
	goleak.VerifyTestMain(m)
}

// A diskCall is one call that changes something on the disk.
type diskCall struct {
	does   string // write, sync, truncate or delete
	file   string
	offset int64 // where to write, or where to cut
	octets []byte
}

// A breakdown tells which calls fail, and how.
type breakdown struct {
	at    int   // the first that fails, counted from 1; 0 is none
	stays bool  // and all behind it
	code  int32 // what a write that fails says
	short bool  // half of it is written before
}

// disk is the one below all databases; a test that sets it up has it for itself.
var disk struct {
	mu     sync.Mutex
	system sqlite3.Tsqlite3_vfs
	tables map[uintptr]uintptr // a diskTable for each table of the system's
	names  map[uintptr]string  // of open files
	calls  []diskCall
	plan   breakdown
	busy   bool // a test looks on
}

type diskTable struct {
	ours   sqlite3.Tsqlite3_io_methods // first: SQLite knows this much
	system sqlite3.Tsqlite3_io_methods
}

// watch lets the disk fail as planned, until rest, which gives the calls there were.
func watch(plan breakdown) (rest func() []diskCall) {
	disk.mu.Lock()
	defer disk.mu.Unlock()
	disk.plan, disk.calls, disk.busy = plan, nil, true
	return func() []diskCall {
		disk.mu.Lock()
		defer disk.mu.Unlock()
		disk.busy = false
		return disk.calls
	}
}

// callsSoFar tells how many calls there were.
func callsSoFar() int {
	disk.mu.Lock()
	defer disk.mu.Unlock()
	return len(disk.calls)
}

// goes notes a call, and tells how it is to fail, if at all.
func goes(does string, file uintptr, name string, offset int64, octets []byte) (plan breakdown, fails bool) {
	disk.mu.Lock()
	defer disk.mu.Unlock()
	if !disk.busy {
		return plan, false
	}
	if name == "" {
		name = disk.names[file]
	}
	disk.calls = append(disk.calls, diskCall{does, name, offset, slices.Clone(octets)})
	n := len(disk.calls)
	return disk.plan, disk.plan.at > 0 && (n == disk.plan.at || n > disk.plan.at && disk.plan.stays)
}

// layDisk puts the disk where SQLite takes it for the system's.
func layDisk() {
	tls := libc.NewTLS()
	defer tls.Close()
	disk.system = *at[sqlite3.Tsqlite3_vfs](sqlite3.Xsqlite3_vfs_find(tls, 0))
	disk.tables, disk.names = map[uintptr]uintptr{}, map[uintptr]string{}
	name, err := libc.CString("disk")
	if err != nil {
		panic(err)
	}
	ours := allocate[sqlite3.Tsqlite3_vfs](tls)
	vfs := at[sqlite3.Tsqlite3_vfs](ours)
	*vfs = disk.system
	vfs.FpNext, vfs.FzName = 0, name
	vfs.FxOpen, vfs.FxDelete = pointer(openFunc(openOnDisk)), pointer(deleteFunc(deleteOnDisk))
	if code := sqlite3.Xsqlite3_vfs_register(tls, ours, 1); code != sqlite3.SQLITE_OK {
		panic(code)
	}
}

type (
	syncFunc   = func(tls *libc.TLS, file uintptr, flags int32) int32
	cutFunc    = func(tls *libc.TLS, file uintptr, size int64) int32
	deleteFunc = func(tls *libc.TLS, vfs, name uintptr, sync int32) int32
)

func openOnDisk(tls *libc.TLS, vfs, name, file uintptr, flags int32, out uintptr) int32 {
	code := function[openFunc](disk.system.FxOpen)(tls, vfs, name, file, flags, out)
	opened := at[sqlite3.Tsqlite3_file](file)
	if code != sqlite3.SQLITE_OK || opened.FpMethods == 0 || name == 0 {
		return code
	}
	disk.mu.Lock()
	defer disk.mu.Unlock()
	ours, ok := disk.tables[opened.FpMethods]
	if !ok {
		ours = allocate[diskTable](tls)
		t := at[diskTable](ours)
		t.system = *at[sqlite3.Tsqlite3_io_methods](opened.FpMethods)
		t.ours = t.system
		t.ours.FxWrite, t.ours.FxSync, t.ours.FxTruncate = pointer(moveFunc(writeOnDisk)), pointer(syncFunc(syncOnDisk)), pointer(cutFunc(cutOnDisk))
		disk.tables[opened.FpMethods] = ours
	}
	disk.names[file] = libc.GoString(name)
	opened.FpMethods = ours
	return code
}

// below gives what the system would do with a file.
func below(file uintptr) sqlite3.Tsqlite3_io_methods {
	table := at[sqlite3.Tsqlite3_file](file).FpMethods
	registered.mu.Lock()
	defer registered.mu.Unlock()
	for inner, ours := range registered.tables {
		if ours == table { // a database, whose pages have sums
			table = inner
		}
	}
	return at[diskTable](table).system
}

func writeOnDisk(tls *libc.TLS, file, buf uintptr, count int32, offset int64) int32 {
	write := function[moveFunc](below(file).FxWrite)
	if plan, fails := goes("write", file, "", offset, unsafe.Slice(at[byte](buf), count)); fails {
		if plan.short {
			write(tls, file, buf, count/2, offset)
		}
		return plan.code
	}
	return write(tls, file, buf, count, offset)
}

func syncOnDisk(tls *libc.TLS, file uintptr, flags int32) int32 {
	if _, fails := goes("sync", file, "", 0, nil); fails {
		return sqlite3.SQLITE_IOERR_FSYNC
	}
	return sqlite3.SQLITE_OK // no power is lost here but in our own play
}

func cutOnDisk(tls *libc.TLS, file uintptr, size int64) int32 {
	if _, fails := goes("truncate", file, "", size, nil); fails {
		return sqlite3.SQLITE_IOERR_TRUNCATE
	}
	return function[cutFunc](below(file).FxTruncate)(tls, file, size)
}

func deleteOnDisk(tls *libc.TLS, vfs, name uintptr, sync int32) int32 {
	if _, fails := goes("delete", 0, libc.GoString(name), 0, nil); fails {
		return sqlite3.SQLITE_IOERR_DELETE
	}
	return function[deleteFunc](disk.system.FxDelete)(tls, vfs, name, sync)
}
