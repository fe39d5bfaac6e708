package migrate

import (
	"crypto/sha256"
	"encoding"
	"encoding/hex"
	"hash"
	"io"
)

// A Digest is a SHA-256.
type Digest [sha256.Size]byte

// String gives the digest in lower-case hexadecimal.
func (d Digest) String() string { return hex.EncodeToString(d[:]) }

// An Identity tells which message some octets are. Full covers the wire form to the last octet. Trimmed covers it
// less the CR and LF octets at its very end: POP3 ends every message with CRLF (RFC 1939, section 3) and some servers
// drop or add a line end there, so that two copies count as the same message when Trimmed is equal.
type Identity struct {
	Size    int64 // octets of the wire form
	Full    Digest
	Trimmed Digest
}

// IsZero tells whether the identity is not known.
func (id Identity) IsZero() bool { return id == Identity{} }

// Same tells whether both are copies of one message.
func (id Identity) Same(other Identity) bool { return id.Trimmed == other.Trimmed }

// A Hasher computes the Identity of what is written to it. Its Write never fails. Make it by NewHasher.
type Hasher struct {
	hash    hash.Hash
	size    int64
	trimmed []byte // the hash's state behind the last octet that is neither CR nor LF, once something follows it
	tail    bool   // octets have been hashed since that state was kept
}

// NewHasher makes a Hasher that has seen nothing.
func NewHasher() *Hasher { return &Hasher{hash: sha256.New()} }

// Write adds p to what is hashed.
func (h *Hasher) Write(p []byte) (int, error) {
	end := len(p)
	for end > 0 && (p[end-1] == '\n' || p[end-1] == '\r') {
		end--
	}
	if end > 0 {
		h.hash.Write(p[:end])
		h.tail = false
	}
	if end < len(p) {
		if !h.tail { // one snapshot for a run of line ends, however it is cut into writes
			h.snapshot()
		}
		h.hash.Write(p[end:])
	}
	h.size += int64(len(p))
	return len(p), nil
}

func (h *Hasher) snapshot() {
	state, err := h.hash.(encoding.BinaryAppender).AppendBinary(h.trimmed[:0])
	if err != nil {
		panic(err) // SHA-256 of the standard library always gives its state
	}
	h.trimmed, h.tail = state, true
}

// Identity gives the identity of what was written so far.
func (h *Hasher) Identity() Identity {
	id := Identity{Size: h.size}
	h.hash.Sum(id.Full[:0])
	id.Trimmed = id.Full
	if h.tail {
		at := sha256.New()
		if err := at.(encoding.BinaryUnmarshaler).UnmarshalBinary(h.trimmed); err != nil {
			panic(err) // it is the state that this hash gave
		}
		at.Sum(id.Trimmed[:0])
	}
	return id
}

// Reset makes the Hasher as new.
func (h *Hasher) Reset() {
	h.hash.Reset()
	h.size, h.tail = 0, false
}

// A HashedReader hashes what is read from it. A Sink that finds one in a Body may ask it, behind the last octet, for
// the Identity, rather than hash everything once more.
type HashedReader struct {
	r      io.Reader
	hasher *Hasher
}

// NewHashedReader makes a HashedReader of r, of which nothing has been read.
func NewHashedReader(r io.Reader) *HashedReader { return &HashedReader{r: r, hasher: NewHasher()} }

// Read gives what r gives.
func (h *HashedReader) Read(p []byte) (int, error) {
	n, err := h.r.Read(p)
	_, _ = h.hasher.Write(p[:n]) // never fails
	return n, err
}

// Identity gives the identity of what was read so far.
func (h *HashedReader) Identity() Identity { return h.hasher.Identity() }
