package archive

import (
	"errors"
	"io/fs"
	"os"
	"sync"
	"syscall"
	"time"

	"golang.org/x/sync/errgroup"
)

// The ways to make the files of a group durable.
const (
	each     = iota // fsync(2) of each file, several at once
	together        // one syncfs(2) for all; it writes what other programs have in memory too
	ways
)

const (
	syncLanes    = 8  // files synced at once: the disk puts their journal commits together
	fewFiles     = 4  // so few are not worth the sync of a whole file system
	triesOfEach  = 2  // of each way before one is preferred; the first may pay for what others wrote before
	triesBetween = 32 // the other way is tried again after this, times how much dearer it was
	mostBetween  = 512

	cheapFile = time.Millisecond // while a file costs less, syncfs pays for nobody else, and the other way is not tried
)

// A syncer makes the files of Maildir groups durable, the way that costs less here and now. It is safe for use by
// several goroutines; those that wait for syncfs at the same time share one.
type syncer struct {
	disk *disk
	few  int

	turn chan struct{} // holds one token, for who is in syncfs

	mu      sync.Mutex
	fs      *os.File // by which syncfs names the file system, opened before anything was written; nil: no syncfs
	next    *round   // that nobody is in yet
	failed  uint64   // calls of syncfs that told of an error
	tries   [ways]int
	cost    [ways]time.Duration // for one file, smoothed
	between int                 // uses until the other way is tried again
}

// A round is one syncfs, with those who share it: all who had written their files before it began.
type round struct {
	done chan struct{}
	err  error
}

func newSyncer(d *disk, dir *folder) *syncer {
	s := &syncer{disk: d, few: fewFiles, fs: openForSyncfs(dir), turn: make(chan struct{}, 1)}
	s.turn <- struct{}{}
	return s
}

func (s *syncer) close() error {
	if s.fs == nil {
		return nil
	}
	return s.fs.Close()
}

// failures tells how often syncfs has told of an error. It is to be asked before the first octet of some files is
// written, and sync wants to know.
func (s *syncer) failures() uint64 {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.failed
}

// sync makes files of dir durable, which must be open since they were made; failures is as it was then. A failed sync is
// final: what the disk holds cannot be known then, and the files have to be written anew.
func (s *syncer) sync(dir *folder, files []*os.File, failures uint64) error {
	way := s.choose(dir, len(files))
	began := s.disk.now()
	if way == each || !s.together(failures) {
		if err := s.each(files); err != nil {
			return err
		}
	}
	if len(files) > s.few {
		s.learn(way, s.disk.now().Sub(began)/time.Duration(len(files)))
	}
	return nil
}

func (s *syncer) each(files []*os.File) error {
	var lanes errgroup.Group
	lanes.SetLimit(syncLanes)
	for _, f := range files {
		lanes.Go(func() error { return s.disk.sync(f) })
	}
	return lanes.Wait()
}

// together waits for a syncfs that begins from now on, and tells whether it vouches for files that were begun when there
// had been so many failures. The call names no file and tells of an error once: after one, whoever was told of it, only
// fsync can tell whose octets are concerned, since each file keeps its own error for those who have it open.
func (s *syncer) together(failures uint64) bool {
	s.mu.Lock()
	r := s.next
	leads := r == nil
	if leads {
		r = &round{done: make(chan struct{})}
		s.next = r
	}
	s.mu.Unlock()
	if leads {
		s.lead(r)
	} else {
		<-r.done
	}
	return r.err == nil && s.failures() == failures
}

func (s *syncer) lead(r *round) {
	<-s.turn
	defer func() { s.turn <- struct{}{} }()
	s.mu.Lock()
	s.next = nil // who comes now may have written too late for it
	s.mu.Unlock()
	r.err = s.disk.syncfs(s.fs)
	if r.err != nil {
		s.mu.Lock()
		s.failed++
		if neverWorks(r.err) {
			s.tries[together] = -1
		}
		s.mu.Unlock()
	}
	close(r.done)
}

// neverWorks tells that a system or its rules do not have a call.
func neverWorks(err error) bool {
	return errors.Is(err, errors.ErrUnsupported) || errors.Is(err, fs.ErrPermission) || errors.Is(err, syscall.EINVAL)
}

// choose picks the way for so many files of dir.
func (s *syncer) choose(dir *folder, files int) int {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.fs == nil || s.tries[together] < 0 || files <= s.few || !sameFileSystem(s.fs, dir) {
		return each
	}
	cheap, dear := together, each
	if s.cost[each] < s.cost[together] {
		cheap, dear = each, together
	}
	switch {
	case s.tries[each] == 0 && (s.tries[together] == 0 || s.cost[together] < cheapFile):
		return together
	case min(s.tries[each], s.tries[together]) < triesOfEach:
		if s.tries[together] <= s.tries[each] {
			return together
		}
		return each
	case s.between > 0:
		s.between--
		return cheap
	}
	s.between = min(mostBetween, triesBetween*int(1+s.cost[dear]/max(1, s.cost[cheap])))
	return dear
}

// learn notes what a file cost. Good news is believed at once, bad news by half: it may be a hiccup.
func (s *syncer) learn(way int, cost time.Duration) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.tries[way] < 0 {
		return
	}
	if s.tries[way]++; s.tries[way] > 1 {
		cost = min(cost, (s.cost[way]+cost)/2)
	}
	s.cost[way] = cost
}
