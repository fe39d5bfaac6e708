package migrate_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"iter"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"postcask/migrate"
	"postcask/migrate/memory"
)

// crowd is more than two groups of messages.
const crowd = 3200

func fullHouse() *memory.Store {
	s := memory.New()
	for i := range crowd {
		s.Put(migrate.Inbox, migrate.Message{InternalDate: day}, fmt.Appendf(nil, "Subject: %d\r\n\r\nbody\r\n", i))
	}
	return s
}

// A disk is where diskSinks write to: what is not committed is lost, and nobody else can be asked what became of it.
type disk struct {
	appended   atomic.Int64
	committing atomic.Int64
	before     func(commit int) error // called in the middle of each Commit
	pause      time.Duration          // now and then, while messages come

	mu      sync.Mutex
	commits int
	safe    map[string]int // how often each message is there
}

func (d *disk) open(context.Context) (migrate.Sink, error) { return &diskSink{disk: d}, nil }

type diskSink struct {
	*disk
	inHand []string
}

func (s *diskSink) Create(context.Context, migrate.Mailbox) error { return nil }
func (s *diskSink) Close() error                                  { s.inHand = nil; return nil }

func (s *diskSink) Append(_ context.Context, _ migrate.Path, _ migrate.Message, body migrate.Body) error {
	octets, err := io.ReadAll(body.Reader)
	if err == nil {
		s.inHand = append(s.inHand, string(octets))
		if s.appended.Add(1)%16 == 0 {
			time.Sleep(s.pause)
		}
	}
	return err
}

func (s *diskSink) Commit(context.Context) ([]migrate.Stored, error) {
	if s.committing.Add(1) > 1 {
		return nil, migrate.Errorf(migrate.Failed, "two groups at once")
	}
	defer s.committing.Add(-1)
	s.mu.Lock()
	s.commits++
	n := s.commits
	s.mu.Unlock()
	if s.before != nil {
		if err := s.before(n); err != nil {
			return nil, err
		}
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, octets := range s.inHand {
		s.safe[octets]++
	}
	stored := make([]migrate.Stored, len(s.inHand))
	s.inHand = nil
	return stored, nil
}

// onto gives a Job from a store to a disk.
func onto(from *memory.Store, d *disk, ledger migrate.Ledger) migrate.Job {
	j := job(from, nil, ledger)
	d.safe = map[string]int{}
	j.OpenSink = d.open
	return j
}

func (d *disk) holdsAllOnce(t *testing.T) {
	t.Helper()
	for octets, times := range d.safe {
		if times != 1 {
			t.Errorf("%q is there %d times", octets, times)
		}
	}
	if len(d.safe) != crowd {
		t.Errorf("%d messages have arrived, not %d", len(d.safe), crowd)
	}
}

func TestTheNextGroupIsReadWhileTheOneBeforeIsMadeSafe(t *testing.T) {
	d := &disk{}
	d.before = func(commit int) error {
		if commit > 1 {
			return nil
		}
		for began := time.Now(); d.appended.Load() <= 1500; time.Sleep(time.Millisecond) {
			if time.Since(began) > 10*time.Second {
				return migrate.Errorf(migrate.Failed, "nothing is read meanwhile")
			}
		}
		return nil
	}
	mustRun(t, onto(fullHouse(), d, &memory.Ledger{}))
	d.holdsAllOnce(t)
}

func TestTheLastGroupsGetSmaller(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := &disk{pause: time.Millisecond} // the disk keeps up
		var sizes []int64
		before := int64(0)
		d.before = func(int) error {
			d.mu.Lock()
			defer d.mu.Unlock()
			sizes, before = append(sizes, int64(len(d.safe))-before), int64(len(d.safe))
			return nil
		}
		mustRun(t, onto(fullHouse(), d, &memory.Ledger{}))
		d.holdsAllOnce(t)
		last := int64(len(d.safe)) - before
		if len(sizes) < 4 || last > 300 {
			t.Errorf("groups of %v, and then of %d messages, in the end", sizes[1:], last)
		}
	})
}

func TestAGroupThatIsNotSafeIsMovedOnceMore(t *testing.T) {
	for failing := 1; failing <= 3; failing++ {
		for _, fault := range []error{errTemporary, migrate.Errorf(migrate.Failed, "the disk is gone")} {
			t.Run(fmt.Sprint(failing, fault), func(t *testing.T) {
				t.Parallel()
				d := &disk{before: func(commit int) error {
					if commit == failing {
						return fault
					}
					return nil
				}}
				j := onto(fullHouse(), d, &memory.Ledger{})
				_, err := migrate.Run(t.Context(), j)
				if (err != nil) == migrate.IsTemporary(fault) {
					t.Errorf("got %v", err)
				}
				mustRun(t, j)
				d.holdsAllOnce(t)
			})
		}
	}
}

