package migrate_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"iter"
	"net"
	"sync"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"postcask/migrate"
	"postcask/migrate/memory"
)

var broken = &migrate.Error{Kind: migrate.Unavailable, Err: io.ErrUnexpectedEOF}

func busy(pause time.Duration) error {
	return &migrate.Error{Kind: migrate.Unavailable, Advice: migrate.Later, RetryAfter: pause, Err: errors.New("NO [UNAVAILABLE] later")}
}

// touchy is a session with hooks that may give an error in place of an answer.
type touchy struct {
	*memory.Session
	messages func(path migrate.Path) error
	fetch    func(m migrate.Message) error // of one message, as Fetched.Err
	closed   func()
	once     sync.Once
}

func (s *touchy) Messages(ctx context.Context, path migrate.Path) iter.Seq2[migrate.Message, error] {
	return func(yield func(migrate.Message, error) bool) {
		if s.messages != nil {
			if err := s.messages(path); err != nil {
				yield(migrate.Message{}, &migrate.Error{Mailbox: path, Err: err})
				return
			}
		}
		s.Session.Messages(ctx, path)(yield)
	}
}

func (s *touchy) Fetch(ctx context.Context, path migrate.Path, messages []migrate.Message) iter.Seq2[migrate.Fetched, error] {
	return func(yield func(migrate.Fetched, error) bool) {
		for f, err := range s.Session.Fetch(ctx, path, messages) {
			if err == nil && s.fetch != nil {
				f.Err = s.fetch(f.Message)
			}
			if !yield(f, err) {
				return
			}
		}
	}
}

func (s *touchy) Close() error {
	if s.closed != nil {
		s.once.Do(s.closed)
	}
	return s.Session.Close()
}

// patientJob is a job with the waits of every day, in a bubble where they take no time. told gets the retries.
func patientJob(from, to *memory.Store, told *[]migrate.Event) migrate.Job {
	j := job(from, to, &memory.Ledger{})
	j.Options.Backoff = nil
	j.Options.Report = func(e migrate.Event) {
		if e.Type == migrate.EventRetry {
			*told = append(*told, e)
		}
	}
	return j
}

// failing opens with the errors of the list first.
func failing(from *memory.Store, tries *int, errs ...error) func(context.Context) (migrate.Source, error) {
	return func(ctx context.Context) (migrate.Source, error) {
		if *tries++; *tries <= len(errs) && errs[*tries-1] != nil {
			return nil, errs[*tries-1]
		}
		return from.Open(ctx)
	}
}

func TestRunWaitsAsLongAsTheServerAsks(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var told []migrate.Event
		tries := 0
		from, to := filled(), memory.New()
		j := patientJob(from, to, &told)
		j.OpenSource = failing(from, &tries, busy(90*time.Second))
		began := time.Now()
		mustRun(t, j)
		same(t, to, from)
		if took := time.Since(began); took < 90*time.Second || took > 100*time.Second {
			t.Errorf("it waited %v", took)
		}
		if len(told) != 1 || told[0].Delay < 90*time.Second || told[0].Err.Error() != "source: NO [UNAVAILABLE] later" {
			t.Errorf("told: %v", told)
		}
	})
}

func TestRunDoesNotWaitForHours(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var told []migrate.Event
		tries := 0
		from := filled()
		j := patientJob(from, memory.New(), &told)
		j.OpenSource = failing(from, &tries, busy(24*time.Hour))
		began := time.Now()
		if _, err := migrate.Run(t.Context(), j); migrate.KindOf(err) != migrate.Limit || migrate.HintOf(err) == "" || time.Since(began) > 0 {
			t.Errorf("after %v: %v (%s)", time.Since(began), err, migrate.HintOf(err))
		}
	})
}

func TestAWaitEndsWithTheTimeAllowed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var told []migrate.Event
		tries := 0
		from := filled()
		j := patientJob(from, memory.New(), &told)
		j.OpenSource = failing(from, &tries, busy(20*time.Minute))
		j.Options.MaxDuration = time.Minute
		began := time.Now()
		if _, err := migrate.Run(t.Context(), j); migrate.KindOf(err) != migrate.Limit || time.Since(began) != time.Minute {
			t.Errorf("after %v: %v", time.Since(began), err)
		}
	})
}

func TestAWaitEndsWithAnInterrupt(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var told []migrate.Event
		tries := 0
		from := filled()
		j := patientJob(from, memory.New(), &told)
		j.OpenSource = failing(from, &tries, busy(20*time.Minute))
		stop := make(chan struct{})
		j.Options.Stop = stop
		time.AfterFunc(3*time.Second, func() { close(stop) })
		began := time.Now()
		if _, err := migrate.Run(t.Context(), j); !errors.Is(err, migrate.ErrStopped) || time.Since(began) != 3*time.Second {
			t.Errorf("after %v: %v", time.Since(began), err)
		}
	})
}

