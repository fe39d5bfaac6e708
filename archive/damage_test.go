package archive

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"postcask/migrate"
)

const (
	mailRounds = 17  // of 24 bits, one in each message
	ownFlips   = 100 // one at a time
)

// Single bits flip at random places of an archive that lies there closed, 500 in each format. In the mail verify finds
// each, and names mailbox and message; elsewhere the archive says that it is damaged, or everything in it is as it was.
func TestOneFlippedBitAnywhere(t *testing.T) {
	seed := uint64(time.Now().UnixNano())
	inEach(t, func(t *testing.T, a *Archive) {
		defer func() {
			if t.Failed() {
				t.Logf("seed %d", seed)
			}
		}()
		random := rand.New(rand.NewPCG(seed, 0))
		fillForDamage(t, a)
		intact, pieces := contents(t, a), piecesOf(t, a)
		if err := a.Close(); err != nil {
			t.Fatal(err)
		}
		for range mailRounds {
			flipMail(t, random, a.Dir(), pieces)
		}
		noticed := 0
		for range ownFlips {
			if flipOwn(t, random, a.Dir(), intact) {
				noticed++
			}
		}
		if noticed < ownFlips/2 {
			t.Errorf("outside the mail %d of %d bits were noticed", noticed, ownFlips)
		}
		if told, err := examine(t, a.Dir()); err != nil || len(told) > 0 {
			t.Errorf("a false alarm: %v, %+v", err, told)
		}
	})
}

// A piece is the stretch of a file that belongs to one message.
type piece struct {
	file     string
	from, to int64
	mailbox  migrate.Path
	key      migrate.Key
}

func piecesOf(t *testing.T, a *Archive) (pieces []piece) {
	t.Helper()
	for _, mbox := range []migrate.Path{"INBOX", "Work", "Work/2020"} {
		for _, row := range rowsOf(t, a, mbox) {
			p := piece{mailbox: mbox, key: keyOf(row.ID), to: row.Length}
			if a.Format() == Mbox {
				frame := frameOf(row)
				p.file = filepath.Join(a.Dir(), string(mbox)+mboxSuffix)
				p.from, p.to = row.Offset-int64(len(frame.before)), row.Offset+row.Length+int64(len(frame.after))
			} else {
				p.file = files(t, filepath.Join(a.Dir(), string(mbox), "cur"), row.Base+"*")[0]
			}
			pieces = append(pieces, p)
		}
	}
	return pieces
}

// flipMail flips one bit in each message, and wants each message told of, once.
func flipMail(t *testing.T, random *rand.Rand, dir string, pieces []piece) {
	t.Helper()
	var back []func()
	spots := map[string]spot{}
	for _, p := range pieces {
		s := spot{p.file, p.from + random.Int64N(p.to-p.from), 1 << random.IntN(8)}
		back = append(back, s.flip(t))
		spots[string(p.mailbox)+" "+p.key.Name] = s
	}
	told, err := examine(t, dir)
	if err != nil {
		t.Error(err)
	}
	for _, p := range told {
		name := string(p.Mailbox) + " " + p.Key.Name
		if _, ok := spots[name]; !ok || p.What != Changed || p.File == "" {
			t.Errorf("verify tells %+v", p)
		}
		delete(spots, name)
	}
	for name, s := range spots {
		t.Errorf("message %s: verify did not find the bit at %s", name, s)
	}
	for _, turn := range back {
		turn()
	}
}

// flipOwn flips one bit outside the mail, and tells whether that was noticed. If it was not, nothing may have changed.
func flipOwn(t *testing.T, random *rand.Rand, dir string, intact []string) (noticed bool) {
	t.Helper()
	names := []string{filepath.Join(dir, ownDir, indexFile)}
	if random.IntN(3) == 0 {
		names = others(t, dir)
	}
	s := pick(random, names)
	defer s.flip(t)()
	a, err := Open(t.Context(), dir, Options{ReadOnly: true})
	if err == nil {
		err = errors.Join(a.Index().Check(t.Context()), a.Close())
	}
	switch {
	case err == nil:
		s.harmless(t, dir, intact)
	case migrate.KindOf(err) != migrate.Damaged || migrate.HintOf(err) == "":
		t.Errorf("%s: %v", s, err)
	}
	return err != nil
}

// others gives the files besides mail and index that hold something.
func others(t *testing.T, dir string) (names []string) {
	t.Helper()
	for _, name := range files(t, dir, "*") {
		info, err := os.Stat(name)
		if err != nil {
			t.Fatal(err)
		}
		if info.Size() > 0 && !strings.HasSuffix(name, mboxSuffix) && !strings.Contains(name, "/cur/") && filepath.Base(name) != indexFile {
			names = append(names, name)
		}
	}
	if len(names) < 1 { // archive.json
		t.Fatal("there are none")
	}
	return names
}