var errTemporary = migrate.Errorf(migrate.Unavailable, "not now")

// cutSource loses its connection before the nth message.
type cutSource struct {
	migrate.Source
	at *int
}

func (s cutSource) Fetch(ctx context.Context, mbox migrate.Path, messages []migrate.Message) iter.Seq2[migrate.Fetched, error] {
	return func(yield func(migrate.Fetched, error) bool) {
		for f, err := range s.Source.Fetch(ctx, mbox, messages) {
			if *s.at--; *s.at == 0 {
				yield(migrate.Fetched{}, errTemporary)
				return
			}
			if !yield(f, err) {
				return
			}
		}
	}
}

func TestTheSourceIsLostWhileAGroupIsMadeSafe(t *testing.T) {
	for _, at := range []int{1, 1501, 1502, crowd} {
		t.Run(fmt.Sprint(at), func(t *testing.T) {
			t.Parallel()
			d := &disk{before: func(int) error { time.Sleep(5 * time.Millisecond); return nil }}
			from := fullHouse()
			j := onto(from, d, &memory.Ledger{})
			j.OpenSource = func(ctx context.Context) (migrate.Source, error) {
				source, err := from.Open(ctx)
				return cutSource{source, &at}, err
			}
			mustRun(t, j)
			d.holdsAllOnce(t)
			if moved := d.appended.Load(); moved != crowd {
				t.Errorf("%d messages were moved for %d", moved, crowd)
			}
		})
	}
}

func TestAPanicBesideTheReadingReachesTheCaller(t *testing.T) {
	d := &disk{before: func(commit int) error { panic(fmt.Sprint("commit ", commit)) }}
	defer func() {
		if value, ok := recover().(*migrate.Panic); !ok || value.String() != "commit 1" {
			t.Errorf("got %v", value)
		}
	}()
	_, err := migrate.Run(t.Context(), onto(fullHouse(), d, &memory.Ledger{}))
	t.Errorf("no panic, but %v", err)
}

func TestAnInterruptEndsBehindTheGroupThatIsMadeSafe(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		stop := make(chan struct{})
		d := &disk{before: func(commit int) error {
			if commit == 2 {
				close(stop)
				time.Sleep(time.Second) // until the run has heard of it
			}
			return nil
		}}
		j := onto(fullHouse(), d, &memory.Ledger{})
		j.Options.Stop = stop
		summary, err := migrate.Run(t.Context(), j)
		if !errors.Is(err, migrate.ErrStopped) || int(summary.Copied) != len(d.safe) {
			t.Errorf("%d messages are told of, %d safe, %v", summary.Copied, len(d.safe), err)
		}
		j.Options.Stop = nil
		mustRun(t, j)
		d.holdsAllOnce(t)
	})
}

// reads calls each before it gives a message.
type reads struct {
	migrate.Source
	each func()
}

func (s *reads) Fetch(ctx context.Context, mbox migrate.Path, messages []migrate.Message) iter.Seq2[migrate.Fetched, error] {
	return func(yield func(migrate.Fetched, error) bool) {
		for f, err := range s.Source.Fetch(ctx, mbox, messages) {
			s.each()
			if !yield(f, err) {
				return
			}
		}
	}
}

// The disk is full when what was in hand at an interrupt is made safe: that is what the run ends with.
func TestAFullDiskBehindAnInterrupt(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		stop, n := make(chan struct{}), 0
		full := &migrate.Error{Kind: migrate.Refused, Err: errors.New("the disk is full")}
		d := &disk{before: func(int) error { return full }}
		j := onto(fullHouse(), d, &memory.Ledger{})
		j.Options.Stop = stop
		open := j.OpenSource
		j.OpenSource = func(ctx context.Context) (migrate.Source, error) {
			s, err := open(ctx)
			return &reads{s, func() {
				if n++; n == 10 {
					close(stop)
					time.Sleep(time.Second)
				}
			}}, err
		}
		if _, err := migrate.Run(t.Context(), j); !errors.Is(err, full) {
			t.Errorf("the run says %v", err)
		}
	})
}

// An interrupt of a lane that is alone ends with the group that is being made safe, also where messages go to a server.
func TestAnInterruptWithOneConnectionToAServer(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		to, stop, commits := memory.New(), make(chan struct{}), 0
		to.Step = func(op string) error {
			if op == "commit" {
				if commits++; commits == 1 {
					close(stop)
					time.Sleep(time.Second)
				}
			}
			return nil
		}
		j := job(fullHouse(), to, &memory.Ledger{})
		j.Options.Stop = stop
		summary, err := migrate.Run(t.Context(), j)
		if commits != 1 || !errors.Is(err, migrate.ErrStopped) || summary.Copied == 0 || summary.Copied == crowd {
			t.Errorf("%d groups and %d messages were moved: %v", commits, summary.Copied, err)
		}
	})
}