func TestTriesInARowHaveABudget(t *testing.T) {
	for _, test := range []struct{ retries, tries int }{{-1, 1}, {1, 2}, {3, 4}, {0, 11}} {
		synctest.Test(t, func(t *testing.T) {
			var told []migrate.Event
			tries := 0
			j := patientJob(filled(), memory.New(), &told)
			j.Options.MaxRetries = test.retries
			j.OpenSource = func(context.Context) (migrate.Source, error) { tries++; return nil, broken }
			began := time.Now()
			summary, err := migrate.Run(t.Context(), j)
			if migrate.KindOf(err) != migrate.Unavailable || !errors.Is(err, io.ErrUnexpectedEOF) || tries != test.tries || int(summary.Retries) != tries-1 {
				t.Errorf("--max-retries %d: %d tries, %d retries, %v", test.retries, tries, summary.Retries, err)
			}
			if test.retries >= 0 && migrate.HintOf(err) == "" {
				t.Error("no hint")
			}
			if took := time.Since(began); took > 6*time.Minute {
				t.Errorf("it took %v", took)
			}
			for i, e := range told {
				if most := min(time.Second<<min(i, 6), time.Minute); e.Delay > most || e.Delay < most/2 {
					t.Errorf("wait %d: %v, not between %v and %v", i+1, e.Delay, most/2, most)
				}
			}
		})
	}
}

func TestProgressGivesNewPatience(t *testing.T) {
	for _, lanes := range []int{1, 3} {
		synctest.Test(t, func(t *testing.T) {
			var told []migrate.Event
			var mu sync.Mutex
			steps := 0
			from, to := filled(), memory.New()
			for i := range 60 {
				from.Put(migrate.Path(fmt.Sprint("Box", i)), migrate.Message{InternalDate: day}, fmt.Appendf(nil, "message %d\r\n", i))
			}
			from.Step = func(string) error {
				mu.Lock()
				defer mu.Unlock()
				if steps++; steps%7 == 0 {
					return broken
				}
				return nil
			}
			j := patientJob(from, to, &told)
			j.Options.Lanes, j.Options.MaxRetries = lanes, 3
			summary := mustRun(t, j)
			from.Step = nil
			if summary.Retries < 10 || lanes == 1 && summary.Failed > 0 {
				t.Errorf("%+v", summary)
			}
			if lanes > 1 { // the breaks may have met one message three times
				mustRun(t, j)
			}
			same(t, to, from)
		})
	}
}

func TestAFirstConnectionThatNobodyTakesCostsLittle(t *testing.T) {
	refused := &migrate.Error{Kind: migrate.Unavailable, Err: &net.OpError{Op: "dial", Net: "tcp", Err: syscall.ECONNREFUSED}}
	tooSlow := &migrate.Error{Kind: migrate.Unavailable, Err: &net.OpError{Op: "dial", Net: "tcp", Err: context.DeadlineExceeded}}
	unknown := &migrate.Error{Kind: migrate.Unavailable, Advice: migrate.Never, Err: &net.DNSError{Err: "no such host", IsNotFound: true}}
	untrusted := migrate.Errorf(migrate.Unsafe, "certificate of mail.example.org: expired")
	for _, test := range []struct {
		name   string
		err    error
		kind   migrate.Kind
		before int // tries, when it is so from the start
		after  int // tries, when it is so after the source was open once
	}{
		{"refused", refused, migrate.Unavailable, 3, 12},
		{"no answer", tooSlow, migrate.Unavailable, 1, 12},
		{"unknown name", unknown, migrate.Unavailable, 1, 12},
		{"certificate", untrusted, migrate.Unsafe, 1, 2},
	} {
		t.Run(test.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				for _, worked := range []bool{false, true} {
					var told []migrate.Event
					from, tries := filled(), 0
					j := patientJob(from, memory.New(), &told)
					j.OpenSource = func(ctx context.Context) (migrate.Source, error) {
						if tries++; tries == 1 && worked {
							session, err := from.Open(ctx)
							return &touchy{Session: session, messages: func(migrate.Path) error { return broken }}, err
						}
						return nil, test.err
					}
					began := time.Now()
					_, err := migrate.Run(t.Context(), j)
					want := test.before
					if worked {
						want = test.after
					}
					// The connection that broke is one of the row.
					if worked && want > 2 {
						want--
					}
					if migrate.KindOf(err) != test.kind || tries != want {
						t.Errorf("worked before: %v; %d tries, want %d; %v", worked, tries, want, err)
					}
					if !worked && time.Since(began) > 3*time.Second {
						t.Errorf("a typing error costs %v", time.Since(began))
					}
				}
			})
		})
	}
}