// fillForDamage puts many kinds of messages into an archive, and into its ledger where they came from.
func fillForDamage(t *testing.T, a *Archive) {
	t.Helper()
	s := a.Sink()
	defer s.Close()
	for n := range 24 {
		mbox := []migrate.Path{"INBOX", "Work/2020", "Work"}[n%3]
		m := migrate.Message{InternalDate: arrived.Add(time.Duration(n) * time.Hour), Flags: migrate.NewFlags(`\Seen`, fmt.Sprintf("label%d", n%4))}
		text := fmt.Sprintf("Message-ID: <%d@example.org>\r\n\r\nFrom here\r\n%s%s", n, strings.Repeat("more\r\n", n*7), verified[n%len(verified)])
		if err := s.Append(t.Context(), mbox, m, bodyOf(text)); err != nil {
			t.Fatal(err)
		}
	}
	commit(t, s)
	known, err := a.Ledger(t.Context(), "imaps://me@mail.example.org")
	if err != nil {
		t.Fatal(err)
	}
	for n, m := range held(t, a, "INBOX") {
		entry := migrate.Entry{Key: migrate.Key{Validity: 7, UID: uint32(n + 1)}, State: migrate.Arrived, Mailbox: "INBOX", Place: m.Key, Identity: m.Identity, Flags: m.Flags}
		if err := known.Record(t.Context(), "INBOX", []migrate.Entry{entry}); err != nil {
			t.Fatal(err)
		}
	}
}

// A spot is one bit of one file.
type spot struct {
	file string
	at   int64
	bit  byte
}

func (s spot) String() string { return fmt.Sprintf("octet %d, bit %#x of %q", s.at, s.bit, s.file) }

// pick chooses a spot, each octet of the files alike.
func pick(random *rand.Rand, names []string) spot {
	sizes := make([]int64, len(names))
	total := int64(0)
	for i, name := range names {
		if info, err := os.Stat(name); err == nil {
			sizes[i] = info.Size()
			total += sizes[i]
		}
	}
	at := random.Int64N(total)
	for i, size := range sizes {
		if at < size {
			return spot{names[i], at, 1 << random.IntN(8)}
		}
		at -= size
	}
	panic("beyond the end")
}

// flip turns the bit over, and gives what turns it back.
func (s spot) flip(t *testing.T) (back func()) {
	t.Helper()
	turn := func() {
		f, err := os.OpenFile(s.file, os.O_RDWR, 0)
		if err != nil {
			t.Fatal(err)
		}
		octet := []byte{0}
		_, err = f.ReadAt(octet, s.at)
		octet[0] ^= s.bit
		if err == nil {
			_, err = f.WriteAt(octet, s.at)
		}
		if err := errors.Join(err, f.Close()); err != nil {
			t.Fatal(err)
		}
	}
	turn()
	return turn
}

// harmless wants everything as it was.
func (s spot) harmless(t *testing.T, dir string, intact []string) {
	t.Helper()
	a, err := Open(t.Context(), dir, Options{ReadOnly: true})
	if err != nil {
		t.Fatal(err)
	}
	defer a.Close()
	if diff := cmp.Diff(intact, contents(t, a)); diff != "" {
		t.Errorf("%s: nobody noticed (-before +after):\n%.2000s", s, diff)
	}
}

// contents tells everything that somebody may ask of an archive: who it is, its messages, and what its ledger remembers.
func contents(t *testing.T, a *Archive) []string {
	t.Helper()
	all := []string{a.ID(), string(a.Format()), a.MadeFrom(), a.manifest.Created.String()}
	mailboxes, err := a.Source().Mailboxes(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	known, err := a.Ledger(t.Context(), "imaps://me@mail.example.org")
	if err != nil {
		t.Fatal(err)
	}
	for _, mbox := range mailboxes {
		all = append(all, fmt.Sprintf("%+v", mbox))
		bodies := texts(t, a, mbox.Path)
		slices.Sort(bodies)
		all = append(all, bodies...)
		for _, m := range held(t, a, mbox.Path) {
			all = append(all, fmt.Sprintf("%+v", m))
		}
		keys := make([]migrate.Key, 30)
		for i := range keys {
			keys[i] = migrate.Key{Validity: 7, UID: uint32(i)}
		}
		entries, err := known.Lookup(t.Context(), mbox.Path, keys)
		if err != nil {
			t.Fatal(err)
		}
		for _, e := range entries {
			all = append(all, fmt.Sprintf("%+v", e))
		}
	}
	return all
}

// examine does what the command verify does.
func examine(t *testing.T, dir string) (told []Problem, err error) {
	t.Helper()
	a, err := Open(t.Context(), dir, Options{ReadOnly: true})
	if err != nil {
		return nil, err
	}
	_, err = a.Verify(t.Context(), func(p Problem) { told = append(told, p) })
	return told, errors.Join(err, a.Close())
}

// Whole archives of all kinds of mail give no alarm.
func TestNoFalseAlarm(t *testing.T) {
	seed := uint64(time.Now().UnixNano())
	random := rand.New(rand.NewPCG(seed, 1))
	pieces := []string{"From ", ">", "\r\n", "\n", "\r", "x", "Message-ID: <a@example.org>\r\n", "\x00", "\xff", strings.Repeat("y", 70), "\r\n\r\n"}
	for n := range 100 {
		a := newArchive(t, formats[n%2])
		s := a.Sink()
		for range random.IntN(12) {
			var text strings.Builder
			for range random.IntN(30) {
				text.WriteString(pieces[random.IntN(len(pieces))])
			}
			put(t, s, migrate.Path([]string{"INBOX", "A/B", "A", "ü"}[random.IntN(4)]), text.String())
		}
		commit(t, s)
		s.Close()
		if err := a.Close(); err != nil {
			t.Fatal(err)
		}
		if told, err := examine(t, a.Dir()); err != nil || len(told) > 0 {
			t.Fatalf("seed %d, archive %d in %s: %v, %+v", seed, n, filepath.Base(a.Dir()), err, told)
		}
	}
}
