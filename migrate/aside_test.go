package migrate_test

import (
	"context"
	"errors"
	"io/fs"
	"iter"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"postcask/migrate"
	"postcask/migrate/memory"
)

// refusing is a pair of stores of which the second refuses one message, with a quarantine.
type refusing struct {
	from, to *memory.Store
	ledger   *memory.Ledger
	job      migrate.Job
	dir      string
	tries    int // to store the message that is refused
}

const bad = "Subject: 2\r\n\r\nbody in Sent\r\n"

func newRefusing(t *testing.T) *refusing {
	r := &refusing{from: filled(), to: memory.New(), ledger: &memory.Ledger{}, dir: filepath.Join(t.TempDir(), "quarantine")}
	r.to.Refuse = func(_ migrate.Message, octets []byte) error {
		if string(octets) == bad {
			r.tries++
			return errors.New("NO [TOOBIG] over \x1b[2J the limit")
		}
		return nil
	}
	r.job = job(r.from, r.to, r.ledger)
	r.job.Quarantine, r.job.Options.Version = migrate.NewQuarantine(r.dir), "1.0"
	return r
}

func TestARefusedMessageIsSetAsideWithTheReason(t *testing.T) {
	r := newRefusing(t)
	for run := range 3 {
		if summary := mustRun(t, r.job); summary.Quarantined != 1 || summary.Failed != 0 || summary.Copied+summary.Present != 14 {
			t.Errorf("run %d: %+v", run, summary)
		}
	}
	if r.tries != 1 {
		t.Errorf("it was tried %d times", r.tries)
	}
	files, err := filepath.Glob(filepath.Join(r.dir, "*"))
	if err != nil || len(files) != 2 {
		t.Fatalf("set aside: %q, %v", files, err)
	}
	octets, err := os.ReadFile(files[0])
	if err != nil || string(octets) != bad {
		t.Errorf("octets %q, %v", octets, err)
	}
	note, err := os.ReadFile(files[1])
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"This message is larger than the destination takes", "NO [TOOBIG] over \uFFFD[2J the limit", `"Sent"`, "UID 5", "UIDVALIDITY", "2019-03-01T16:00:00+01:00",
		"SHA-256:", filepath.Base(files[0])} {
		if !strings.Contains(string(note), want) {
			t.Errorf("the note lacks %q:\n%s", want, note)
		}
	}
	if strings.ContainsRune(string(note), 0x1b) {
		t.Errorf("the note holds a control character: %q", note)
	}
	_ = filepath.WalkDir(r.dir, func(path string, entry fs.DirEntry, err error) error {
		if err != nil {
			t.Error(err)
			return err
		}
		if info, err := entry.Info(); err != nil || info.Mode().Perm()&0o077 != 0 {
			t.Errorf("%s: mode %v, %v", path, info.Mode(), err)
		}
		return nil
	})
}

func TestWhatWasSetAsideIsTriedAgainOnlyWhenSomethingMayHaveChanged(t *testing.T) {
	key := migrate.Key{}
	for name, test := range map[string]struct {
		change func(r *refusing)
		tries  int
	}{
		"nothing":                     {func(*refusing) {}, 1},
		"another version of postcask": {func(r *refusing) { r.job.Options.Version = "1.1" }, 2},
		"eight days went by":          {func(r *refusing) { age(t, r, key, 8*24*time.Hour) }, 2},
		"six days went by":            {func(r *refusing) { age(t, r, key, 6*24*time.Hour) }, 1},
		"the clock was years ahead":   {func(r *refusing) { age(t, r, key, -1000*24*time.Hour) }, 2},
		"it goes to another mailbox":  {func(r *refusing) { r.job.Options.Mapping.Moves = []migrate.Move{{From: "Sent", To: "Gone"}} }, 2},
		"the message is another": {func(r *refusing) {
			r.from.Replace("Sent", key, migrate.Message{InternalDate: day.Add(77)}, []byte("short"))
		}, 1},
		"the destination takes it now":  {func(r *refusing) { r.to.Refuse = nil; r.job.Options.Version = "1.1" }, 1},
		"the limit grew":                {func(r *refusing) { limit(r, 10, 1000) }, 2},
		"the limit is gone":             {func(r *refusing) { limit(r, 10, 0) }, 2},
		"the limit shrank":              {func(r *refusing) { limit(r, 10, 5) }, 1},
		"the limit is not the question": {func(r *refusing) { limit(r, 500, 1000) }, 1},
	} {
		t.Run(name, func(t *testing.T) {
			r := newRefusing(t)
			key = r.from.Messages("Sent")[4].Key
			mustRun(t, r.job)
			test.change(r)
			summary := mustRun(t, r.job)
			if r.tries != test.tries {
				t.Errorf("it was tried %d times, want %d", r.tries, test.tries)
			}
			quarantined := int64(1)
			if name == "the message is another" || name == "the destination takes it now" {
				quarantined = 0
			}
			if summary.Quarantined != quarantined || summary.Failed != 0 || summary.Messages != 15 {
				t.Errorf("%+v", summary)
			}
			if files, err := os.ReadDir(r.dir); err != nil || len(files) != 2 {
				t.Errorf("%d files, %v", len(files), err)
			}
		})
	}
}

