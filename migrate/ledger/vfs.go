package ledger

import (
	"errors"
	"sync"
	"unsafe"

	"modernc.org/libc"
	sqlite3 "modernc.org/sqlite/lib"
)

// SQLite reaches files through a table of functions, its VFS. Ours is the system's own, but that what it reads from a
// database, and writes to it, goes past the sums of pages.
const vfsName = "postcask"

type (
	openFunc = func(tls *libc.TLS, vfs, name, file uintptr, flags int32, out uintptr) int32
	moveFunc = func(tls *libc.TLS, file, buf uintptr, count int32, offset int64) int32 // reads or writes
)

// methods is a table of what can be done with an open file: the system's, with our own way to read and write. Like all
// that SQLite keeps pointers to, it lies in SQLite's memory.
type methods struct {
	table sqlite3.Tsqlite3_io_methods // first: SQLite knows this much
	inner uintptr                     // the system's table
	read  uintptr                     // what that has to read and write
	write uintptr
}

var registered struct {
	open   openFunc // the system's
	mu     sync.Mutex
	tables map[uintptr]uintptr // methods by the system's table; there is one for each way to lock files
}

var errNoVFS = errors.New("SQLite takes no way to reach files but its own")

// registerVFS makes our VFS known to SQLite, once.
var registerVFS = sync.OnceValue(func() error {
	tls := libc.NewTLS()
	defer tls.Close()
	system, ours := sqlite3.Xsqlite3_vfs_find(tls, 0), allocate[sqlite3.Tsqlite3_vfs](tls)
	name, err := libc.CString(vfsName)
	if system == 0 || ours == 0 || err != nil {
		return errors.Join(errNoVFS, err)
	}
	vfs := at[sqlite3.Tsqlite3_vfs](ours)
	*vfs = *at[sqlite3.Tsqlite3_vfs](system)
	registered.open, registered.tables = function[openFunc](vfs.FxOpen), map[uintptr]uintptr{}
	vfs.FpNext, vfs.FzName, vfs.FxOpen = 0, name, pointer(openFunc(openFile))
	if sqlite3.Xsqlite3_vfs_register(tls, ours, 0) != sqlite3.SQLITE_OK {
		return errNoVFS
	}
	return nil
})

func openFile(tls *libc.TLS, vfs, name, file uintptr, flags int32, out uintptr) int32 {
	code := registered.open(tls, vfs, name, file, flags, out)
	opened := at[sqlite3.Tsqlite3_file](file)
	if code != sqlite3.SQLITE_OK || flags&sqlite3.SQLITE_OPEN_MAIN_DB == 0 || opened.FpMethods == 0 {
		return code
	}
	if ours := around(tls, opened.FpMethods); ours != 0 {
		opened.FpMethods = ours
		return code
	}
	return sqlite3.SQLITE_NOMEM // SQLite closes a file that has methods
}

// around gives our table around one of the system's, or 0 where there is no memory for it.
func around(tls *libc.TLS, inner uintptr) uintptr {
	registered.mu.Lock()
	defer registered.mu.Unlock()
	if ours, ok := registered.tables[inner]; ok {
		return ours
	}
	ours := allocate[methods](tls)
	if ours == 0 {
		return 0
	}
	m := at[methods](ours)
	*m = methods{table: *at[sqlite3.Tsqlite3_io_methods](inner), inner: inner}
	m.read, m.write = m.table.FxRead, m.table.FxWrite
	m.table.FxRead, m.table.FxWrite = pointer(moveFunc(readChecked)), pointer(moveFunc(writeSummed))
	m.table.FiVersion = min(m.table.FiVersion, 2) // version 3 maps files into memory, past us
	registered.tables[inner] = ours
	return ours
}

// headSize is how much of a database SQLite reads when it opens it, without a lock and before it has seen the log, to
// learn how large pages are.
const headSize = 100

// readChecked reads a page or a part of one, and says SQLITE_CORRUPT where its sum is not right. The head may be read
// while its page is half written, or is left so by a crash, which the log mends: whoever needs more than the size of
// pages reads the page again.
func readChecked(tls *libc.TLS, file, buf uintptr, count int32, offset int64) int32 {
	m := at[methods](at[sqlite3.Tsqlite3_file](file).FpMethods)
	n, ok := pageAt(offset)
	within := offset % pageSize
	if !ok || within+int64(count) > pageSize {
		return sqlite3.SQLITE_CORRUPT // no page of ours
	}
	whole := buf
	if count < pageSize {
		if whole = sqlite3.Xsqlite3_malloc(tls, pageSize); whole == 0 {
			return sqlite3.SQLITE_IOERR_NOMEM
		}
		defer sqlite3.Xsqlite3_free(tls, whole)
	}
	read := function[moveFunc](m.read)
	code := read(tls, file, whole, pageSize, offset-within)
	if code != sqlite3.SQLITE_OK {
		if count < pageSize { // as from a file that ends here
			code = read(tls, file, buf, count, offset)
		}
		return code
	}
	page := unsafe.Slice(at[byte](whole), pageSize)
	if !hasSum(n, page) {
		switch {
		case n == 1 && isBare(page):
			at[sqlite3.Tsqlite3_file](file).FpMethods = m.inner
		case n > 1 || within+int64(count) > headSize:
			return sqlite3.SQLITE_CORRUPT
		}
	}
	if count < pageSize {
		copy(unsafe.Slice(at[byte](buf), count), page[within:])
	}
	return sqlite3.SQLITE_OK
}

// writeSummed writes a whole page with its sum. That goes into SQLite's own buffer, at a place that it never looks at.
func writeSummed(tls *libc.TLS, file, buf uintptr, count int32, offset int64) int32 {
	m := at[methods](at[sqlite3.Tsqlite3_file](file).FpMethods)
	n, ok := pageAt(offset)
	if !ok || count != pageSize || offset%pageSize != 0 {
		return sqlite3.SQLITE_IOERR_WRITE // no page of ours
	}
	page := unsafe.Slice(at[byte](buf), pageSize)
	if n == 1 && page[atReserved] != sumSize {
		return sqlite3.SQLITE_CORRUPT // what is there is less than a page, so SQLite took it for nothing and begins anew
	}
	putSum(n, page)
	return function[moveFunc](m.write)(tls, file, buf, count, offset)
}

// allocate gives room for a T in SQLite's memory, for good, or 0 where there is none.
func allocate[T any](tls *libc.TLS) uintptr {
	var t T
	return sqlite3.Xsqlite3_malloc(tls, int32(unsafe.Sizeof(t)))
}

// at gives what lies at an address that SQLite handed out.
func at[T any](address uintptr) *T { return *(**T)(unsafe.Pointer(&address)) }

// pointer gives a function of this package as SQLite keeps it, and function is the way back: in C translated to Go, a
// pointer to a function is what a func value holds.
func pointer[F any](f F) uintptr { return *(*uintptr)(unsafe.Pointer(&f)) }

func function[F any](address uintptr) F { return *(*F)(unsafe.Pointer(&address)) }