func TestALogInRefusedAfterItWasRightIsTriedOnceMore(t *testing.T) {
	wrong := migrate.Errorf(migrate.Auth, "NO [AUTHENTICATIONFAILED] wrong password")
	for _, test := range []struct {
		name     string
		refusals int // after the first log-in
		lanes    int
		tries    int // refused ones that the server has seen
		kind     migrate.Kind
	}{
		{"once, for a moment", 1, 1, 1, 0},
		{"for good", 1000, 1, 2, migrate.Auth},
		{"for good, four lanes", 1000, 4, 2, migrate.Auth},
	} {
		t.Run(test.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				var told []migrate.Event
				var mu sync.Mutex
				opened, refused := 0, 0
				from, to := filled(), memory.New()
				j := patientJob(from, to, &told)
				j.Options.Lanes = test.lanes
				j.OpenSource = func(ctx context.Context) (migrate.Source, error) {
					mu.Lock()
					defer mu.Unlock()
					if opened++; opened > 1 && refused < test.refusals {
						refused++
						return nil, wrong
					}
					session, err := from.Open(ctx)
					if opened > 1 {
						return session, err
					}
					return &touchy{Session: session, messages: func(path migrate.Path) error {
						if path == "Sent" {
							return broken
						}
						return nil
					}}, err
				}
				_, err := migrate.Run(t.Context(), j)
				if refused != test.tries || err != nil && migrate.KindOf(err) != test.kind || (err == nil) != (test.kind == 0) {
					t.Errorf("the server saw %d refused log-ins, want %d; %v", refused, test.tries, err)
				}
			})
		})
	}
}

// manyBoxes gives a store with work for many lanes.
func manyBoxes() *memory.Store {
	from := filled()
	for i := range 40 {
		from.Put(migrate.Path(fmt.Sprintf("Box/%02d", i)), migrate.Message{InternalDate: day}, fmt.Appendf(nil, "message %d\r\n", i))
	}
	return from
}

func TestRunGoesOnWithFewerConnections(t *testing.T) {
	fewer := &migrate.Error{Kind: migrate.Unavailable, Advice: migrate.Fewer, RetryAfter: time.Second, Err: errors.New("NO [LIMIT] too many connections")}
	for _, refusal := range []error{fewer, broken} { // some servers just hang up
		for allowed := 1; allowed <= 5; allowed++ {
			synctest.Test(t, func(t *testing.T) {
				var told []migrate.Event
				from, to := manyBoxes(), memory.New()
				j := patientJob(from, to, &told)
				j.Options.Lanes = 4
				var mu sync.Mutex
				open, turnedAway := 0, 0
				j.OpenSink = func(ctx context.Context) (migrate.Sink, error) {
					mu.Lock()
					defer mu.Unlock()
					if open == allowed {
						turnedAway++
						return nil, refusal
					}
					open++
					session, err := to.Open(ctx)
					return &touchy{Session: session, closed: func() { mu.Lock(); open--; mu.Unlock() }}, err
				}
				summary := mustRun(t, j)
				same(t, to, from)
				if summary.Copied != 55 || summary.Mailboxes != len(from.Mailboxes()) {
					t.Errorf("%d connections allowed: %+v", allowed, summary)
				}
				if most := 4 * 3; turnedAway > most || refusal == error(fewer) && summary.Retries > 0 {
					t.Errorf("%d connections allowed: turned away %d times, told of %d", allowed, turnedAway, summary.Retries)
				}
			})
		}
	}
}

func TestNothingIsLeftBehindBecauseTheServerIsBusy(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var told []migrate.Event
		from, to := filled(), memory.New()
		j := patientJob(from, to, &told)
		n, m := 0, 0
		j.OpenSource = func(ctx context.Context) (migrate.Source, error) {
			session, err := from.Open(ctx)
			return &touchy{Session: session, fetch: func(migrate.Message) error {
				if n++; n%3 > 0 && n < 40 { // twice in a row, more often than a bad message is tried
					return busy(time.Second)
				}
				return nil
			}}, err
		}
		to.Refuse = func(migrate.Message, []byte) error {
			if m++; m > 3 && m < 6 {
				return busy(time.Second)
			}
			return nil
		}
		summary := mustRun(t, j)
		same(t, to, from)
		if summary.Failed != 0 || summary.Copied != 15 {
			t.Errorf("%+v", summary)
		}
	})
}