// age makes the ledger believe that a message was set aside some time ago.
func age(t *testing.T, r *refusing, key migrate.Key, ago time.Duration) {
	t.Helper()
	entries, err := r.ledger.Lookup(t.Context(), "Sent", []migrate.Key{key})
	if err != nil || entries[0].State != migrate.SetAside {
		t.Fatalf("%+v, %v", entries, err)
	}
	entries[0].Attempt.Time = time.Now().Add(-ago)
	if err := r.ledger.Record(t.Context(), "Sent", entries); err != nil {
		t.Fatal(err)
	}
}

// limit makes the ledger believe that the destination announced a limit, and has it announce another one.
func limit(r *refusing, then, now int64) {
	key := r.from.Messages("Sent")[4].Key
	entries, _ := r.ledger.Lookup(context.Background(), "Sent", []migrate.Key{key})
	entries[0].Attempt.Limit = then
	_ = r.ledger.Record(context.Background(), "Sent", entries)
	r.job.OpenSink = func(ctx context.Context) (migrate.Sink, error) {
		session, err := r.to.Open(ctx)
		return &bounded{session, now}, err
	}
}

type bounded struct {
	*memory.Session
	limit int64
}

func (b *bounded) Limit() int64 { return b.limit }

func TestWhatCannotBeSetAsideIsLeftBehind(t *testing.T) {
	for name, plant := range map[string]func(dir string) error{
		"a link in its place": func(dir string) error { return os.Symlink(os.TempDir(), dir) },
		"a file in its place": func(dir string) error { return os.WriteFile(dir, nil, 0o600) },
		"no folder above":     func(dir string) error { return os.RemoveAll(filepath.Dir(dir)) },
	} {
		t.Run(name, func(t *testing.T) {
			r := newRefusing(t)
			if err := plant(r.dir); err != nil {
				t.Fatal(err)
			}
			var told string
			r.job.Options.Report = func(e migrate.Event) {
				if e.Outcome == migrate.Left {
					told = e.Err.Error()
				}
			}
			if summary := mustRun(t, r.job); summary.Failed != 1 || summary.Quarantined != 0 || summary.Copied != 14 {
				t.Errorf("%+v", summary)
			}
			if !strings.Contains(told, "TOOBIG") || !strings.Contains(told, "could not be set aside") {
				t.Errorf("told %q", told)
			}
			mustRun(t, r.job)
			if r.tries != 2 {
				t.Errorf("it was tried %d times", r.tries)
			}
		})
	}
}

// TestARunThatSetsAsideCutAnywhere cuts either end at step n, for every n: another run completes the rest, and the bad
// message is in the quarantine once.
func TestARunThatSetsAsideCutAnywhere(t *testing.T) {
	for _, failure := range []error{&migrate.Error{Kind: migrate.Unavailable, Err: errors.New("lost")}, errors.New("dead")} {
		for _, sourceFails := range []bool{true, false} {
			for n := 1; ; n++ {
				r := newRefusing(t)
				end, step, broke := r.to, 0, ""
				if sourceFails {
					end = r.from
				}
				end.Step = func(operation string) error {
					if step++; step == n {
						broke = operation
						return failure
					}
					return nil
				}
				summary, err := migrate.Run(t.Context(), r.job)
				if broke == "" {
					if n < 10 {
						t.Fatalf("only %d steps", n)
					}
					break
				}
				if migrate.IsTemporary(failure) && (err != nil || summary.Quarantined != 1) {
					t.Errorf("%+v, %v", summary, err)
				}
				summary = mustRun(t, r.job)
				files, err := os.ReadDir(r.dir)
				r.from.Remove("Sent", r.from.Messages("Sent")[4].Key)
				same(t, r.to, r.from)
				if err != nil || len(files) != 2 || summary.Quarantined != 1 || summary.Failed != 0 || t.Failed() {
					t.Fatalf("cut at step %d (%s): %d files, %v, %+v", n, broke, len(files), err, summary)
				}
			}
		}
	}
}

func TestAMessageThatTheSourceCannotGiveIsSetAsideWithoutItsOctets(t *testing.T) {
	r := newRefusing(t)
	r.to.Refuse = nil
	asked := 0
	r.job.OpenSource = func(ctx context.Context) (migrate.Source, error) {
		session, err := r.from.Open(ctx)
		return &mute{session, &asked}, err
	}
	for run := range 2 {
		if summary := mustRun(t, r.job); summary.Quarantined != 5 || summary.Failed != 0 || summary.Copied+summary.Present != 10 {
			t.Errorf("run %d: %+v", run, summary)
		}
	}
	if asked != 5 {
		t.Errorf("they were asked for %d times", asked)
	}
	notes, err := filepath.Glob(filepath.Join(r.dir, "*.txt"))
	if all, _ := os.ReadDir(r.dir); err != nil || len(notes) != 5 || len(all) != 5 {
		t.Fatalf("%d of %d, %v", len(notes), len(all), err)
	}
	if note, err := os.ReadFile(notes[0]); err != nil || !strings.Contains(string(note), "The source could not give this message") {
		t.Errorf("%s, %v", note, err)
	}
}

// mute cannot give what is in Sent.
type mute struct {
	*memory.Session
	asked *int
}

func (m *mute) Fetch(ctx context.Context, path migrate.Path, messages []migrate.Message) iter.Seq2[migrate.Fetched, error] {
	return func(yield func(migrate.Fetched, error) bool) {
		for f, err := range m.Session.Fetch(ctx, path, messages) {
			if err == nil && path == "Sent" {
				*m.asked++
				f.Body, f.Err = migrate.Body{}, errors.New("NO [SERVERBUG] cannot read it")
			}
			if !yield(f, err) {
				return
			}
		}
	}
}
