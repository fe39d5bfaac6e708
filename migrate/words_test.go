package migrate

import (
	"bytes"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"math/rand/v2"
	"net"
	"os"
	"strings"
	"syscall"
	"testing"
	"testing/iotest"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"
)

func TestPathKeepsParts(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		parts := rapid.SliceOfN(rapid.OneOf(rapid.StringMatching(`[a%/25F\\.]{1,8}`), rapid.StringMatching(`.{1,5}`)), 1, 4).Draw(t, "parts")
		got := NewPath(parts...).Parts()
		if strings.EqualFold(parts[0], "INBOX") {
			parts[0] = "INBOX"
		}
		if diff := cmp.Diff(parts, got); diff != "" {
			t.Fatal(diff)
		}
	})
}

func TestPathReadsPlainly(t *testing.T) {
	for want, parts := range map[Path][]string{
		"INBOX":       {"inbox"},
		"Work/100%":   {"Work", "100%"},
		"a%2Fb/c":     {"a/b", "c"},
		"a%252Fb":     {"a%2Fb"},
		"INBOX/child": {"Inbox", "child"},
		"Work/Inbox":  {"Work", "Inbox"},
		"日本語/受信":      {"日本語", "受信"},
	} {
		if got := NewPath(parts...); got != want {
			t.Errorf("NewPath(%q) = %q, want %q", parts, got, want)
		}
	}
}

func TestFlags(t *testing.T) {
	got := NewFlags(`\SEEN`, `\Recent`, "$Forwarded", `\seen`, "a]", "B")
	if diff := cmp.Diff(Flags{"$Forwarded", `\Seen`, "a]", "B"}, got); diff != "" {
		t.Error(diff)
	}
	if !got.Has("$forwarded") || got.Has(`\Flagged`) || !got.Equal(NewFlags("A]", "$FORWARDED", `\Seen`, "b")) {
		t.Error("flags are not compared without regard to case")
	}
}

func TestHasher(t *testing.T) {
	sum := func(s string) Digest { return sha256.Sum256([]byte(s)) }
	for _, text := range []string{"", "a", "a\r\n", "a\r\n\r\n\r\n", "\r\n", "\n\na\n\nb\r", "a\rb\r\nc"} {
		for cut := range len(text) + 1 {
			h := NewHasher()
			h.Write([]byte(text[:cut]))
			h.Write([]byte(text[cut:]))
			want := Identity{Size: int64(len(text)), Full: sum(text), Trimmed: sum(strings.TrimRight(text, "\r\n"))}
			if got := h.Identity(); got != want {
				t.Errorf("%q cut at %d: got %+v", text, cut, got)
			}
		}
	}
}

func TestSpool(t *testing.T) {
	for _, size := range []int{0, 1, SpoolInMemory, SpoolInMemory + 1, 3 << 20} {
		want := make([]byte, size)
		for i := range want {
			want[i] = byte(rand.Uint32())
		}
		s, err := Spool(iotest.HalfReader(bytes.NewReader(want)))
		if err != nil {
			t.Fatal(err)
		}
		for range 2 {
			body := s.Body()
			if got, err := io.ReadAll(body); err != nil || !bytes.Equal(got, want) || body.Size != int64(size) {
				t.Errorf("%d octets: got %d, %v", size, len(got), err)
			}
		}
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	}
	broken := errors.New("cut")
	for _, size := range []int64{10, SpoolInMemory * 2} {
		if _, err := Spool(io.MultiReader(io.LimitReader(zeros{}, size), iotest.ErrReader(broken))); !errors.Is(err, broken) {
			t.Errorf("%d octets and a cut: %v", size, err)
		}
	}
	t.Setenv("TMPDIR", "/nonexistent")
	if _, err := Spool(io.LimitReader(zeros{}, SpoolInMemory*2)); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("without a place to spool: %v", err)
	}
}

type zeros struct{}

func (zeros) Read(p []byte) (int, error) { clear(p); return len(p), nil }

func TestKinds(t *testing.T) {
	inner := Errorf(Auth, "NO")
	outer := atEnd("source x", &Error{Mailbox: "INBOX", Err: inner})
	if KindOf(outer) != Auth || outer.Error() != `source x: "INBOX": NO` {
		t.Errorf("kind %d: %v", KindOf(outer), outer)
	}
	full := &fs.PathError{Op: "write", Path: "x", Err: syscall.ENOSPC}
	reset := &net.OpError{Op: "read", Net: "tcp", Err: os.NewSyscallError("read", syscall.ECONNRESET)}
	if KindOf(full) != Failed || KindOf(fmt.Errorf("sync: %w", syscall.EIO)) != Failed || KindOf(reset) != Unavailable {
		t.Error("a disk's trouble is taken for the network's, or the other way round")
	}
	if !IsTemporary(io.ErrUnexpectedEOF) || IsTemporary(errors.New("x")) || IsTemporary(nil) {
		t.Error("what is worth a retry")
	}
}