func TestADaysLimitEndsTheRunAndLeavesNothingBehind(t *testing.T) {
	spent := migrate.Errorf(migrate.Limit, "NO [OVERQUOTA] Account exceeded command or bandwidth limits")
	from, to, ledger := filled(), memory.New(), &memory.Ledger{}
	j := job(from, to, ledger)
	n := 0
	j.OpenSource = func(ctx context.Context) (migrate.Source, error) {
		session, err := from.Open(ctx)
		return &touchy{Session: session, fetch: func(migrate.Message) error {
			if n++; n > 7 {
				return spent
			}
			return nil
		}}, err
	}
	summary, err := migrate.Run(t.Context(), j)
	if migrate.KindOf(err) != migrate.Limit || summary.Failed != 0 || summary.Copied != 7 || summary.Retries != 0 {
		t.Errorf("%+v, %v", summary, err)
	}
	mustRun(t, job(from, to, ledger)) // the next day
	same(t, to, from)
}

func TestAMailboxThatBreaksTheConnectionIsPassedBy(t *testing.T) {
	for _, test := range []struct {
		name   string
		breaks func(migrate.Path) bool
		failed int64
		dead   bool
	}{
		{"one", func(path migrate.Path) bool { return path == "Sent" }, 1, false},
		{"every one", func(migrate.Path) bool { return true }, 3, true},
	} {
		t.Run(test.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				var told []migrate.Event
				from, to := filled(), memory.New()
				j := patientJob(from, to, &told)
				j.OpenSource = func(ctx context.Context) (migrate.Source, error) {
					session, err := from.Open(ctx)
					return &touchy{Session: session, messages: func(path migrate.Path) error {
						if test.breaks(path) {
							return broken
						}
						return nil
					}}, err
				}
				summary, err := migrate.Run(t.Context(), j)
				if summary.MailboxesFailed != test.failed || (err != nil) != test.dead {
					t.Errorf("%+v, %v", summary, err)
				}
				if test.dead && migrate.KindOf(err) != migrate.Unavailable || !test.dead && (summary.Copied != 10 || summary.Retries != 2) {
					t.Errorf("%+v, %v", summary, err)
				}
			})
		})
	}
}

func TestOneBadMessageCostsAHandfulOfConnections(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var told []migrate.Event
		from, to := filled(), memory.New()
		j := patientJob(from, to, &told)
		j.OpenSink = func(ctx context.Context) (migrate.Sink, error) {
			session, err := to.Open(ctx)
			return &allergic{Session: session}, err
		}
		summary := mustRun(t, j)
		if summary.Failed != 1 || summary.Copied != 14 || summary.Retries > 5 {
			t.Errorf("%+v", summary)
		}
	})
}

// TestCompareCutAnywhere breaks the source at step n, for every n: what is missing is told once, and nothing else.
func TestCompareCutAnywhere(t *testing.T) {
	from, to, ledger := filled(), memory.New(), &memory.Ledger{}
	mustRun(t, job(from, to, ledger))
	from.Put("INBOX", migrate.Message{}, []byte("new"))
	from.Put("Work/2020", migrate.Message{}, from.Messages("Work/2020")[0].Octets)
	to.Put("INBOX", migrate.Message{}, []byte("of the destination")) // so that octets have to be read
	for n := 1; ; n++ {
		step, retries := 0, 0
		from.Step = func(string) error {
			if step++; step == n {
				return broken
			}
			return nil
		}
		j := job(from, to, ledger)
		j.Options.Report = func(migrate.Event) { retries++ }
		var missing []string
		result, err := migrate.Compare(t.Context(), j, nil, func(m migrate.Missing) { missing = append(missing, string(m.Mailbox)) })
		if err != nil || result.Messages != 17 || result.Missing != 2 || fmt.Sprint(missing) != "[INBOX Work/2020]" {
			t.Errorf("cut at step %d: %+v %v, %v", n, result, missing, err)
		}
		if step < n {
			if n < 8 || retries != 0 {
				t.Errorf("only %d steps, %d retries", n, retries)
			}
			return
		}
		if retries != 1 {
			t.Errorf("cut at step %d: %d retries", n, retries)
		}
	}
}

func TestCompareHasABudget(t *testing.T) {
	from, to, ledger := filled(), memory.New(), &memory.Ledger{}
	mustRun(t, job(from, to, ledger))
	from.Step = func(string) error { return broken }
	for retries, want := range map[int]int{-1: 1, 2: 3, 0: 11} {
		j := job(from, to, ledger)
		tries := 0
		open := j.OpenSource
		j.OpenSource = func(ctx context.Context) (migrate.Source, error) { tries++; return open(ctx) }
		j.Options.MaxRetries = retries
		if _, err := migrate.Compare(t.Context(), j, nil, func(migrate.Missing) {}); migrate.KindOf(err) != migrate.Unavailable || tries != want {
			t.Errorf("MaxRetries %d: %d tries, want %d; %v", retries, tries, want, err)
		}
	}
}
