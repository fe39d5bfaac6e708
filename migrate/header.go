package migrate

import (
	"crypto/sha256"
	"hash"
)

// A HeaderHasher digests the header of the message that is written to it: all octets up to and with the empty line
// that ends it (RFC 5322, section 2.1), or all octets where there is none. Its Write never fails. Make it by
// NewHeaderHasher.
type HeaderHasher struct {
	hash    hash.Hash
	matched int // of headerEnd
}

const headerEnd = "\r\n\r\n"

// NewHeaderHasher makes a HeaderHasher that has seen nothing.
func NewHeaderHasher() *HeaderHasher {
	return &HeaderHasher{hash: sha256.New(), matched: len("\r\n")} // a message may begin with its empty line
}

// Write adds p to what is looked at.
func (h *HeaderHasher) Write(p []byte) (int, error) {
	if h.matched == len(headerEnd) {
		return len(p), nil
	}
	end := 0
	for end < len(p) && h.matched < len(headerEnd) {
		switch c := p[end]; {
		case c == headerEnd[h.matched]:
			h.matched++
		case c == '\r':
			h.matched = 1
		default:
			h.matched = 0
		}
		end++
	}
	h.hash.Write(p[:end])
	return len(p), nil
}

// Digest gives the digest of the header as far as it was seen.
func (h *HeaderHasher) Digest() (d Digest) {
	h.hash.Sum(d[:0])
	return d
}
