package archive

import (
	"os"
	"testing"
)

// A mailbox on a file system of its own is not reached by a sync of the archive's.
func TestSyncfsReachesNoOtherFileSystem(t *testing.T) {
	a := newArchive(t, Maildir)
	syncTogether(t, a)
	other, err := openFolder("/proc")
	if err != nil {
		t.Fatal(err)
	}
	defer other.close()
	if way := a.syncer.choose(other, 100); way != each {
		t.Error("syncfs is to vouch for another file system")
	}
	if way := a.syncer.choose(a.top, 100); way != together {
		t.Error("syncfs is not to vouch for its own")
	}
	if f, err := os.Open(a.dir); err != nil || syncfs(f) != nil || f.Close() != nil {
		t.Error("the call itself does not work")
	}
	if openForSyncfs(other) != nil {
		t.Error("syncfs is to be used on a file system that is no disk's")
	}
}

func TestKernelVersions(t *testing.T) {
	if !since(2, 6) || since(99, 0) {
		t.Error("this kernel is taken for another")
	}
}
